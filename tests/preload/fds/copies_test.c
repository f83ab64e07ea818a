/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Several descriptors of one connection, and numbers that are used again: dup and its kin, also while another
 * thread or a signal handler uses the connection. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

enum { SOON_MS = 3000, SWAPS = 300 };

int __close(int fd);

/* A descriptor that was copied is the same connection; the last one closed ends it. */
static void use_copy(int pair[2], int copy)
{
    char text[8];
    assert_int_equal(write(copy, "over", 4), 4);
    assert_int_equal(net_read_all(pair[1], text, 4), 4);
    assert_memory_equal(text, "over", 4);
    assert_int_equal(write(pair[1], "back", 4), 4);
    assert_int_equal(net_read_all(copy, text, 2), 2);
    assert_int_equal(net_read_all(pair[0], text + 2, 2), 2);
    assert_memory_equal(text, "back", 4);
}

static void copies_share_the_connection(const struct net *net)
{
    int pair[2], copies[5];
    char byte;
    net_pair(net, pair);
    copies[0] = dup(pair[0]);
    copies[1] = dup2(pair[0], 100);
    copies[2] = dup3(pair[0], 101, O_CLOEXEC);
    copies[3] = fcntl(pair[0], F_DUPFD, 102);
    copies[4] = fcntl(pair[0], F_DUPFD_CLOEXEC, 110);
    assert_int_equal(copies[1], 100);
    assert_int_equal(copies[2], 101);
    assert_int_equal(copies[3], 102);
    assert_int_equal(copies[4], 110);
    assert_int_equal(fcntl(copies[1], F_GETFD), 0);
    assert_int_equal(fcntl(copies[2], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(copies[4], F_GETFD), FD_CLOEXEC);
    for (size_t i = 0; i < suite_count(copies); i++)
        use_copy(pair, copies[i]);
    for (size_t i = 0; i < suite_count(copies) - 1; i++)
        assert_int_equal(close(copies[i]), 0);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(net_wait(pair[1], POLLIN, 30), 0);
    assert_int_equal(write(copies[4], "z", 1), 1);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    assert_int_equal(__close(copies[4]), 0);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    close(pair[1]);
}

/* dup2 over a sealed descriptor closes it; over a plain one makes it sealed; onto itself changes nothing. */
static void dup2_replaces(const struct net *net)
{
    int one[2], two[2], plain[2];
    char byte;
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    assert_int_equal(pipe(plain), 0);
    assert_int_equal(dup2(one[0], two[0]), two[0]);
    assert_int_equal(read(two[1], &byte, 1), 0);
    assert_int_equal(write(two[0], "a", 1), 1);
    assert_int_equal(read(one[1], &byte, 1), 1);
    assert_int_equal(dup2(one[0], one[0]), one[0]);
    assert_int_equal(dup3(one[0], one[0], 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(dup2(one[0], plain[0]), plain[0]);
    assert_int_equal(write(plain[0], "b", 1), 1);
    assert_int_equal(read(one[1], &byte, 1), 1);
    assert_int_equal(byte, 'b');
    assert_int_equal(dup2(plain[1], one[0]), one[0]);
    close(two[0]);
    assert_int_equal(net_wait(one[1], POLLIN, 20), 0);
    close(plain[0]);
    assert_int_equal(read(one[1], &byte, 1), 0);
    assert_int_equal(dup2(one[1], -1), -1);
    assert_int_equal(errno, EBADF);
    close(one[0]), close(one[1]), close(two[1]), close(plain[1]);
}

/* A number that was a sealed connection is a plain pipe later. */
static void a_number_is_used_again(const struct net *net)
{
    int pair[2], pipes[2];
    char text[4];
    net_warm_pair(net, pair);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(fcntl(pipes[0], F_DUPFD, pair[1]), pair[1]);
    close(pipes[0]);
    pipes[0] = pair[1];
    assert_int_equal(write(pipes[1], "abc", 3), 3);
    assert_int_equal(read(pipes[0], text, sizeof text), 3);
    assert_memory_equal(text, "abc", 3);
    close(pipes[0]);
    close(pipes[1]);
}

static volatile int to_close = -1, to_tell = -1;

static void close_it(int signal)
{
    (void)signal;
    close(to_close);
    close(to_tell);
}

/* A signal handler above a blocked write closes another descriptor of the same connection. */
static void a_handler_that_closes_a_copy(const struct net *net)
{
    enum { LEN = 8 << 20 };
    static char much[LEN], got[LEN];
    struct sigaction action = {.sa_handler = close_it, .sa_flags = SA_RESTART};
    int pair[2], closed[2];
    char none;
    net_warm_pair(net, pair);
    assert_int_equal(pipe(closed), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[0]), close(closed[1]);
        _exit(read(closed[0], &none, 1) == 0 && net_read_all(pair[1], got, LEN) == LEN ? 0 : 1);
    }
    close(pair[1]), close(closed[0]);
    to_close = dup(pair[0]);
    to_tell = closed[1];
    sigaction(SIGALRM, &action, NULL);
    const struct itimerval soon = {.it_value.tv_usec = 200000};
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_int_equal(net_write_all(pair[0], much, LEN), LEN);
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
}

static void *swap(void *context)
{
    const int *pair = context;
    for (int i = 0; i < SWAPS; i++) {
        if (dup2(pair[0], pair[1]) != pair[1])
            return context;
    }
    return NULL;
}

static void complaint_16_dup2_both_ways_in_two_threads(const struct net *net)
{
    int one[2], two[2];
    pthread_t threads[2];
    void *failed;
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    int there[2] = {one[0], two[0]}, back[2] = {two[0], one[0]};
    assert_int_equal(pthread_create(&threads[0], NULL, swap, there), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, swap, back), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(dup2(one[0], two[0]), two[0]); /* one of them is left, under both numbers */
    struct pollfd ends[2] = {{.fd = one[1], .events = POLLIN}, {.fd = two[1], .events = POLLIN}};
    assert_int_equal(poll(ends, 2, SOON_MS), 1);
    assert_int_equal(write(one[0], "left", 4), 4);
    net_expect_text(ends[0].revents ? two[1] : one[1], "left");
    close(one[0]), close(one[1]), close(two[0]), close(two[1]);
}

struct reader {
    int fd;
    _Atomic pid_t id;
    ssize_t got;
    char text[8];
};

static void *read_some(void *context)
{
    struct reader *reader = context;
    reader->id = gettid();
    reader->got = read(reader->fd, reader->text, sizeof reader->text);
    return NULL;
}

/* The reader goes on with what it was reading; who comes later reads what stands there now. */
static void complaint_16_dup2_over_a_descriptor_that_another_thread_is_blocked_in(const struct net *net)
{
    int one[2], two[2];
    pthread_t thread;
    struct reader reader = {0};
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    int kept = fcntl(one[1], F_DUPFD_CLOEXEC, 3);
    reader.fd = one[1];
    assert_int_equal(pthread_create(&thread, NULL, read_some, &reader), 0);
    suite_until_thread_blocked(&reader.id);
    assert_int_equal(dup2(two[1], one[1]), one[1]);
    assert_int_equal(write(one[0], "old", 3), 3);
    assert_int_equal(write(two[0], "new", 3), 3);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.got, 3);
    assert_memory_equal(reader.text, "old", 3);
    net_expect_text(one[1], "new");
    close(one[0]), close(one[1]), close(two[0]), close(two[1]), close(kept);
}

/* Refuses dup3(2) to this process, past the doors: those would widen the filter. */
static void refuse_dup3(void)
{
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {suite_count(instructions), instructions};
    sys_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    assert_int_equal(sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, sys_ptr(&program)), 0);
}

