/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the kernel does not give: each time one line in the log, and a definite errno. */

#include "suite.h"

#include "denied.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* getrandom(2) is not there, and no file can be opened. */
static void deny_random(void)
{
    static const int calls[] = {SYS_getrandom, SYS_openat};
    denied_calls(calls, suite_count(calls), ENOSYS);
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
