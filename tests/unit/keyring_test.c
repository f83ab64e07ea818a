/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The key file: what is accepted, what is refused and how that is said, and how a changed file is taken up.
 * Every case runs in a child of its own, with standard error recorded. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "config/config.h"
#include "config/keyring.h"

#define KEY_16 "000102030405060708090a0b0c0d0e0f"
#define KEY_32 KEY_16 "F0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

enum { GOOD = 0, BAD = 1 };

static char directory[64], key_file[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/keyring-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(key_file, sizeof key_file, "%s/keys", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(key_file);
    return rmdir(directory);
}

static void write_bytes(const char *file, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fchmod(fd, mode) != 0 || close(fd) != 0)
        abort();
}

static void write_file(const char *text)
{
    write_bytes(key_file, text, strlen(text), 0600);
}

static void replace_file(const char *text)
{
    char other[128];
    snprintf(other, sizeof other, "%s.new", key_file);
    write_bytes(other, text, strlen(text), 0600);
    if (rename(other, key_file) != 0)
        abort();
}

static void configure(const char *identity)
{
    setenv("SOCKSEAL_PORTS", "80", 1);
    setenv("SOCKSEAL_KEY_FILE", key_file, 1);
    if (identity)
        setenv("SOCKSEAL_IDENTITY", identity, 1);
    config_load();
}

static bool psk_is(const struct tls_psk *psk, const char *identity, size_t key_len)
{
    return psk->identity_len == strlen(identity) && memcmp(psk->identity, identity, psk->identity_len) == 0 &&
           psk->key_len == key_len && psk->key[0] == 0 && psk->key[15] == 15;
}

/* Whether the keyring's identities are these, in this order, separated by blanks. */
static bool ring_is(const char *identities)
{
    char found[4096] = "";
    const struct keyring *keyring = keyring_acquire();
    for (size_t i = 0; keyring && i < keyring->count; i++) {
        strcat(found, i ? " " : "");
        strncat(found, (const char *)keyring->psks[i].identity, keyring->psks[i].identity_len);
    }
    keyring_release(keyring);
    if (strcmp(found, identities) == 0)
        return true;
    dprintf(STDERR_FILENO, "found '%s', expected '%s'\n", found, identities);
    return false;
}

static size_t count_lines(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        count++;
    return count;
}

/* ---- what is accepted ---- */

static int load_two(void *argument)
{
    (void)argument;
    configure(NULL);
    const struct keyring *keyring = keyring_acquire();
    return keyring && keyring->count == 2 && psk_is(&keyring->psks[0], "alpha", 32) &&
                   psk_is(&keyring->psks[1], "beta", 16) && keyring->psks[0].key[16] == 0xf0 &&
                   keyring->psks[0].key[31] == 0xff
               ? GOOD
               : BAD;
}

static void assert_loads_two(const char *text)
{
    struct child_result result;
    write_file(text);
    child_run(&result, load_two, NULL);
    if (result.status != GOOD)
        fail_msg("'%s': %s", text, result.output);
}

static void test_lines_comments_and_blanks(void **state)
{
    (void)state;
    assert_loads_two("alpha:" KEY_32 "\nbeta:" KEY_16 "\n");
    assert_loads_two("alpha:" KEY_32 "\r\nbeta:" KEY_16 "\r\n");
    assert_loads_two("# a comment: with a colon\n\n  \n\talpha:" KEY_32 "  \n  # another\nbeta:" KEY_16
                     "\t\n\n");
}

/* Whether a connection of this kind has these keys, separated by blanks. */
static bool keys_are(enum rules_direction direction, const char *address, const char *identities)
{
    char found[256] = "";
    struct rule_peer peer;
    uint8_t bytes[4];
    const struct keyring *keyring = keyring_acquire();
    if (!keyring || inet_pton(AF_INET, address, bytes) != 1 || !rule_peer_of(&peer, AF_INET, bytes))
        return false;
    for (size_t i = 0; i < keyring->count; i++) {
        if (!keyring_allows(keyring, i, direction, &peer, 7000))
            continue;
        strcat(found, *found ? " " : "");
        strncat(found, (const char *)keyring->psks[i].identity, keyring->psks[i].identity_len);
    }
    keyring_release(keyring);
    if (strcmp(found, identities) == 0)
        return true;
    dprintf(STDERR_FILENO, "%s: found '%s', expected '%s'\n", address, found, identities);
    return false;
}