/* Nothing is changed where the library can tell before, and never is the number a plain one afterwards. */
static void dup2_fails(const struct net *net)
{
    int pair[2], ends[2];
    struct rlimit limit, low;
    net_warm_pair(net, pair);
    assert_int_equal(pipe(ends) | getrlimit(RLIMIT_NOFILE, &limit), 0);
    int high = fcntl(pair[0], F_DUPFD_CLOEXEC, 200);
    close(pair[0]);
    low = (struct rlimit){.rlim_cur = 150, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(dup2(ends[0], high), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    use_copy((int[2]){high, pair[1]}, high);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        if (net->sealed)
            refuse_dup3();
        _exit(dup2(ends[0], high) < 0 && write(high, "MARKER", 6) == 6);
    }
    close(high);
    assert_int_equal(suite_wait(child), 0); /* on a plain one dup2(2) is called, and it is replaced */
    net_expect_end(pair[1]);
    close(ends[0]), close(ends[1]);
}

static const struct suite_case cases[] = {
    {.name = "copies share the connection", .run = copies_share_the_connection},
    {.name = "dup2 replaces", .run = dup2_replaces},
    {.name = "dup2 fails", .run = dup2_fails},
    {.name = "a number is used again", .run = a_number_is_used_again},
    {.name = "a handler that closes a copy", .run = a_handler_that_closes_a_copy},
    {.name = "complaint_16_dup2_both_ways_in_two_threads", .run = complaint_16_dup2_both_ways_in_two_threads},
    {.name = "complaint_16_dup2_over_a_descriptor_that_another_thread_is_blocked_in",
     .run = complaint_16_dup2_over_a_descriptor_that_another_thread_is_blocked_in},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
