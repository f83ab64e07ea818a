/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What programs do with splice(2): proxies between two connections, in threads, after fork(2), without a
 * descriptor to spare; and a peer that does not seal. */

#include "suite.h"

#include "calls_transfer.h"
#include "doors_transfer.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BULK = 8 << 20, PROXIES = 4 };

/* front[0] writes, front[1] -> pipe -> back[0], back[1] reads. */
struct route {
    int front[2], back[2];
    size_t total;
    bool waits; /* with poll and O_NONBLOCK, as HAProxy does */
};

static void *give(void *context)
{
    static const size_t step = 70000;
    struct route *route = context;
    uint8_t data[70000];
    for (size_t done = 0; done < route->total;) {
        size_t len = route->total - done < step ? route->total - done : step;
        net_pattern(data, len, done);
        assert_int_equal(net_write_all(route->front[0], data, len), len);
        done += len;
    }
    shutdown(route->front[0], SHUT_WR);
    return NULL;
}

static void *pass_blocking(void *context)
{
    struct route *route = context;
    int pipe[2];
    ssize_t moved;
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    while ((moved = splice(route->front[1], NULL, pipe[1], NULL, 1 << 20, SPLICE_F_MOVE)) > 0) {
        for (ssize_t left = moved, gone; left > 0; left -= gone) {
            gone = splice(pipe[0], NULL, route->back[0], NULL, (size_t)left, SPLICE_F_MOVE | SPLICE_F_MORE);
            assert_true(gone > 0);
        }
    }
    assert_int_equal(moved, 0);
    shutdown(route->back[0], SHUT_WR);
    close(pipe[0]), close(pipe[1]);
    return NULL;
}

