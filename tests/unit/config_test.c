/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The SOCKSEAL_* variables: each one's good and bad values. Every case runs in a child, since config_load()
 * works once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "config/config.h"
#include "diag/log.h"
#include "tls/tls.h"

struct load_case {
    const char *variable, *value; /* beside SOCKSEAL_PORTS=80; NULL: none */
    bool (*check)(const struct config *config);
};

enum { CHECK_FAILED = 3 };

static void clear_environment(void)
{
    static const char *const variables[] = {"SOCKSEAL_PORTS",
                                            "SOCKSEAL_KEY_FILE",
                                            "SOCKSEAL_IDENTITY",
                                            "SOCKSEAL_PLAINTEXT",
                                            "SOCKSEAL_SUITES",
                                            "SOCKSEAL_LOG",
                                            "SOCKSEAL_HANDSHAKE_TIMEOUT",
                                            "SOCKSEAL_STRICT",
                                            "SOCKSEAL_LOG_FILE",
                                            "SOCKSEAL_KEYLOG_FILE",
                                            "SOCKSEAL_REMOVED_KEYS",
                                            "SOCKSEAL_GROUPS",
                                            "SOCKSEAL_CONNECT_TIMEOUT",
                                            "SOCKSEAL_CLOSE_TIMEOUT",
                                            "SOCKSEAL_LOG_FORMAT",
                                            "SOCKSEAL_KEYS_AFTER_FORK"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
}

static int load(void *argument)
{
    const struct load_case *test = argument;
    clear_environment();
    setenv("SOCKSEAL_PORTS", "80", 1);
    if (test->variable)
        setenv(test->variable, test->value, 1);
    config_load();
    return !test->check || test->check(config_get()) ? 0 : CHECK_FAILED;
}

static void assert_good(const char *variable, const char *value, bool (*check)(const struct config *))
{
    struct load_case test = {variable, value, check};
    struct child_result result;
    child_run(&result, load, &test);
    if (result.status != 0)
        fail_msg("%s=%s: status %d, %s", variable ? variable : "", value ? value : "", result.status,
                 result.output);
}

/* One line that names the variable, the word and what was expected, and the status 78. */
static void assert_bad(const char *variable, const char *value, const char *word)
{
    struct load_case test = {variable, value, NULL};
    struct child_result result;
    char named[512];
    child_run(&result, load, &test);
    snprintf(named, sizeof named, "error: %s: '%s': expected ", variable, word);
    if (result.status != CONFIG_EXIT_STATUS || !strstr(result.output, named) ||
        strchr(result.output, '\n') != result.output + strlen(result.output) - 1)
        fail_msg("%s=%s: status %d, output: %s", variable, value, result.status, result.output);
}

static bool has_defaults(const struct config *config)
{
    return config->active && !config->accept_plaintext && !config->strict &&
           config->handshake_timeout_ms == 10000 && config->connect_timeout_ms == 0 &&
           config->close_timeout_ms == 10000 && config->suite_count == 0 && !config->key_file &&
           config->identity_count == 0 && !config->close_removed_keys && !config->forget_keys &&
           !config->keylog_file && config->rules.count == 1;
}

/* {a variable's name, SOCKSEAL_PORTS or NULL} */
static int load_with_name(void *argument)
{
    const char *const *settings = argument;
    clear_environment();
    setenv(settings[0], "9", 1);
    if (settings[1])
        setenv("SOCKSEAL_PORTS", settings[1], 1);
    config_load();
    return 0;
}

static void test_defaults(void **state)
{
    (void)state;
    assert_good(NULL, NULL, has_defaults);
}

static bool is_inactive(const struct config *config)
{
    return !config->active && config->rules.count == 0;
}

static int load_without_ports(void *argument)
{
    clear_environment();
    setenv("SOCKSEAL_SUITES", "rubbish", 1);
    if (argument)
        setenv("SOCKSEAL_PORTS", argument, 1);
    config_load();
    return is_inactive(config_get()) ? 0 : CHECK_FAILED;
}

static void test_without_ports_nothing_else_is_looked_at(void **state)
{
    (void)state;
    struct child_result result;
    char empty[] = "";
    child_run(&result, load_without_ports, NULL);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.output, "");
    child_run(&result, load_without_ports, empty);
    assert_int_equal(result.status, 0);
}

