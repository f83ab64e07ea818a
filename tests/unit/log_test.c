/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Log lines and the key log: where they go, what they look like, and what they must never do to the program.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "diag/escape.h"
#include "diag/keylog.h"
#include "diag/log.h"

enum { GOOD = 0, BAD = 1 };

static char directory[64], file_name[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/log-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(file_name, sizeof file_name, "%s/file", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(file_name);
    return rmdir(directory);
}

static size_t read_file(char *out, size_t size)
{
    int fd = open(file_name, O_RDONLY);
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    out[got > 0 ? got : 0] = '\0';
    return strlen(out);
}

static int write_one_line(void *argument)
{
    log_line(LOG_WARN, "%s %d", (const char *)argument, 7);
    return getpid() % 100;
}

static void test_a_line_has_the_process_and_the_level(void **state)
{
    (void)state;
    struct child_result result;
    int pid;
    char text[] = "something";
    child_run(&result, write_one_line, text);
    assert_int_equal(sscanf(result.output, "sockseal[%d]", &pid), 1);
    assert_int_equal(pid % 100, result.status);
    assert_string_equal(strchr(result.output, ']'), "]: warning: something 7\n");
}

static int write_each_level(void *argument)
{
    log_setup(*(enum log_level *)argument, NULL);
    log_line(LOG_ERROR, "e");
    log_line(LOG_WARN, "w");
    log_line(LOG_INFO, "i");
    log_line(LOG_DEBUG, "d");
    return 0;
}

static void test_the_threshold(void **state)
{
    (void)state;
    for (enum log_level level = LOG_QUIET; level <= LOG_DEBUG; level++) {
        struct child_result result;
        size_t lines = 0;
        child_run(&result, write_each_level, &level);
        for (const char *at = result.output; (at = strchr(at, '\n')); at++)
            lines++;
        assert_int_equal(lines, level);
    }
}

static void test_control_characters_are_replaced(void **state)
{
    (void)state;
    struct child_result result;
    char text[] = "a\nb\rc\033d\177e\tf";
    child_run(&result, write_one_line, text);
    assert_non_null(strstr(result.output, "a?b?c?d?e?f 7\n"));
}

static void test_c1_control_characters_are_replaced_and_letters_are_not(void **state)
{
    (void)state;
    struct child_result result;
    char text[] = "a\xc2\x9b"
                  "31m \xc2\xa7 \xc3\x9b";
    child_run(&result, write_one_line, text);
    assert_non_null(strstr(result.output, "a??31m \xc2\xa7 \xc3\x9b 7\n"));
}

/* A lone byte of a terminal's control sequence, a turn of the direction of writing, a line separator. */
static void test_what_is_no_text_is_replaced(void **state)
{
    (void)state;
    static const struct {
        char text[24], line[24];
    } rows[] = {
        {"a\x9b"
         "31m",
         "a?31m 7\n"},
        {"a\xe2\x80\xaegnp.exe", "a???gnp.exe 7\n"},
        {"a\xe2\x81\xa6z", "a???z 7\n"},
        {"a\xe2\x80\xa8z", "a???z 7\n"},
        {"a\xc0\x9bz", "a??z 7\n"},      /* overlong */
        {"a\xed\xa0\x80z", "a???z 7\n"}, /* a surrogate */
        {"a\xe2\x82z", "a??z 7\n"},      /* ends too soon */
        {"\xf0\x9f\x94\x91 \xe2\x82\xac", "\xf0\x9f\x94\x91 \xe2\x82\xac 7\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct child_result result;
        char text[sizeof rows->text];
        strcpy(text, rows[i].text);
        child_run(&result, write_one_line, text);
        assert_non_null(strstr(result.output, rows[i].line));
    }
}

/* What a peer has sent is printable ASCII in the log, and cannot end its quotation. */
static void test_a_peers_text_is_escaped(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(escape_peer(out, sizeof out, "alice", 5), "alice");
    assert_string_equal(escape_peer(out, sizeof out, "", 0), "");
    assert_string_equal(escape_peer(out, sizeof out, "a'b\"c\\d`", 8), "a\\x27b\\x22c\\x5cd\\x60");
    assert_string_equal(escape_peer(out, sizeof out, "\0\n\x9b\xff\x7f", 5), "\\x00\\x0a\\x9b\\xff\\x7f");
    assert_string_equal(escape_peer(out, sizeof out, "\xe2\x80\xae", 3), "\\xe2\\x80\\xae");
}

static void test_a_peers_text_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'x', sizeof text);
    for (size_t size = 4; size < 40; size++) {
        char *out = malloc(size); /* so that a sanitizer sees a byte too many */
        escape_peer(out, size, text, sizeof text);
        assert_int_equal(strlen(out), size - 1);
        assert_string_equal(out + size - 4, "...");
        escape_peer(out, size, "\1\2\3\4\5\6\7\1\2\3", 10);
        assert_true(strlen(out) < size);
        assert_string_equal(out + strlen(out) - 3, "...");
        escape_peer(out, size, text, size - 1);
        assert_int_equal(strlen(out), size - 1);
        assert_null(strchr(out, '.'));
        free(out);
    }
}