/* Into the pipe until it is full or there is nothing, out of it until it is empty or the socket is full. */
static void *pass_non_blocking(void *context)
{
    struct route *route = context;
    int pipe[2];
    size_t holds = 0;
    bool ended = false;
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    net_set_nonblock(route->front[1], true);
    net_set_nonblock(route->back[0], true);
    while (!ended || holds > 0) {
        ssize_t in =
            ended ? -1
                  : splice(route->front[1], NULL, pipe[1], NULL, 1 << 30, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        ended = ended || in == 0;
        holds += in > 0 ? (size_t)in : 0;
        ssize_t out =
            holds ? splice(pipe[0], NULL, route->back[0], NULL, holds, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                  : -1;
        holds -= out > 0 ? (size_t)out : 0;
        assert_int_equal(transfer_waiting(pipe[0]), holds);
        if (in > 0 || out > 0 || (ended && holds == 0))
            continue;
        struct pollfd wait[2] = {{ended || holds ? -1 : route->front[1], POLLIN, 0},
                                 {holds ? route->back[0] : -1, POLLOUT, 0}};
        assert_true(poll(wait, 2, 10000) > 0);
    }
    shutdown(route->back[0], SHUT_WR);
    close(pipe[0]), close(pipe[1]);
    return NULL;
}

static void take(const struct route *route)
{
    static __thread uint8_t data[60000];
    size_t done = 0;
    for (ssize_t got; (got = read(route->back[1], data, sizeof data)) > 0; done += (size_t)got)
        assert_true(net_is_pattern(data, (size_t)got, done));
    assert_int_equal(done, route->total);
}

static void *take_in_thread(void *context)
{
    take(context);
    return NULL;
}

static struct route open_route(const struct net *net, size_t total, bool waits)
{
    struct route route = {.total = total, .waits = waits};
    net_pair(net, route.front);
    net_pair(net, route.back);
    return route;
}

static void close_route(const struct route *route)
{
    close(route->front[0]), close(route->front[1]);
    close(route->back[0]), close(route->back[1]);
}

static void start(struct route *route, pthread_t threads[2])
{
    assert_int_equal(pthread_create(&threads[0], NULL, give, route), 0);
    assert_int_equal(
        pthread_create(&threads[1], NULL, route->waits ? pass_non_blocking : pass_blocking, route), 0);
}

static void run_route(struct route *route)
{
    pthread_t threads[2];
    start(route, threads);
    take(route);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    close_route(route);
}

static void a_blocking_proxy(const struct net *net)
{
    struct route route = open_route(net, BULK, false);
    run_route(&route);
}

static void a_non_blocking_proxy(const struct net *net)
{
    struct route route = open_route(net, BULK, true);
    run_route(&route);
}

/* From plain to sealed and back, as a proxy that ends the seal. */
static void a_proxy_between_both_kinds(const struct net *net)
{
    for (int waits = 0; waits < 2; waits++) {
        struct route route = {.total = BULK / 2, .waits = waits};
        net_pair(net, route.front);
        net_pair(net == &net_plain ? &net_sealed : &net_plain, route.back);
        run_route(&route);
    }
}

static void several_proxies_in_threads(const struct net *net)
{
    struct route routes[PROXIES];
    pthread_t threads[PROXIES][3];
    for (int i = 0; i < PROXIES; i++) {
        routes[i] = open_route(net, BULK / 4, i % 2);
        start(&routes[i], threads[i]);
        assert_int_equal(pthread_create(&threads[i][2], NULL, take_in_thread, &routes[i]), 0);
    }
    for (int i = 0; i < PROXIES; i++) {
        for (int thread = 0; thread < 3; thread++)
            pthread_join(threads[i][thread], NULL);
        close_route(&routes[i]);
    }
}

/* The child does not use what its parent uses. */
static void proxies_on_both_sides_of_a_fork(const struct net *net)
{
    struct route before = open_route(net, 100000, false);
    run_route(&before);
    pid_t child = suite_fork();
    for (int i = 0; i < 3; i++) {
        struct route route = open_route(net, BULK / 8, i % 2);
        run_route(&route);
    }
    if (child == 0)
        _exit(0);
    assert_int_equal(suite_wait(child), 0);
}

static void one_way(const struct net *net, int pipe[2])
{
    int pair[2];
    char text[8];
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "data", 4), 4);
    assert_int_equal(splice(pair[1], NULL, pipe[1], NULL, 10, 0), 4);
    assert_int_equal(splice(pipe[0], NULL, pair[1], NULL, 10, 0), 4);
    assert_int_equal(read(pair[0], text, sizeof text), 4);
    assert_memory_equal(text, "data", 4);
    close(pair[0]), close(pair[1]);
}

/* What the library keeps for it survives a program that closes all that it does not know. */
static void after_everything_was_closed(const struct net *net)
{
    int pipe[2];
    transfer_pipe(pipe);
    one_way(net, pipe);
    assert_int_equal(close_range(200, ~0U, 0), 0);
    for (int fd = 200; fd < 1100; fd++)
        close(fd);
    one_way(net, pipe);
    close(pipe[0]), close(pipe[1]);
}

static void without_a_descriptor_to_spare(const struct net *net)
{
    int pipe[2], pair[2];
    char text[8];
    transfer_pipe(pipe);
    one_way(net, pipe);
    net_warm_pair(net, pair);
    struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(dup(0), -1);
    assert_int_equal(write(pair[0], "data", 4), 4);
    assert_int_equal(splice(pair[1], NULL, pipe[1], NULL, 10, 0), 4);
    assert_int_equal(splice(pipe[0], NULL, pair[1], NULL, 10, 0), 4);
    assert_int_equal(read(pair[0], text, sizeof text), 4);
    close(pair[0]), close(pair[1]), close(pipe[0]), close(pipe[1]);
}

