/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/candidate.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/preload.h"
#include "cli/prove.h"
#include "cli/settings.h"
#include "config/config.h"

static bool is_number(const char *word)
{
    return *word && word[strspn(word, "0123456789")] == '\0';
}

/* Whether a file of /proc has a line, or an entry that ends with NUL, for which `matches` is true. 1, 0, or
 * -1 if it cannot be read. */
static int search_file(const char *process, const char *name, char end, bool (*matches)(const char *))
{
    char path[64], *text = NULL;
    size_t size = 0;
    int found = 0;
    snprintf(path, sizeof path, "/proc/%.20s/%s", process, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    while (!found && getdelim(&text, &size, end, file) >= 0)
        found = matches(text);
    if (ferror(file))
        found = -1;
    free(text);
    fclose(file);
    return found;
}

static bool maps_library(const char *line)
{
    return strstr(line, "/libsockseal.so") != NULL;
}

static bool names_ports(const char *entry)
{
    return strncmp(entry, "SOCKSEAL_PORTS=", 15) == 0 && entry[15] != '\0';
}

/* Prints whether a process is under the library; gives the exit status. */
static int check_process(const char *process)
{
    int mapped = search_file(process, "maps", '\n', maps_library);
    int ports = search_file(process, "environ", '\0', names_ports);
    const char *answer = mapped < 0    ? "there is no such process, or this user may not look into it"
                         : mapped == 0 ? "is not sealed: the library is not loaded"
                         : ports == 0  ? "is not sealed: it was started without SOCKSEAL_PORTS"
                                       : "is sealed";
    printf("process %s: %s\n", process, answer);
    return mapped > 0 && ports != 0 ? 0 : CLI_FAILED;
}

/* Prints whether a program can be sealed; gives the exit status. */
static int check_program(const char *name, const char *library)
{
    struct candidate program;
    candidate_find(&program, name);
    if (program.status == 0)
        prove_loading(&program, library);
    size_t len = strlen(name);
    bool named = strncmp(program.reason, name, len) == 0; /* the reason begins with it */
    const char *reason = program.reason + (named ? len : 0);
    if (program.status == 0)
        printf("%s: can be sealed\n", name);
    else
        printf("%s: cannot be sealed: %s\n", name, reason + strspn(reason, ": "));
    return program.status == 0 ? 0 : CLI_FAILED;
}

/* Gives the exit status. */
static int check_configuration(void)
{
    if (!settings_require_ports())
        return CLI_CONFIGURATION;
    if (settings_check() > 0)
        return CLI_CONFIGURATION;
    printf("configuration: good; ports %s, key file %s\n", getenv("SOCKSEAL_PORTS"), config_get()->key_file);
    return 0;
}

int check_main(int argc, char **argv)
{
    char library[PATH_MAX];
    bool help;
    int first = settings_read_options(argc, argv, true, &help), status = 0;
    if (first < 0)
        return CLI_USAGE;
    if (help)
        return help_print("check");
    if (!settings_read_file(first == argc - 1 ? argv[first] : NULL))
        return CLI_CONFIGURATION;
    if (first == argc || settings_name_ports())
        status = check_configuration();
    if (first < argc && (!preload_find(library) || !preload_set(library)))
        return CLI_USAGE;
    for (int i = first; i < argc; i++) {
        int result = is_number(argv[i]) ? check_process(argv[i]) : check_program(argv[i], library);
        status = status ? status : result;
    }
    return status;
}
