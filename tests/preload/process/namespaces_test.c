/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Processes of several PID namespaces share a connection: each of them may be process 1 of its own. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 2, LINES = 5000, LINE = 24 };

/* Runs `work` as process 1 of a new namespace: a child, and the only one, of the process that is returned. */
static pid_t in_own_namespace(int (*work)(int fd, int number), int fd, int number)
{
    pid_t outside = suite_fork();
    if (outside != 0)
        return outside;
    if (unshare(CLONE_NEWPID) < 0)
        _exit(errno == EPERM ? 77 : 1);
    pid_t inside = fork();
    if (inside == 0)
        _exit(getpid() == 1 ? work(fd, number) : 2);
    int status;
    _exit(waitpid(inside, &status, 0) == inside && WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static int write_lines(int fd, int number)
{
    char line[LINE + 1];
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "writer %d: line %8d\n", number, i);
        ssize_t n = write(fd, line, strlen(line));
        if (n != (ssize_t)strlen(line)) {
            fprintf(stderr, "writer %d, line %d: %zd, %s\n", number, i, n, strerror(errno));
            return 4;
        }
    }
    return 0;
}

/* Each line is whole, and each writer's come in their order. */
static void expect_lines(int fd)
{
    FILE *stream = fdopen(fd, "r");
    int next[WRITERS] = {0}, number, count;
    char line[100];
    assert_non_null(stream);
    while (fgets(line, sizeof line, stream)) {
        assert_int_equal(sscanf(line, "writer %d: line %d", &number, &count), 2);
        assert_in_range(number, 0, WRITERS - 1);
        assert_int_equal(count, next[number]++);
    }
    assert_false(ferror(stream));
    fclose(stream);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(next[i], LINES);
}

static bool all_well(const pid_t *children, int count)
{
    bool allowed = true;
    for (int i = 0; i < count; i++) {
        int status = suite_wait(children[i]);
        if (status == 77)
            allowed = false;
        else
            assert_int_equal(status, 0);
    }
    return allowed;
}

static void written_at_once(const struct net *net)
{
    int pair[2];
    pid_t writers[WRITERS];
    net_warm_pair(net, pair);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = in_own_namespace(write_lines, pair[0], i);
    close(pair[0]);
    pid_t reader = suite_fork();
    if (reader == 0) {
        expect_lines(pair[1]);
        _exit(0);
    }
    close(pair[1]);
    if (!all_well(writers, WRITERS)) {
        kill(reader, SIGKILL);
        suite_wait(reader);
        skip();
    }
    assert_int_equal(suite_wait(reader), 0);
}

static int write_one(int fd, int number)
{
    return dprintf(fd, "%d\n", number) > 0 ? 0 : 5;
}

/* One after the other, each in a namespace that has ended when the next one begins. */
static void written_in_turn(const struct net *net)
{
    int pair[2];
    char text[64] = "", expected[64] = "";
    net_warm_pair(net, pair);
    for (int i = 0; i < 8; i++) {
        pid_t writer = in_own_namespace(write_one, pair[0], i);
        if (!all_well(&writer, 1))
            skip();
        snprintf(expected + 2 * i, 3, "%d\n", i);
    }
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
    close(pair[1]);
}

/* Waits in the kernel, with the lock of its direction. */
static int read_one(int fd, int number)
{
    char byte = 0;
    return read(fd, &byte, 1) == 1 && (byte == 'a' || byte == 'b') ? 0 : 10 + number;
}

/* Two readers of the same number wait for a byte each. */
static void read_by_two(const struct net *net)
{
    int pair[2];
    pid_t readers[2];
    net_warm_pair(net, pair);
    for (int i = 0; i < 2; i++)
        readers[i] = in_own_namespace(read_one, pair[1], i);
    for (int i = 0; i < 2; i++)
        suite_until_blocked(readers[i]);
    net_sleep_ms(20);
    assert_int_equal(write(pair[0], "ab", 2), 2);
    if (!all_well(readers, 2))
        skip();
    close(pair[0]);
    close(pair[1]);
}

static const struct suite_case cases[] = {
    {"written at once from two PID namespaces", written_at_once, 60},
    {"written in turn from PID namespaces", written_in_turn, 30},
    {"read by two of one number", read_by_two, 30},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
