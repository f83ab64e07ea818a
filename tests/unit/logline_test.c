/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a log line looks like in each place (diag/logline.h), and the sockets of log daemons. */

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
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "diag/log.h"
#include "diag/logfile.h"

enum { NAME = 120 };

static char directory[64], file_name[NAME], syslog_name[NAME], journal_name[NAME], journal_directory[NAME];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/logline-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(file_name, sizeof file_name, "%s/file", directory);
    snprintf(syslog_name, sizeof syslog_name, "%s/dev-log", directory);
    snprintf(journal_directory, sizeof journal_directory, "%s/journal", directory);
    snprintf(journal_name, sizeof journal_name, "%s/journal/socket", directory);
    return mkdir(journal_directory, 0700);
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(file_name);
    unlink(syslog_name);
    unlink(journal_name);
    rmdir(journal_directory);
    return rmdir(directory);
}

/* A daemon's socket of this name. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    unlink(name);
    strcpy(address.sun_path, name);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void receive(int fd, char *text, size_t size)
{
    ssize_t got = recv(fd, text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
}

static int say(void *argument)
{
    const char *const *words = argument; /* file, format, text */
    log_setup(LOG_DEBUG, words[0]);
    log_set_format(words[1] ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
    errno = EXDEV;
    log_line(LOG_ERROR, "%s", words[2]);
    return errno == EXDEV ? 0 : 1;
}

/* What a child of this name writes to standard error. */
static const char *said(const char *file, bool json, const char *text)
{
    static struct child_result result;
    child_run(&result, say, (const char *[]){file, json ? "json" : NULL, text});
    assert_int_equal(result.status, 0);
    return result.output;
}

static const char *read_file(void)
{
    static char text[4096];
    int fd = open(file_name, O_RDONLY);
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    unlink(file_name);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

/* The time that a line says, which must be now. */
static void assert_now(const char *text)
{
    struct tm fields = {0};
    int thousandths;
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &fields.tm_year, &fields.tm_mon,
                            &fields.tm_mday, &fields.tm_hour, &fields.tm_min, &fields.tm_sec, &thousandths),
                     7);
    fields.tm_year -= 1900;
    fields.tm_mon -= 1;
    const time_t said_time = timegm(&fields), now = time(NULL);
    assert_true(said_time <= now && said_time > now - 60);
}

static void test_a_file_has_the_time_and_the_program(void **state)
{
    (void)state;
    char expected[80];
    assert_string_equal(said(file_name, false, "a text"), "");
    const char *text = read_file();
    assert_now(text);
    snprintf(expected, sizeof expected, "Z %s sockseal[", program_invocation_short_name);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "]: error: a text\n"));
}

static void test_json(void **state)
{
    (void)state;
    char before[80];
    snprintf(before, sizeof before,
             "\"level\":\"error\",\"program\":\"%s\",\"pid\":", program_invocation_short_name);
    const char *text = said(NULL, true, "a \"quoted\" \\ \n\xc3\xa9 text");
    assert_int_equal(strncmp(text, "{\"time\":\"", 9), 0);
    assert_now(text + 9);
    assert_non_null(strstr(text, before));
    assert_non_null(strstr(text, ",\"message\":\"a \\\"quoted\\\" \\\\ ?\xc3\xa9 text\"}\n"));
    said(file_name, true, "a text");
    assert_int_equal(read_file()[0], '{');
}

static void test_a_line_of_quotes_alone_fits(void **state)
{
    (void)state;
    char quotes[3000];
    memset(quotes, '"', sizeof quotes - 1);
    quotes[sizeof quotes - 1] = '\0';
    assert_string_equal(said(file_name, true, quotes), "");
    const char *text = read_file(), *end = strstr(text, "...\"}\n");
    assert_non_null(end);
    assert_int_equal(end[6], '\0');
}

static void test_a_syslog_daemon(void **state)
{
    (void)state;
    char text[256];
    int pid, used = 0, daemon = listen_at(syslog_name);
    for (int json = 0; json <= 1; json++) {
        assert_string_equal(said(syslog_name, json, "a text"), "");
        receive(daemon, text, sizeof text);
        assert_int_equal(sscanf(text, "<27>sockseal[%d]: error: a text%n", &pid, &used), 1);
        assert_int_equal(text[used], '\0');
    }
    close(daemon);
}

static void test_journald(void **state)
{
    (void)state;
    char text[256], expected[200];
    int daemon = listen_at(journal_name);
    assert_string_equal(said(journal_name, false, "a\ntext"), "");
    receive(daemon, text, sizeof text);
    snprintf(
        expected, sizeof expected,
        "PRIORITY=3\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=sockseal\nSOCKSEAL_PROGRAM=%s\nMESSAGE=a?text\n",
        program_invocation_short_name);
    assert_string_equal(text, expected);
    close(daemon);
}

/* Lines must not get lost, nor the program wait. */
static void test_a_daemon_that_does_not_take_lines(void **state)
{
    (void)state;
    int daemon = listen_at(syslog_name), refused = 0;
    for (int i = 0; i < 2000 && !refused; i++)
        refused = strcmp(said(syslog_name, false, "a text"), "") != 0;
    assert_true(refused);
    close(daemon); /* its socket is still there, and nobody listens */
    assert_non_null(strstr(said(syslog_name, false, "a text"), "error: a text\n"));
    unlink(syslog_name);
    assert_non_null(strstr(said(syslog_name, false, "a text"), "error: a text\n"));
}

static void test_what_is_no_daemon(void **state)
{
    (void)state;
    const char *reason = NULL;
    close(open(syslog_name, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(logfile_check(syslog_name, LOGFILE_LOG, &reason), -EPERM);
    assert_string_equal(reason, "it is no socket of a log daemon");
    unlink(syslog_name);
    assert_int_equal(logfile_check(syslog_name, LOGFILE_LOG, &reason), -ENOENT);
    int daemon = listen_at(syslog_name);
    assert_int_equal(logfile_check(syslog_name, LOGFILE_LOG, &reason), 0);
    assert_true(logfile_check(syslog_name, LOGFILE_SECRET, &reason) < 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(syslog_name, 65534, 65534), 0);
        assert_int_equal(logfile_check(syslog_name, LOGFILE_LOG, &reason), -EPERM);
        assert_string_equal(reason, "it belongs to another user");
    }
    close(daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_has_the_time_and_the_program),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_a_line_of_quotes_alone_fits),
        cmocka_unit_test(test_a_syslog_daemon),
        cmocka_unit_test(test_journald),
        cmocka_unit_test(test_a_daemon_that_does_not_take_lines),
        cmocka_unit_test(test_what_is_no_daemon),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