static void test_an_empty_variable_counts_as_unset(void **state)
{
    (void)state;
    static const char *const variables[] = {
        "SOCKSEAL_KEY_FILE", "SOCKSEAL_IDENTITY",          "SOCKSEAL_PLAINTEXT",
        "SOCKSEAL_SUITES",   "SOCKSEAL_HANDSHAKE_TIMEOUT", "SOCKSEAL_STRICT",
        "SOCKSEAL_LOG",      "SOCKSEAL_LOG_FILE",          "SOCKSEAL_KEYLOG_FILE"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        assert_good(variables[i], "", has_defaults);
}

static void test_ports(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_PORTS", "listen:10.0.0.0/8:443,[fd00::]/8:5000-5010,!22", NULL);
    assert_bad("SOCKSEAL_PORTS", "80,http,81", "http");
    assert_bad("SOCKSEAL_PORTS", "80,", "");
    assert_bad("SOCKSEAL_PORTS", "65536", "65536");
}

static bool accepts_plaintext(const struct config *config)
{
    return config->accept_plaintext;
}

static void test_plaintext(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_PLAINTEXT", "accept", accepts_plaintext);
    assert_good("SOCKSEAL_PLAINTEXT", "refuse", has_defaults);
    assert_bad("SOCKSEAL_PLAINTEXT", "yes", "yes");
    assert_bad("SOCKSEAL_PLAINTEXT", "Accept", "Accept");
    assert_bad("SOCKSEAL_PLAINTEXT", "accept ", "accept ");
}

static bool is_strict(const struct config *config)
{
    return config->strict;
}

static void test_strict(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_STRICT", "1", is_strict);
    assert_good("SOCKSEAL_STRICT", "0", has_defaults);
    assert_bad("SOCKSEAL_STRICT", "2", "2");
    assert_bad("SOCKSEAL_STRICT", "true", "true");
}

static bool handshake_timeout_is_one(const struct config *config)
{
    return config->handshake_timeout_ms == 1000 && config->connect_timeout_ms == 0 &&
           config->close_timeout_ms == 10000;
}

static bool connect_timeout_is_an_hour(const struct config *config)
{
    return config->connect_timeout_ms == 3600000 && config->handshake_timeout_ms == 10000;
}

static bool close_timeout_is_two(const struct config *config)
{
    return config->close_timeout_ms == 2000 && config->handshake_timeout_ms == 10000;
}

static void test_timeouts(void **state)
{
    (void)state;
    static const char *const bad[] = {"0",    "-1", "3601", "1.5", "1s", " 1", "ten", "99999999999999999999",
                                      "0x10", "+1"};
    static const char *const variables[] = {"SOCKSEAL_HANDSHAKE_TIMEOUT", "SOCKSEAL_CONNECT_TIMEOUT",
                                            "SOCKSEAL_CLOSE_TIMEOUT"};
    assert_good("SOCKSEAL_HANDSHAKE_TIMEOUT", "1", handshake_timeout_is_one);
    assert_good("SOCKSEAL_CONNECT_TIMEOUT", "3600", connect_timeout_is_an_hour);
    assert_good("SOCKSEAL_CLOSE_TIMEOUT", "2", close_timeout_is_two);
    for (size_t which = 0; which < 3; which++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            assert_bad(variables[which], bad[i], bad[i]);
}

static bool only_chacha20(const struct config *config)
{
    return config->suite_count == 1 && config->suites[0] == TLS_SUITE_CHACHA20_POLY1305_SHA256;
}

static bool chacha20_first(const struct config *config)
{
    return config->suite_count == 2 && config->suites[0] == TLS_SUITE_CHACHA20_POLY1305_SHA256 &&
           config->suites[1] == TLS_SUITE_AEGIS_128L_SHA256;
}

static bool all_suites(const struct config *config)
{
    return config->suite_count == 4 && config->suites[0] == TLS_SUITE_AEGIS_128X2_SHA256 &&
           config->suites[1] == TLS_SUITE_CHACHA20_POLY1305_SHA256 &&
           config->suites[2] == TLS_SUITE_AEGIS_128X4_SHA256 &&
           config->suites[3] == TLS_SUITE_AEGIS_128L_SHA256;
}

static void test_suites(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_SUITES", "aegis128x2,chacha20,aegis128x4,aegis128l", all_suites);
    assert_bad("SOCKSEAL_SUITES", "aegis128x2,chacha20,aegis128x4,aegis128l,aegis128x2", "aegis128x2");
    assert_bad("SOCKSEAL_SUITES", "aegis128x", "aegis128x");
    assert_good("SOCKSEAL_SUITES", "chacha20", only_chacha20);
    assert_good("SOCKSEAL_SUITES", "chacha20 , aegis128l", chacha20_first);
    assert_bad("SOCKSEAL_SUITES", "aes256gcm", "aes256gcm");
    assert_bad("SOCKSEAL_SUITES", "chacha20,", "");
    assert_bad("SOCKSEAL_SUITES", "chacha20,chacha20", "chacha20");
    assert_bad("SOCKSEAL_SUITES", "chacha20,aegis128l,chacha20", "chacha20");
    assert_bad("SOCKSEAL_SUITES", "chacha", "chacha");
}

static bool only_x25519(const struct config *config)
{
    return config->group_count == 1 && config->groups[0] == TLS_GROUP_X25519;
}

static bool x25519_first(const struct config *config)
{
    return config->group_count == 2 && config->groups[0] == TLS_GROUP_X25519 &&
           config->groups[1] == TLS_GROUP_X25519MLKEM768;
}

static bool no_groups(const struct config *config)
{
    return config->group_count == 0;
}

static void test_groups(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_GROUPS", "", no_groups);
    assert_good("SOCKSEAL_GROUPS", "x25519", only_x25519);
    assert_good("SOCKSEAL_GROUPS", "x25519 , x25519mlkem768", x25519_first);
    assert_bad("SOCKSEAL_GROUPS", "secp256r1", "secp256r1");
    assert_bad("SOCKSEAL_GROUPS", "x25519,", "");
    assert_bad("SOCKSEAL_GROUPS", "x25519,x25519", "x25519");
    assert_bad("SOCKSEAL_GROUPS", "x25519mlkem", "x25519mlkem");
}

static bool identity_is_alpha(const struct config *config)
{
    setenv("SOCKSEAL_IDENTITY", "changed", 1); /* the program's own business from now on */
    return config->identity_count == 1 && strcmp(config->identities[0], "alpha") == 0;
}

static void test_identity(void **state)
{
    (void)state;
    char longest[TLS_IDENTITY_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[TLS_IDENTITY_MAX] = '\0';
    assert_good("SOCKSEAL_IDENTITY", "alpha", identity_is_alpha);
    assert_good("SOCKSEAL_IDENTITY", longest, NULL);
    longest[TLS_IDENTITY_MAX] = 'a';
    longest[TLS_IDENTITY_MAX + 1] = '\0';
    assert_bad("SOCKSEAL_IDENTITY", longest, longest);
    assert_bad("SOCKSEAL_IDENTITY", "al:pha", "al:pha");
}

static bool identities_are_new_and_old(const struct config *config)
{
    return config->identity_count == 2 && strcmp(config->identities[0], "new") == 0 &&
           strcmp(config->identities[1], "old") == 0;
}

static void test_identities_are_a_list(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_IDENTITY", "new, old", identities_are_new_and_old);
    assert_bad("SOCKSEAL_IDENTITY", "new,,old", "");
    assert_bad("SOCKSEAL_IDENTITY", "new,old,new", "new");
    assert_bad("SOCKSEAL_IDENTITY", "1,2,3,4,5,6,7,8,9", "9");
}

static bool closes_removed_keys(const struct config *config)
{
    return config->close_removed_keys;
}

static void test_removed_keys(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_REMOVED_KEYS", "close", closes_removed_keys);
    assert_good("SOCKSEAL_REMOVED_KEYS", "keep", has_defaults);
    assert_bad("SOCKSEAL_REMOVED_KEYS", "drop", "drop");
}

static bool forgets_keys(const struct config *config)
{
    return config->forget_keys;
}

static void test_keys_after_fork(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_KEYS_AFTER_FORK", "forget", forgets_keys);
    assert_good("SOCKSEAL_KEYS_AFTER_FORK", "keep", has_defaults);
    assert_bad("SOCKSEAL_KEYS_AFTER_FORK", "forgotten", "forgotten");
}

/* A name like one of ours is a fault, with the one that was meant; others are not ours to judge. */
static void assert_misspelt(const char *name, const char *meant, const char *ports)
{
    const char *settings[] = {name, ports};
    struct child_result result;
    char expected[256];
    child_run(&result, load_with_name, settings);
    snprintf(expected, sizeof expected, "error: %s is no variable of sockseal's; did you mean %s?\n", name,
             meant);
    if (result.status != CONFIG_EXIT_STATUS || !strstr(result.output, expected))
        fail_msg("%s: status %d, output: %s", name, result.status, result.output);
}

static void test_a_misspelt_name_ends_the_process(void **state)
{
    (void)state;
    assert_misspelt("SOCKSEAL_KEYFILE", "SOCKSEAL_KEY_FILE", "80");
    assert_misspelt("SOCKSEAL_STRICKT", "SOCKSEAL_STRICT", "80");
    assert_misspelt("SOCKSEAL_PLAINTXET", "SOCKSEAL_PLAINTEXT", "80");
    assert_misspelt("SOCKSEAL_TIMEOUT", "SOCKSEAL_HANDSHAKE_TIMEOUT", "80");
    /* Without SOCKSEAL_PORTS all would go in the clear. */
    assert_misspelt("SOCKSEAL_PORT", "SOCKSEAL_PORTS", NULL);
}

static void test_other_names_do_not(void **state)
{
    (void)state;
    const char *unlike[] = {"SOCKSEAL_ZYX", "80"}, *opted_out[] = {"SOCKSEAL_PORT", ""},
               *tests[] = {"SOCKSEAL_TEST_PORTS", "80"};
    struct child_result result;
    child_run(&result, load_with_name, unlike);
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.output, "warning: SOCKSEAL_ZYX is no variable of sockseal's"));
    child_run(&result, load_with_name, opted_out);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.output, "");
    child_run(&result, load_with_name, tests);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.output, "");
}