static int load_chosen(void *argument)
{
    (void)argument;
    configure("gamma,beta");
    return ring_is("gamma beta alpha delta") && keys_are(RULES_CONNECT, "10.0.0.1", "gamma beta") &&
                   keys_are(RULES_LISTEN, "10.0.0.1", "gamma beta alpha delta")
               ? GOOD
               : BAD;
}

static void test_the_chosen_identities_come_first_and_no_other_is_offered(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\nbeta:" KEY_16 "\ngamma:" KEY_16 "\ndelta:" KEY_16 "\n");
    child_run(&result, load_chosen, NULL);
    assert_string_equal(result.output, "");
    assert_int_equal(result.status, GOOD);
}

static int load_half(void *argument)
{
    (void)argument;
    configure("omega,beta");
    return keys_are(RULES_CONNECT, "10.0.0.1", "beta") && keys_are(RULES_CONNECT, "10.0.0.1", "beta") ? GOOD
                                                                                                      : BAD;
}

/* In the middle of a rotation the one or the other is there. */
static void test_one_of_the_chosen_identities_is_enough(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\nbeta:" KEY_16 "\n");
    child_run(&result, load_half, NULL);
    assert_int_equal(result.status, GOOD);
    assert_int_equal(count_lines(result.output, "it holds no key for 'omega'"), 1);
}

static int load_with_rules(void *argument)
{
    (void)argument;
    configure(NULL);
    return keys_are(RULES_CONNECT, "10.0.0.2", "out any") && keys_are(RULES_LISTEN, "10.0.0.2", "in any") &&
                   keys_are(RULES_CONNECT, "10.0.0.3", "any") && keys_are(RULES_LISTEN, "10.9.9.9", "in any")
               ? GOOD
               : BAD;
}

static void test_a_key_counts_for_the_connections_that_its_rules_name(void **state)
{
    (void)state;
    struct child_result result;
    write_file("out:" KEY_16 " connect:10.0.0.2\nin:" KEY_16 "\tlisten:10.0.0.0/8 , listen:[::1]\nany:" KEY_32
               "\n");
    child_run(&result, load_with_rules, NULL);
    assert_string_equal(result.output, "");
    assert_int_equal(result.status, GOOD);
}

static int load_many(void *argument)
{
    (void)argument;
    configure(NULL);
    const struct keyring *keyring = keyring_acquire();
    return keyring && keyring->count == 4096 && psk_is(&keyring->psks[4095], "i4095", 16) ? GOOD : BAD;
}

static void write_many(size_t count)
{
    char *text = malloc(count * 48), *end = text;
    for (size_t i = 0; i < count; i++)
        end += sprintf(end, "i%zu:" KEY_16 "\n", i);
    write_file(text);
    free(text);
}

static void test_4096_keys_fit(void **state)
{
    (void)state;
    struct child_result result;
    write_many(4096);
    child_run(&result, load_many, NULL);
    assert_int_equal(result.status, GOOD);
}

/* ---- what is refused ---- */

/* Twice, to see that the reason is given once. */
static int load_refused(void *argument)
{
    configure(argument);
    return !keyring_acquire() && !keyring_acquire() ? GOOD : BAD;
}

static void assert_refusal(const char *reason, char *identity)
{
    struct child_result result;
    char expected[256];
    snprintf(expected, sizeof expected, "error: key file %s: %s", key_file, reason);
    child_run(&result, load_refused, identity);
    if (result.status != GOOD || !strstr(result.output, expected) || count_lines(result.output, "\n") != 1)
        fail_msg("expected '%s', status %d, output: %s", expected, result.status, result.output);
    assert_null(strstr(result.output, "02030405")); /* longer than a process id */
    assert_null(strstr(result.output, "secret"));
}

static void assert_text_refused(const char *text, const char *reason)
{
    write_file(text);
    assert_refusal(reason, NULL);
}

static void test_a_missing_file(void **state)
{
    (void)state;
    unlink(key_file);
    assert_refusal("there is no such file", NULL);
}