/* Allows itself these few calls, and is killed at any other. */
static int enter_sandbox(void)
{
    static const unsigned allowed[] = {SYS_read, SYS_write, SYS_splice, SYS_sendfile, SYS_exit_group};
    struct sock_filter filter[2 + 2 * suite_count(allowed)];
    struct sock_fprog program = {.len = suite_count(filter), .filter = filter};
    filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < suite_count(allowed); i++) {
        filter[1 + 2 * i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        filter[2 + 2 * i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[program.len - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void in_a_sandbox(const struct net *net)
{
    int pair[2], pipe[2], file = transfer_file("a file", 6);
    char text[16] = "";
    transfer_pipe(pipe);
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        off_t at = 2;
        if (enter_sandbox() < 0)
            _exit(1);
        if (splice(pair[1], NULL, pipe[1], NULL, 10, 0) != 4 ||
            splice(pipe[0], NULL, pair[1], NULL, 10, 0) != 4)
            _exit(2);
        if (sendfile(pair[1], file, NULL, 6) != 6 || sendfile(pair[1], file, NULL, 6) != 0)
            _exit(3);
        _exit(sendfile(pair[1], file, &at, 6) == 4 && at == 6 ? 0 : 4);
    }
    assert_int_equal(write(pair[0], "data", 4), 4);
    assert_int_equal(net_read_all(pair[0], text, 14), 14);
    assert_string_equal(text, "dataa filefile");
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]), close(pair[1]), close(pipe[0]), close(pipe[1]), close(file);
}

/* A program without the library, at a server that takes it all the same. */
static int stranger(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f4d0001)};
    char text[32] = "";
    address.sin_port = htons((uint16_t)atoi(argv[argc - 1]));
    int fd = net_connect(&net_sealed, &address);
    assert_int_equal(write(fd, "as it is", 8), 8);
    return net_read_all(fd, text, 21) == 21 && strcmp(text, "as it isa filea word.") == 0 ? 0 : 1;
}

static int migrating(int argc, char **argv)
{
    const char *changes[] = {"LD_PRELOAD", "SOCKSEAL_PORTS=", NULL};
    struct sockaddr_in address;
    int pipe[2], listener = net_listen(&net_sealed, 1, &address), file = transfer_file("a file", 6);
    char port[8];
    (void)argc, (void)argv;
    snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
    const char *args[] = {port, NULL};
    pid_t child = suite_spawn("stranger", args, changes, -1, -1);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    transfer_pipe(pipe);
    assert_int_equal(splice(fd, NULL, pipe[1], NULL, 50, 0), 8);
    assert_int_equal(splice(pipe[0], NULL, fd, NULL, 50, 0), 8);
    assert_int_equal(sendfile(fd, file, NULL, 6), 6);
    assert_int_equal(write(fd, "a word.", 7), 7);
    return suite_wait(child);
}

static void a_peer_that_does_not_seal(void)
{
    const char *args[] = {NULL}, *changes[] = {"SOCKSEAL_PLAINTEXT=accept", "SOCKSEAL_LOG=quiet", NULL};
    assert_int_equal(suite_wait(suite_spawn("migrating", args, changes, -1, -1)), 0);
}

static const struct suite_case cases[] = {
    {"a blocking proxy", a_blocking_proxy, 0},
    {"a non-blocking proxy", a_non_blocking_proxy, 0},
    {"a proxy between both kinds", a_proxy_between_both_kinds, 0},
    {"several proxies in threads", several_proxies_in_threads, 0},
    {"proxies on both sides of a fork", proxies_on_both_sides_of_a_fork, 0},
    {"after everything was closed", after_everything_was_closed, 0},
    {"in a sandbox", in_a_sandbox, 0},
    {"without a descriptor to spare", without_a_descriptor_to_spare, 0},
};

static const struct suite_test tests[] = {
    {"a peer that does not seal", a_peer_that_does_not_seal, 0},
};

static const struct suite_role roles[] = {
    {"stranger", stranger},
    {"migrating", migrating},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    suite_roles(roles, suite_count(roles));
    return suite_run(argc, argv);
}