static int examine_faults(void *argument)
{
    clear_environment();
    setenv("SOCKSEAL_PORTS", "http", 1);
    setenv("SOCKSEAL_SUITES", "aes", 1);
    setenv("SOCKSEAL_ZYX", "1", 1);
    return config_examine() == *(const unsigned *)argument ? 0 : CHECK_FAILED;
}

static void test_the_command_counts_every_fault(void **state)
{
    (void)state;
    struct child_result result;
    unsigned expected = 3;
    child_run(&result, examine_faults, &expected);
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.output, "SOCKSEAL_PORTS: 'http'"));
    assert_non_null(strstr(result.output, "SOCKSEAL_SUITES: 'aes'"));
    assert_non_null(strstr(result.output, "SOCKSEAL_ZYX is no variable"));
}

static bool key_file_is_absolute(const struct config *config)
{
    char expected[4200], directory[4096];
    if (!getcwd(directory, sizeof directory) || chdir("/") != 0)
        return false;
    snprintf(expected, sizeof expected, "%s/some/keys", directory);
    return config->key_file && strcmp(config->key_file, expected) == 0;
}

static bool key_file_is_as_named(const struct config *config)
{
    return config->key_file && strcmp(config->key_file, "/some/keys") == 0;
}

static void test_key_file_becomes_absolute(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_KEY_FILE", "some/keys", key_file_is_absolute);
    assert_good("SOCKSEAL_KEY_FILE", "/some/keys", key_file_is_as_named);
}