static int load_unset(void *argument)
{
    (void)argument;
    unsetenv("SOCKSEAL_KEY_FILE");
    setenv("SOCKSEAL_PORTS", "80", 1);
    config_load();
    return keyring_acquire() ? BAD : GOOD;
}

static void test_an_unset_variable(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, load_unset, NULL);
    assert_int_equal(result.status, GOOD);
    assert_non_null(strstr(result.output, "SOCKSEAL_KEY_FILE"));
}

static void test_a_file_that_others_may_read_or_write(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0620, 0604, 0602, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_file("alpha:" KEY_16 "\n");
        assert_int_equal(chmod(key_file, modes[i]), 0);
        assert_refusal("others may read or write it (mode 0", NULL);
    }
}

static void test_a_file_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("alpha:" KEY_16 "\n");
    assert_int_equal(chown(key_file, 12345, (gid_t)-1), 0);
    assert_refusal("it belongs to user 12345", NULL);
    unlink(key_file);
}

static void test_what_is_no_regular_file(void **state)
{
    (void)state;
    unlink(key_file);
    assert_int_equal(mkfifo(key_file, 0600), 0);
    assert_refusal("it is not a regular file", NULL);
    unlink(key_file);
    assert_int_equal(mkdir(key_file, 0700), 0);
    assert_refusal("it is not a regular file", NULL);
    rmdir(key_file);
}

static void test_a_file_without_a_key(void **state)
{
    (void)state;
    assert_text_refused("", "it holds no key");
    assert_text_refused("# nothing\n\n", "it holds no key");
}

static void test_a_line_of_rubbish_is_named_but_not_shown(void **state)
{
    (void)state;
    assert_text_refused("alpha:" KEY_16 "\n\nsecretwithoutcolon\n", "line 3: expected identity:key");
    assert_text_refused("# c\nsecret:zz" KEY_16 "\n", "line 2: the key holds something else");
    assert_text_refused("secret: " KEY_16 "\n", "line 1: the key does not follow the ':' directly");
    assert_text_refused("secret:" KEY_16 " both\n",
                        "line 1: the rules behind the key do not parse: expected");
    assert_text_refused("secret:" KEY_16 ":" KEY_16 "\n", "line 1: the key holds something else");
    assert_text_refused("secret:" KEY_16 "0\n", "line 1: the key has an odd number");
    assert_text_refused("secret:000102030405060708090a0b0c0d0e\n", "line 1: the key is too short");
    assert_text_refused("secret:\n", "line 1: the key is too short");
    assert_text_refused("secret:" KEY_32 KEY_32 "00\n", "line 1: the key is too long");
    assert_text_refused(":" KEY_16 "\n", "line 1: the identity before the ':' is empty");
    assert_text_refused("sec\tret:" KEY_16 "\n", "line 1: the identity holds a control character");
    assert_text_refused("secret:" KEY_16 "\nb:" KEY_16 "\nsecret:" KEY_32 "\n",
                        "line 3: an earlier line has the same identity");
}

static void test_an_identity_of_129_bytes(void **state)
{
    (void)state;
    char text[256];
    memset(text, 'a', 129);
    strcpy(text + 129, ":" KEY_16 "\n");
    assert_text_refused(text, "line 1: the identity is too long");
}

static void test_a_file_of_binary_rubbish(void **state)
{
    (void)state;
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    write_bytes(key_file, bytes, sizeof bytes, 0600);
    assert_refusal("line 1: ", NULL);
}

static void test_too_many_keys_and_too_long_a_file(void **state)
{
    (void)state;
    write_many(4097);
    assert_refusal("line 4097: too many keys", NULL);
    char *text = calloc(1, (1 << 20) + 2);
    memset(text, '#', (1 << 20) + 1);
    write_file(text);
    free(text);
    assert_refusal("it is longer than 1 MiB", NULL);
}

static void test_an_identity_that_the_file_does_not_hold(void **state)
{
    (void)state;
    char identity[] = "omega";
    write_file("alpha:" KEY_16 "\n");
    assert_refusal("it holds no key for 'omega'", identity);
}

static int load_unended(void *argument)
{
    (void)argument;
    configure(NULL);
    return ring_is("alpha beta") ? GOOD : BAD;
}

