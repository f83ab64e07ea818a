/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a second review found, and what must not come back: a writer that was killed and is forgotten, locks
 * that a child was born with, what a sandbox lets through. */

#include "support/suite.h"

#include "support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- a writer that was killed ---- */

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
    net_sleep_ms(200);
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
    net_sleep_ms(100);
    kill(child, SIGKILL);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    assert_int_equal(write(pair[1], "text", 4), 4);
    net_sleep_ms(50);
    assert_int_equal(ioctl(pair[0], FIONREAD, &available), 0);
    assert_int_equal(available, 4);
    assert_int_equal(read(pair[0], text, 4), 4);
    close(pair[0]), close(pair[1]);
}

static volatile int to_close = -1;

static void close_it(int signal)
{
    (void)signal;
    close(to_close);
}

/* A signal handler above a blocked write closes another descriptor of the same connection. */
static void a_handler_that_closes_a_copy(const struct net *net)
{
    enum { LEN = 8 << 20 };
    static char much[LEN], got[LEN];
    struct sigaction action = {.sa_handler = close_it, .sa_flags = SA_RESTART};
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[0]);
        net_sleep_ms(600);
        _exit(net_read_all(pair[1], got, LEN) == LEN ? 0 : 1);
    }
    close(pair[1]);
    to_close = dup(pair[0]);
    sigaction(SIGALRM, &action, NULL);
    const struct itimerval soon = {.it_value.tv_usec = 200000};
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_int_equal(net_write_all(pair[0], much, LEN), LEN);
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
}

/* ---- a sandbox ---- */

#define ALLOW(number)                                                                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter instructions[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_read),
    ALLOW(SYS_write),
    ALLOW(SYS_close),
    ALLOW(SYS_exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* A pointer whose low half is 0. */
static void *const HALF_NULL = (void *)(uintptr_t)0x700000000;

static void map_executable(void)
{
    syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void set_a_limit(void)
{
    syscall(SYS_prlimit64, 0, RLIMIT_CORE, HALF_NULL, NULL);
}

static void set_a_handler(void)
{
    syscall(SYS_rt_sigaction, SIGUSR1, HALF_NULL, NULL, 8);
}

static void send_to_an_address(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    syscall(SYS_sendto, -1, "x", 1, 0, &address, sizeof address);
}

static void confined(void (*act)(void))
{
    struct sock_fprog filter = {suite_count(instructions), instructions};
    pid_t child = suite_fork();
    if (child == 0) {
        if (mmap(HALF_NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
                HALF_NULL ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
            _exit(90);
        act();
        _exit(0);
    }
    assert_int_equal(suite_wait(child), 1000 + SIGSYS);
}

static void what_a_filter_forbids_by_arguments(void)
{
    confined(map_executable);
    confined(set_a_limit);
    confined(set_a_handler);
    confined(send_to_an_address);
}

/* The program's own filter allows what its fork needs. */
static void forking_in_a_sandbox(const struct net *net)
{
    static struct sock_filter allowing[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_close),
        ALLOW(SYS_clone),
        ALLOW(SYS_set_robust_list),
        ALLOW(SYS_wait4),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {suite_count(allowing), allowing};
    int pair[2], status;
    char text[8] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
            _exit(90);
        pid_t second = fork();
        if (second == 0)
            _exit(write(pair[0], "second", 6) == 6 ? 0 : 1);
        _exit(waitpid(second, &status, 0) == second && status == 0 ? 0 : 2);
    }
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(net_read_all(pair[1], text, 6), 6);
    close(pair[0]), close(pair[1]);
}

/* ---- locks of other threads ---- */

static _Atomic bool over;

static void *use_stdio(void *unused)
{
    while (!over) {
        FILE *stream = fopen("/dev/null", "r");
        if (stream)
            fclose(stream);
        free(malloc(300));
    }
    return unused;
}

/* posix_spawn(3) with the connection as the program's standard output. */
static void spawning_beside_threads(const struct net *net)
{
    enum { THREADS = 3, ROUNDS = 150 };
    pthread_t threads[THREADS];
    int pair[2];
    char *const words[] = {(char *)"true", NULL};
    net_warm_pair(net, pair);
    over = false;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_stdio, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        posix_spawn_file_actions_t actions;
        pid_t child;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
        assert_int_equal(posix_spawn(&child, "/bin/true", &actions, NULL, words, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        assert_int_equal(suite_wait(child), 0);
    }
    over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    close(pair[0]), close(pair[1]);
}

/* ---- daemon(3) ---- */

/* What the program has written and closed before the keys stood is finished by its parent's end. */
static void daemon_after_a_close(const struct net *net)
{
    struct sockaddr_in address;
    char text[8] = "";
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        close(listener);
        int fd = net_connect(net, &address);
        net_set_nonblock(fd, true);
        if (write(fd, "before", 6) != 6 || close(fd) != 0 || daemon(1, 1) != 0)
            _exit(1);
        _exit(0);
    }
    net_sleep_ms(100);
    int fd = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(fd, text, 6), 6);
    assert_string_equal(text, "before");
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener);
}

static const struct suite_test tests[] = {
    {.name = "a killed writer and a close", .run = a_killed_writer_and_a_close},
    {.name = "what a filter forbids by arguments", .run = what_a_filter_forbids_by_arguments},
};

static const struct suite_case cases[] = {
    {.name = "spawning beside threads", .run = spawning_beside_threads},
    {.name = "asking after a killed reader", .run = asking_after_a_killed_reader},
    {.name = "a handler that closes a copy", .run = a_handler_that_closes_a_copy},
    {.name = "forking in a sandbox", .run = forking_in_a_sandbox},
    {.name = "daemon after a close", .run = daemon_after_a_close},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
