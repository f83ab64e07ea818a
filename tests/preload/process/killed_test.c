/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Processes that are killed, or end at once, with connections that they share with others: nothing stays
 * behind in the memory that they shared, and nobody waits for them. */

#include "suite.h"

#include "leaks.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 600, WARM = 60, GROWTH = 64 * 1024 };

/* A child that is killed while it reads; its connection was nobody else's. */
static void kill_one(const struct net *net)
{
    int pair[2];
    char byte;
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        ssize_t ready = write(pair[0], "r", 1);
        _exit(ready == 1 && read(pair[0], &byte, 1) == 1);
    }
    close(pair[0]);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    kill(child, SIGKILL);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    assert_in_range(read(pair[1], &byte, 1) + 1, 0, 1);
    close(pair[1]);
}

static void one_after_the_other(const struct net *net)
{
    for (int i = 0; i < WARM; i++)
        kill_one(net);
    long before = leaks_shared_memory();
    for (int i = 0; i < MANY; i++)
        kill_one(net);
    assert_in_range(leaks_shared_memory(), 0, before + GROWTH);
}

/* Ends by SIGKILL while it is blocked in a read, or by itself. The process is dead, but not waited for. */
static pid_t dead_child(int pair[2], bool killed)
{
    siginfo_t info;
    pid_t child = suite_fork();
    if (child == 0) {
        char byte;
        if (!killed)
            _exit(0);
        close(pair[1]);
        _exit((int)read(pair[0], &byte, 1));
    }
    if (killed) {
        suite_until_blocked(child);
        kill(child, SIGKILL);
    }
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    return child;
}

static void a_child_dies_reading(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = dead_child(pair, true);
    assert_int_equal(write(pair[1], "for the parent", 14), 14);
    net_expect_text(pair[0], "for the parent");
    assert_int_equal(write(pair[0], "back", 4), 4);
    net_expect_text(pair[1], "back");
    close(pair[0]);
    net_expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
}

static void a_child_leaves_at_once(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = dead_child(pair, false);
    close(pair[0]);
    net_expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

static void leave(int number)
{
    (void)number;
    _exit(7);
}

static void leave_orderly(int number)
{
    (void)number;
    exit(7);
}

/* The interrupted write holds the connection for good: nobody may wait for it. */
static void leaving_a_blocked_write(const struct net *net)
{
    void (*const handlers[])(int) = {leave, leave_orderly};
    for (size_t i = 0; i < suite_count(handlers); i++) {
        static char data[1 << 20];
        int pair[2];
        net_warm_pair(net, pair);
        pid_t child = suite_fork();
        if (child == 0) {
            close(pair[1]);
            signal(SIGTERM, handlers[i]);
            while (write(pair[0], data, sizeof data) > 0)
                ;
            _exit(1);
        }
        close(pair[0]);
        suite_until_blocked(child);
        int64_t start = net_now_ms();
        kill(child, SIGTERM);
        assert_int_equal(suite_wait(child), 7);
        assert_in_range(net_now_ms() - start, 0, 3000);
        close(pair[1]);
    }
}

/* A child that blocks in write(2) on fd and is killed there: of its last records, only the kernel knows how
 * much has gone. */
static void kill_a_writer(int fd)
{
    static char much[8 << 20];
    pid_t child = suite_fork();
    if (child == 0) {
        (void)!write(fd, much, sizeof much);
        _exit(1);
    }
    suite_until_blocked(child);
    kill(child, SIGKILL);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
}

static void expect_broken(int fd)
{
    errno = 0;
    net_set_nonblock(fd, true);
    assert_int_equal(write(fd, "other bytes", 11), -1);
    assert_int_equal(errno, EIO);
}

/* What it left must not be sealed again with other bytes, whoever touches the connection first. */
static void a_killed_writer_and_a_close(void)
{
    int pair[2];
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    int copy = dup(pair[0]);
    kill_a_writer(pair[0]);
    close(copy);
    expect_broken(pair[0]);
    close(pair[0]), close(pair[1]);
}

static void just_close(int fd)
{
    close(fd);
}

static void shut_down_and_close(int fd)
{
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void leave_it_to_the_end_of_a_process(int fd)
{
    pid_t child = suite_fork();
    if (child == 0)
        exit(0);
    close(fd);
    suite_wait(child);
}

static void leave_it_to_exec(int fd)
{
    pid_t child = suite_fork();
    if (child == 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    close(fd);
    suite_wait(child);
}

/* The stream ends in the middle of what the dead process was sending, whoever closes the connection in order:
 * its peer must not take that for the end. */
static void a_killed_writer_is_no_clean_end(void)
{
    static void (*const ends[])(int) = {just_close, shut_down_and_close, leave_it_to_the_end_of_a_process,
                                        leave_it_to_exec};
    static char data[1 << 16];
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(ends); i++) {
        int pair[2];
        ssize_t got;
        net_warm_pair(&net_sealed, pair);
        kill_a_writer(pair[0]);
        ends[i](pair[0]);
        while ((got = read(pair[1], data, sizeof data)) > 0) {
        }
        assert_int_equal(got, -1);
        assert_int_equal(errno, ECONNRESET);
        close(pair[1]);
    }
}

/* A reader that was killed has taken nothing: who asks what there is must not stand in the way after that. */
static void asking_after_a_killed_reader(const struct net *net)
{
    int pair[2], available = 0;
    char text[8] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        (void)!read(pair[0], text, 1);
        _exit(1);
    }
    suite_until_blocked(child);
    kill(child, SIGKILL);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    assert_int_equal(write(pair[1], "text", 4), 4);
    for (int64_t end = net_now_ms() + 3000; available < 4 && net_now_ms() < end;)
        assert_int_equal(ioctl(pair[0], FIONREAD, &available), 0);
    assert_int_equal(available, 4);
    assert_int_equal(read(pair[0], text, 4), 4);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "one after the other", .run = one_after_the_other},
    {.name = "a child dies reading", .run = a_child_dies_reading},
    {.name = "a child leaves at once", .run = a_child_leaves_at_once},
    {.name = "leaving a blocked write", .run = leaving_a_blocked_write},
    {.name = "asking after a killed reader", .run = asking_after_a_killed_reader},
};

static const struct suite_test tests[] = {
    {.name = "a killed writer and a close", .run = a_killed_writer_and_a_close},
    {.name = "a killed writer is no clean end", .run = a_killed_writer_is_no_clean_end},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