/* Half a file must not count as another, shorter key. */
static void test_a_file_that_was_cut_off(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\nbeta:" KEY_32);
    child_run(&result, load_unended, NULL);
    assert_int_equal(result.status, GOOD);
    assert_text_refused("alpha:" KEY_32 "\nbeta:" KEY_16, "line 2: the last line has no end");
    assert_text_refused("alpha:" KEY_32 KEY_16, "line 1: the last line has no end");
    assert_text_refused("alpha:" KEY_32 " listen:10.0.0.1", "line 1: the last line has no end");
}

static int check_file(void *argument)
{
    const bool *expected = argument;
    configure(NULL);
    return keyring_check(true) == expected[0] && keyring_check(false) == expected[1] ? GOOD : BAD;
}

static void assert_checked(bool whole, bool quick)
{
    struct child_result result;
    bool expected[] = {whole, quick};
    child_run(&result, check_file, expected);
    if (result.status != GOOD)
        fail_msg("expected %d and %d, output: %s", whole, quick, result.output);
}

static void test_the_check_at_the_start(void **state)
{
    (void)state;
    write_file("alpha:" KEY_16 "\n");
    assert_checked(true, true);
    write_file("rubbish\n");
    assert_checked(false, true);
    write_file("alpha:" KEY_16 "\n");
    assert_int_equal(chmod(key_file, 0644), 0);
    assert_checked(false, false);
    assert_int_equal(chmod(key_file, 0600), 0);
    if (geteuid() == 0) { /* root may become the user that the file is for */
        assert_int_equal(chown(key_file, 12345, (gid_t)-1), 0);
        assert_checked(true, true);
    }
    unlink(key_file);
    assert_checked(false, false);
}

/* ---- changes ---- */

static int take_up_changes(void *argument)
{
    (void)argument;
    configure(NULL);
    bool good = ring_is("alpha");
    write_file("gamma:" KEY_16
               "\n"); /* in place, of the same length, in the same tick of the clock perhaps */
    good = good && ring_is("gamma");
    replace_file("delta:" KEY_16 "\nbeta:" KEY_16 "\n");
    return good && ring_is("delta beta") ? GOOD : BAD;
}

static void test_a_changed_file_is_taken_up_at_once(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\n");
    child_run(&result, take_up_changes, NULL);
    assert_string_equal(result.output, "");
    assert_int_equal(result.status, GOOD);
}

static int keep_old(void *argument)
{
    (void)argument;
    configure(NULL);
    bool good = ring_is("alpha");
    write_file("rubbish\n");
    good = good && ring_is("alpha") && ring_is("alpha");
    unlink(key_file);
    good = good && ring_is("alpha") && ring_is("alpha");
    replace_file("beta:" KEY_16 "\n");
    return good && ring_is("beta") ? GOOD : BAD;
}

static void test_a_broken_change_is_reported_once_and_the_old_keys_stay(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\n");
    child_run(&result, keep_old, NULL);
    assert_int_equal(result.status, GOOD);
    assert_int_equal(count_lines(result.output, "\n"), 2);
    assert_int_equal(count_lines(result.output, "stay in use"), 2);
}

static int hold_old(void *argument)
{
    (void)argument;
    configure(NULL);
    const struct keyring *old = keyring_acquire();
    for (int i = 0; i < 200; i++) { /* more often than there are slots */
        replace_file(i % 2 ? "beta:" KEY_16 "\n" : "gamma:" KEY_16 "\nbeta:" KEY_16 "\n");
        if (!ring_is(i % 2 ? "beta" : "gamma beta"))
            return BAD;
    }
    bool good = psk_is(&old->psks[0], "alpha", 16);
    keyring_release(old);
    return good ? GOOD : BAD;
}

static void test_keys_in_use_outlive_their_file(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\n");
    child_run(&result, hold_old, NULL);
    assert_int_equal(result.status, GOOD);
}

static atomic_bool stop;

static void *acquire_constantly(void *argument)
{
    atomic_int *bad = argument;
    while (!atomic_load(&stop)) {
        const struct keyring *keyring = keyring_acquire();
        if (!keyring || keyring->count != 1 || !psk_is(&keyring->psks[0], "alpha", keyring->psks[0].key_len))
            atomic_store(bad, 1);
        keyring_release(keyring);
    }
    return NULL;
}