static void test_a_long_line_is_cut_and_still_one_line(void **state)
{
    (void)state;
    struct child_result result;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    child_run(&result, write_one_line, text);
    size_t len = strlen(result.output);
    assert_true(len <= 1024);
    assert_string_equal(result.output + len - 4, "...\n");
}

static int check_errno(void *argument)
{
    (void)argument;
    errno = EXDEV;
    log_line(LOG_ERROR, "x");
    log_setup(LOG_WARN, "/nonexistent/file");
    log_line(LOG_ERROR, "x");
    return errno == EXDEV ? GOOD : BAD;
}

static void test_errno_is_kept(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, check_errno, NULL);
    assert_int_equal(result.status, GOOD);
}

static int write_to_file(void *argument)
{
    (void)argument;
    log_setup(LOG_WARN, file_name);
    log_line(LOG_ERROR, "first");
    log_line(LOG_ERROR, "second");
    return 0;
}

static void test_lines_are_appended_to_the_file(void **state)
{
    (void)state;
    struct child_result result;
    char text[256];
    unlink(file_name);
    child_run(&result, write_to_file, NULL);
    assert_string_equal(result.output, "");
    read_file(text, sizeof text);
    assert_non_null(strstr(text, "error: first\n"));
    assert_non_null(strstr(text, "error: second\n"));
}

static int write_to_missing_directory(void *argument)
{
    (void)argument;
    log_setup(LOG_WARN, "/nonexistent/file");
    log_line(LOG_ERROR, "not lost");
    return 0;
}

static void test_a_file_that_cannot_be_opened_loses_no_line(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, write_to_missing_directory, NULL);
    assert_non_null(strstr(result.output, "not lost"));
}

static int write_to_closed_pipe(void *argument)
{
    int pipes[2];
    (void)argument;
    if (pipe(pipes) != 0)
        return BAD;
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[0]);
    log_line(LOG_ERROR, "nobody reads this");
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) ? BAD : GOOD;
}

static void test_a_closed_standard_error_raises_no_sigpipe(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, write_to_closed_pipe, NULL);
    assert_int_equal(result.status, GOOD);
}

static int write_to_full_pipe(void *argument)
{
    int pipes[2];
    char block[4096] = "";
    (void)argument;
    if (pipe(pipes) != 0)
        return BAD;
    fcntl(pipes[1], F_SETFL, O_NONBLOCK);
    while (write(pipes[1], block, sizeof block) > 0)
        ;
    fcntl(pipes[1], F_SETFL, 0);
    dup2(pipes[1], STDERR_FILENO);
    alarm(5);
    log_line(LOG_ERROR, "there is no room for this");
    return GOOD;
}

static void test_a_full_standard_error_does_not_block(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, write_to_full_pipe, NULL);
    assert_int_equal(result.status, GOOD);
}

/* Gives two ends of a TCP connection on the loopback interface. */
static bool connect_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0 ||
        connect(ends[0], (struct sockaddr *)&address, len) != 0)
        return false;
    ends[1] = accept(listener, NULL, NULL);
    return close(listener) == 0 && ends[1] >= 0;
}

