/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/configuration.h"
#include "cli/message.h"
#include "cli/option.h"
#include "config/config.h"
#include "config/startup.h"
#include "config/variables.h"
#include "diag/log.h"

enum {
    OPTION_LOG_FILE = 256,
    OPTION_PLAINTEXT,
    OPTION_KEYLOG_FILE,
    OPTION_STRICT,
    OPTION_REMOVED_KEYS,
    OPTION_KEYS_AFTER_FORK,
    OPTION_GROUPS,
    OPTION_CONNECT_TIMEOUT,
    OPTION_CLOSE_TIMEOUT,
    OPTION_LOG_FORMAT,
    OPTION_UNSEALED
};

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
    {OPTION_CONNECT_TIMEOUT, "SOCKSEAL_CONNECT_TIMEOUT", NULL},
    {OPTION_CLOSE_TIMEOUT, "SOCKSEAL_CLOSE_TIMEOUT", NULL},
    {OPTION_LOG_FORMAT, "SOCKSEAL_LOG_FORMAT", NULL},
    {'l', "SOCKSEAL_LOG", NULL},
    {OPTION_GROUPS, "SOCKSEAL_GROUPS", NULL},
    {OPTION_LOG_FILE, "SOCKSEAL_LOG_FILE", NULL},
    {OPTION_PLAINTEXT, "SOCKSEAL_PLAINTEXT", NULL},
    {OPTION_KEYLOG_FILE, "SOCKSEAL_KEYLOG_FILE", NULL},
    {OPTION_STRICT, "SOCKSEAL_STRICT", "1"},
    {OPTION_REMOVED_KEYS, "SOCKSEAL_REMOVED_KEYS", NULL},
    {OPTION_KEYS_AFTER_FORK, "SOCKSEAL_KEYS_AFTER_FORK", NULL},
};

static const struct option long_options[] = {
    {"ports", required_argument, NULL, 'p'},
    {"key-file", required_argument, NULL, 'k'},
    {"identity", required_argument, NULL, 'i'},
    {"suites", required_argument, NULL, 's'},
    {"groups", required_argument, NULL, OPTION_GROUPS},
    {"timeout", required_argument, NULL, 't'},
    {"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT},
    {"close-timeout", required_argument, NULL, OPTION_CLOSE_TIMEOUT},
    {"log", required_argument, NULL, 'l'},
    {"log-file", required_argument, NULL, OPTION_LOG_FILE},
    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
    {"plaintext", required_argument, NULL, OPTION_PLAINTEXT},
    {"keylog-file", required_argument, NULL, OPTION_KEYLOG_FILE},
    {"strict", no_argument, NULL, OPTION_STRICT},
    {"removed-keys", required_argument, NULL, OPTION_REMOVED_KEYS},
    {"keys-after-fork", required_argument, NULL, OPTION_KEYS_AFTER_FORK},
    {"allow-unsealed-program", no_argument, NULL, OPTION_UNSEALED},
    {"config", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char *named_file; /* by -f; NULL: the usual ones */
static bool unsealed_allowed;

/* Sets the option's variable. Gives false for an unknown option. */
static bool apply(int option)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (settings[i].option == option)
            return setenv(settings[i].variable, settings[i].value ? settings[i].value : optarg, 1) == 0;
    return false;
}

int settings_read_options(int argc, char **argv, bool behind, bool *help)
{
    const char *letters = behind ? ":p:k:i:s:t:l:f:h" : "+:p:k:i:s:t:l:f:h";
    int option;
    *help = false;
    while ((option = option_next(argc, argv, letters, long_options)) != -1) {
        if (option == 'h') {
            *help = true;
        } else if (option == 'f') {
            named_file = optarg;
        } else if (option == OPTION_UNSEALED) {
            unsealed_allowed = true;
        } else if (!apply(option)) {
            return -1;
        }
    }
    return optind;
}

bool settings_allow_unsealed(void)
{
    return unsealed_allowed;
}

bool settings_read_file(const char *program)
{
    return named_file ? configuration_read(named_file, program) : configuration_read_usual(program);
}

bool settings_name_ports(void)
{
    const char *value = getenv("SOCKSEAL_PORTS");
    return value && *value;
}

bool settings_require_ports(void)
{
    struct variables_unknown unknown;
    if (settings_name_ports())
        return true;
    for (char *const *at = environ; at && variables_next_unknown(&at, &unknown);)
        if (unknown.likely)
            message_error("%.*s is no variable of sockseal's; did you mean %s?", (int)unknown.len,
                          unknown.name, unknown.likely);
    message_error("nothing would be sealed: name the ports with -p, in SOCKSEAL_PORTS or in a configuration "
                  "file");
    return false;
}

/* Where messages of the library's code go in this program. */
static void print_message(enum log_level level, const char *text)
{
    message_error("%s%s", level == LOG_ERROR ? "" : "warning: ", text);
}

static void set_absolute(const char *variable, const char *file)
{
    if (file)
        setenv(variable, file, 1);
}

unsigned settings_check(void)
{
    log_divert(print_message);
    unsigned faults = config_examine();
    const struct config *config = config_get();
    if (config->active)
        faults += startup_check();
    log_divert(NULL);
    set_absolute("SOCKSEAL_KEY_FILE", config->key_file);
    set_absolute("SOCKSEAL_LOG_FILE", config->log_file);
    set_absolute("SOCKSEAL_KEYLOG_FILE", config->keylog_file);
    return faults;
}

unsigned settings_for_file(const char *file)
{
    if (file)
        setenv("SOCKSEAL_KEY_FILE", file, 1);
    /* Rules and identities do not matter here. */
    setenv("SOCKSEAL_PORTS", "1", 1);
    unsetenv("SOCKSEAL_IDENTITY");
    log_divert(print_message);
    return config_examine();
}
