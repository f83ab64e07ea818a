/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* Debian's directory for libraries of this architecture. */
#if defined __x86_64__
#define MULTIARCH "x86_64-linux-gnu"
#elif defined __aarch64__
#define MULTIARCH "aarch64-linux-gnu"
#endif

enum { OPTION_LOG_FILE = 256, OPTION_PLAINTEXT, OPTION_KEYLOG_FILE, OPTION_STRICT };

/* Options and the variables that they set. */
static const struct {
    int option;
    const char *variable;
    const char *value; /* NULL: the option's argument */
} settings[] = {
    {'p', "SOCKSEAL_PORTS", NULL},
    {'k', "SOCKSEAL_KEY_FILE", NULL},
    {'i', "SOCKSEAL_IDENTITY", NULL},
    {'s', "SOCKSEAL_SUITES", NULL},
    {'t', "SOCKSEAL_HANDSHAKE_TIMEOUT", NULL},
    {'l', "SOCKSEAL_LOG", NULL},
    {OPTION_LOG_FILE, "SOCKSEAL_LOG_FILE", NULL},
    {OPTION_PLAINTEXT, "SOCKSEAL_PLAINTEXT", NULL},
    {OPTION_KEYLOG_FILE, "SOCKSEAL_KEYLOG_FILE", NULL},
    {OPTION_STRICT, "SOCKSEAL_STRICT", "1"},
};

static const struct option long_options[] = {
    {"ports", required_argument, NULL, 'p'},
    {"key-file", required_argument, NULL, 'k'},
    {"identity", required_argument, NULL, 'i'},
    {"suites", required_argument, NULL, 's'},
    {"timeout", required_argument, NULL, 't'},
    {"log", required_argument, NULL, 'l'},
    {"log-file", required_argument, NULL, OPTION_LOG_FILE},
    {"plaintext", required_argument, NULL, OPTION_PLAINTEXT},
    {"keylog-file", required_argument, NULL, OPTION_KEYLOG_FILE},
    {"strict", no_argument, NULL, OPTION_STRICT},
    {NULL, 0, NULL, 0},
};

/* Sets the option's variable. Gives false for an unknown option. */
static bool apply(int option)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (settings[i].option == option)
            return setenv(settings[i].variable, settings[i].value ? settings[i].value : optarg, 1) == 0;
    return false;
}

/* Where libsockseal.so lies relative to this program: beside it in the build directory, in lib when
 * installed. */
static bool find_library(char path[static PATH_MAX])
{
    static const char *const places[] = {"", "/../lib", "/../lib64", ("/../lib/" MULTIARCH)};
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0)
        return false;
    self[len] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char candidate[PATH_MAX + 64];
        snprintf(candidate, sizeof candidate, "%s%s/libsockseal.so", self, places[i]);
        if (realpath(candidate, path) && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* Puts the library before whatever else is preloaded: it must see the calls first. */
static bool set_preload(void)
{
    char path[PATH_MAX];
    if (!find_library(path)) {
        cli_error("libsockseal.so is neither beside this program nor in ../lib from it");
        return false;
    }
    if (strpbrk(path, " :")) {
        cli_error("%s: LD_PRELOAD cannot express a path with a blank or a colon", path);
        return false;
    }
    const char *others = getenv("LD_PRELOAD");
    if (!others || !*others)
        return setenv("LD_PRELOAD", path, 1) == 0;
    size_t len = strlen(path);
    if (strncmp(others, path, len) == 0 && strchr(" :", others[len]))
        return true; /* strchr finds the terminating NUL too */
    char *joined;
    if (asprintf(&joined, "%s:%s", path, others) < 0)
        return false;
    bool set = setenv("LD_PRELOAD", joined, 1) == 0;
    free(joined);
    return set;
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

/* Reads the options. Gives the index of the program in argv, or 0. */
static int read_options(int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "+p:k:i:s:t:l:", long_options, NULL)) != -1)
        if (!apply(option)) {
            fputs("Try 'sockseal --help'.\n", stderr);
            return 0;
        }
    if (optind == argc) {
        cli_error("no program is named; try 'sockseal --help'");
        return 0;
    }
    return optind;
}

int run_main(int argc, char **argv)
{
    static char own_name[] = "sockseal";
    argv[0] = own_name; /* getopt(3) starts its messages with it */
    int first = read_options(argc, argv);
    if (first == 0)
        return CLI_USAGE;
    struct candidate program;
    program_find(&program, argv[first]);
    if (program.status != 0) {
        cli_error("%s", program.reason);
        return program.status;
    }
    if (!is_set("SOCKSEAL_PORTS")) {
        cli_error("nothing would be sealed: name the ports with -p or in SOCKSEAL_PORTS");
        return CLI_USAGE;
    }
    if (!set_preload())
        return CLI_USAGE;
    execv(program.path, argv + first);
    cli_error("%s: %s", argv[first], strerror(errno));
    return errno == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_INVOKE;
}