static int acquire_in_threads(void *argument)
{
    (void)argument;
    pthread_t threads[4];
    atomic_int bad = 0;
    configure(NULL);
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, acquire_constantly, &bad);
    for (int i = 0; i < 300; i++)
        replace_file(i % 2 ? "alpha:" KEY_16 "\n" : "alpha:" KEY_32 "\n");
    pid_t pid = fork(); /* while they are at it: the child must neither hang nor fail */
    if (pid == 0)
        _exit(ring_is("alpha") ? GOOD : BAD);
    int status = -1;
    waitpid(pid, &status, 0);
    atomic_store(&stop, true);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return atomic_load(&bad) || status != 0 ? BAD : GOOD;
}

static void test_threads_and_a_fork_during_changes(void **state)
{
    (void)state;
    struct child_result result;
    write_file("alpha:" KEY_16 "\n");
    child_run(&result, acquire_in_threads, NULL);
    assert_int_equal(result.status, GOOD);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *entries = opendir("/proc/self/fd");
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

static int count_descriptors(void *argument)
{
    (void)argument;
    configure(NULL);
    size_t before = open_descriptors();
    for (int i = 0; i < 20; i++) {
        write_file(i % 2 ? "rubbish" : "alpha:" KEY_16 "\n");
        keyring_release(keyring_acquire());
    }
    return open_descriptors() == before ? GOOD : BAD;
}

static int take_current(void *argument)
{
    (void)argument;
    configure(NULL);
    write_file("alpha:" KEY_16 "\n");
    const struct keyring *first = keyring_current(); /* nothing was read yet */
    if (!first || first->psks[0].identity_len != 5)
        return BAD;
    keyring_release(first);
    write_file("beta:" KEY_16 "\n");
    const struct keyring *current = keyring_current(), *anew = keyring_acquire();
    bool good = current && current->psks[0].identity[0] == 'a' && anew && anew->psks[0].identity[0] == 'b';
    keyring_release(current);
    keyring_release(anew);
    current = keyring_current();
    good = good && current && current->psks[0].identity[0] == 'b';
    keyring_release(current);
    return good ? GOOD : BAD;
}

static void test_further_steps_of_a_connection_do_not_look_at_the_file(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, take_current, NULL);
    assert_int_equal(result.status, GOOD);
}

static void test_no_descriptor_stays_open(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, count_descriptors, NULL);
    assert_int_equal(result.status, GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_comments_and_blanks),
        cmocka_unit_test(test_the_chosen_identities_come_first_and_no_other_is_offered),
        cmocka_unit_test(test_one_of_the_chosen_identities_is_enough),
        cmocka_unit_test(test_a_key_counts_for_the_connections_that_its_rules_name),
        cmocka_unit_test(test_a_file_that_was_cut_off),
        cmocka_unit_test(test_the_check_at_the_start),
        cmocka_unit_test(test_4096_keys_fit),
        cmocka_unit_test(test_a_missing_file),
        cmocka_unit_test(test_an_unset_variable),
        cmocka_unit_test(test_a_file_that_others_may_read_or_write),
        cmocka_unit_test(test_a_file_of_another_user),
        cmocka_unit_test(test_what_is_no_regular_file),
        cmocka_unit_test(test_a_file_without_a_key),
        cmocka_unit_test(test_a_line_of_rubbish_is_named_but_not_shown),
        cmocka_unit_test(test_an_identity_of_129_bytes),
        cmocka_unit_test(test_a_file_of_binary_rubbish),
        cmocka_unit_test(test_too_many_keys_and_too_long_a_file),
        cmocka_unit_test(test_an_identity_that_the_file_does_not_hold),
        cmocka_unit_test(test_a_changed_file_is_taken_up_at_once),
        cmocka_unit_test(test_a_broken_change_is_reported_once_and_the_old_keys_stay),
        cmocka_unit_test(test_keys_in_use_outlive_their_file),
        cmocka_unit_test(test_threads_and_a_fork_during_changes),
        cmocka_unit_test(test_further_steps_of_a_connection_do_not_look_at_the_file),
        cmocka_unit_test(test_no_descriptor_stays_open),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