static void test_a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[4097], word[257];
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    snprintf(word, sizeof word, "%.256s", path);
    assert_bad("SOCKSEAL_KEY_FILE", path, word);
}

static bool level_is_debug(const struct config *config)
{
    (void)config;
    return log_enabled(LOG_DEBUG);
}

static bool level_is_quiet(const struct config *config)
{
    (void)config;
    return !log_enabled(LOG_ERROR);
}

static void test_log_level(void **state)
{
    (void)state;
    assert_good("SOCKSEAL_LOG", "debug", level_is_debug);
    assert_good("SOCKSEAL_LOG", "quiet", level_is_quiet);
    assert_good("SOCKSEAL_LOG", "warn", NULL);
    assert_good("SOCKSEAL_LOG", "info", NULL);
    assert_good("SOCKSEAL_LOG", "error", NULL);
    assert_bad("SOCKSEAL_LOG", "verbose", "verbose");
    assert_bad("SOCKSEAL_LOG", "3", "3");
}

static void test_the_key_log_is_warned_about(void **state)
{
    (void)state;
    struct load_case test = {"SOCKSEAL_KEYLOG_FILE", "/nonexistent/keylog", NULL};
    struct child_result result;
    child_run(&result, load, &test);
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.output, "warning: SOCKSEAL_KEYLOG_FILE is set"));
}

static void test_a_control_character_cannot_forge_a_line(void **state)
{
    (void)state;
    struct load_case test = {"SOCKSEAL_LOG", "x\nsockseal[1]: error: forged\033[2J", NULL};
    struct child_result result;
    child_run(&result, load, &test);
    assert_int_equal(result.status, CONFIG_EXIT_STATUS);
    assert_null(strstr(result.output, "\nsockseal[1]"));
    assert_null(strchr(result.output, '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_without_ports_nothing_else_is_looked_at),
        cmocka_unit_test(test_an_empty_variable_counts_as_unset),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_plaintext),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_suites),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identities_are_a_list),
        cmocka_unit_test(test_removed_keys),
        cmocka_unit_test(test_keys_after_fork),
        cmocka_unit_test(test_a_misspelt_name_ends_the_process),
        cmocka_unit_test(test_other_names_do_not),
        cmocka_unit_test(test_the_command_counts_every_fault),
        cmocka_unit_test(test_key_file_becomes_absolute),
        cmocka_unit_test(test_a_path_that_is_too_long_is_refused),
        cmocka_unit_test(test_log_level),
        cmocka_unit_test(test_the_key_log_is_warned_about),
        cmocka_unit_test(test_a_control_character_cannot_forge_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
