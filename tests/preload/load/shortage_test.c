/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the kernel does not give: each time one line in the log, and a definite errno. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Past the doors, which would let the library's own calls through the filter. */
static long raw_call(long number, long a, long b, long c)
{
#if defined(__x86_64__)
    long result;
    register long d __asm__("r10") = 0;
    register long e __asm__("r8") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(d), "r"(e)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#endif
}

/* getrandom(2) is not there, and no file can be opened. */
static void deny_random(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    const struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    if (raw_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0) < 0 ||
        raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)(intptr_t)&filter) < 0)
        exit(5);
}

static int told(int result)
{
    printf("%s\n", result < 0 ? strerrorname_np(errno) : "fine");
    fflush(stdout);
    return 0;
}

static int no_random_at_start(struct sockaddr_in *address)
{
    int one = net_client(&net_sealed, 0);
    deny_random();
    return told(net_connect_to(one, address));
}

/* The keys are read, and libsodium is ready. */
static int no_random_later(struct sockaddr_in *address)
{
    int one = net_client(&net_sealed, 0), two = net_connect(&net_sealed, address);
    deny_random();
    int result = net_connect_to(one, address);
    close(two);
    return told(result);
}

static void *write_for_good(void *context)
{
    static char much[8 << 20];
    (void)!write(*(int *)context, much, sizeof much);
    return NULL;
}

/* The buffers that there are already are in use: writes of other threads, which nobody reads, hold them. */
static int no_memory_for_a_call(struct sockaddr_in *address)
{
    enum { OTHERS = 4 };
    static char data[100000];
    static int others[OTHERS][2];
    char byte;
    int pair[2];
    pthread_t thread;
    (void)address;
    net_warm_pair(&net_sealed, pair);
    for (int i = 0; i < OTHERS; i++) {
        net_warm_pair(&net_sealed, others[i]);
        pthread_create(&thread, NULL, write_for_good, &others[i][0]);
    }
    for (int i = 0; i < OTHERS; i++)
        while (net_wait(others[i][0], POLLOUT, 50))
            net_sleep_ms(1);
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    int result = (int)write(pair[0], data, sizeof data);
    told(result);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_AS, &limit);
    /* Nothing of it was sent, and the connection is whole. */
    _exit(write(pair[0], "x", 1) == 1 && read(pair[1], &byte, 1) == 1 && byte == 'x' ? 0 : 1);
}

static const struct {
    const char *name;
    int (*run)(struct sockaddr_in *address);
} hows[] = {
    {"at start", no_random_at_start},
    {"later", no_random_later},
    {"memory", no_memory_for_a_call},
};

static int short_role(int argc, char **argv)
{
    struct sockaddr_in address;
    for (size_t i = 0; argc == 2 && i < suite_count(hows); i++) {
        if (strcmp(hows[i].name, argv[1]) == 0) {
            net_listen(&net_sealed, 4, &address);
            return hows[i].run(&address);
        }
    }
    return 2;
}

/* Expects the errno, and a line, one, with these words. */
static void falls_short(const char *how, const char *error, const char *words)
{
    const char *args[] = {how, NULL}, *changes[] = {NULL};
    char log[4096];
    int pipes[2];
    if (!suite_has_library())
        skip();
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = suite_spawn("short", args, changes, pipes[1], pipes[1]);
    close(pipes[1]);
    log[net_read_all(pipes[0], log, sizeof log - 1)] = '\0';
    close(pipes[0]);
    assert_int_equal(suite_wait(child), 0);
    const char *line = strstr(log, words);
    if (!line || strstr(line + 1, words) || !strstr(log, error))
        fail_msg("%s: %s", how, log);
}

static void no_random_numbers_at_the_start(void)
{
    falls_short("at start", "EIO", "no random numbers");
}

static void no_random_numbers_any_more(void)
{
    falls_short("later", "EIO", "no random numbers");
}

static void no_memory_for_a_write(void)
{
    falls_short("memory", "ENOBUFS", "no memory for a call on a sealed connection");
}

int main(int argc, char **argv)
{
    static const struct suite_role roles[] = {{"short", short_role}};
    static const struct suite_test tests[] = {
        {"no random numbers at the start", no_random_numbers_at_the_start, 0},
        {"no random numbers any more", no_random_numbers_any_more, 0},
        {"no memory for a write", no_memory_for_a_write, 0},
    };
    suite_roles(roles, suite_count(roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