static int write_to_socket(void *argument)
{
    int ends[2];
    char byte;
    (void)argument;
    if (!connect_pair(ends))
        return BAD;
    dup2(ends[0], STDERR_FILENO);
    log_line(LOG_ERROR, "plaintext between the records");
    return recv(ends[1], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN ? GOOD : BAD;
}

static void test_nothing_is_written_to_a_connection(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, write_to_socket, NULL);
    assert_int_equal(result.status, GOOD);
}

static int write_keylog(void *argument)
{
    uint8_t client_random[32], secret[32];
    (void)argument;
    for (size_t i = 0; i < 32; i++) {
        client_random[i] = (uint8_t)i;
        secret[i] = (uint8_t)(0xff - i);
    }
    keylog_write("UNSEEN", client_random, secret);
    keylog_setup(file_name);
    keylog_write("CLIENT_TRAFFIC_SECRET_0", client_random, secret);
    return 0;
}

static void test_the_key_log(void **state)
{
    (void)state;
    struct child_result result;
    struct stat st;
    char text[512];
    unlink(file_name);
    umask(0);
    child_run(&result, write_keylog, NULL);
    read_file(text, sizeof text);
    assert_string_equal(text, "CLIENT_TRAFFIC_SECRET_0 "
                              "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f "
                              "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0\n");
    assert_int_equal(stat(file_name, &st), 0);
    assert_int_equal(st.st_mode & 07777u, 0600);
}

static int write_keylog_nowhere(void *argument)
{
    uint8_t bytes[32] = {0};
    (void)argument;
    keylog_setup("/nonexistent/keylog");
    keylog_write("A", bytes, bytes);
    keylog_write("B", bytes, bytes);
    return 0;
}

static void test_a_key_log_that_cannot_be_written_is_reported_once(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, write_keylog_nowhere, NULL);
    assert_non_null(strstr(result.output, "/nonexistent/keylog"));
    assert_ptr_equal(strchr(result.output, '\n'), result.output + strlen(result.output) - 1);
}

static int log_to_the_journal(void *argument)
{
    struct stat st;
    char stream[64];
    if (fstat(STDERR_FILENO, &st) != 0)
        return 1;
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + (argument ? 1 : 0));
    log_name_journal(stream);
    log_setup(LOG_DEBUG, NULL);
    log_line(LOG_ERROR, "an error");
    log_line(LOG_DEBUG, "a detail");
    return 0;
}

static void test_priorities_where_standard_error_is_the_journal(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, log_to_the_journal, NULL);
    assert_int_equal(strncmp(result.output, "<3>sockseal[", 12), 0);
    assert_non_null(strstr(result.output, "an error\n<7>sockseal["));
    child_run(&result, log_to_the_journal, &result); /* another stream was the journal's */
    assert_int_equal(strncmp(result.output, "sockseal[", 9), 0);
    assert_null(strchr(result.output, '<'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_the_process_and_the_level),
        cmocka_unit_test(test_the_threshold),
        cmocka_unit_test(test_control_characters_are_replaced),
        cmocka_unit_test(test_c1_control_characters_are_replaced_and_letters_are_not),
        cmocka_unit_test(test_what_is_no_text_is_replaced),
        cmocka_unit_test(test_a_peers_text_is_escaped),
        cmocka_unit_test(test_a_peers_text_that_does_not_fit_is_cut),
        cmocka_unit_test(test_a_long_line_is_cut_and_still_one_line),
        cmocka_unit_test(test_errno_is_kept),
        cmocka_unit_test(test_lines_are_appended_to_the_file),
        cmocka_unit_test(test_a_file_that_cannot_be_opened_loses_no_line),
        cmocka_unit_test(test_a_closed_standard_error_raises_no_sigpipe),
        cmocka_unit_test(test_a_full_standard_error_does_not_block),
        cmocka_unit_test(test_nothing_is_written_to_a_connection),
        cmocka_unit_test(test_the_key_log),
        cmocka_unit_test(test_a_key_log_that_cannot_be_written_is_reported_once),
        cmocka_unit_test(test_priorities_where_standard_error_is_the_journal),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
