/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "agent.h"
#include "calls.h"
#include "net.h"
#include "scene.h"

#include "sockseal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

const struct variant scene_variants[] = {
    {.name = "warm", .bit = ONLY_WARM, .warm = true},
    {.name = "fresh", .bit = ONLY_FRESH},
    {.name = "apart", .bit = ONLY_APART, .apart = true},
    {.name = "swapped", .bit = ONLY_SWAPPED, .apart = true, .swapped = true},
};
const size_t scene_variant_count = suite_count(scene_variants);

static const struct variant reference = {.name = "plain"};

void scene_tell(struct scene *scene, const char *format, ...)
{
    va_list args;
    size_t room = SUITE_TRACE_SIZE - scene->trace_len;
    va_start(args, format);
    int len = vsnprintf(scene->trace + scene->trace_len, room, format, args);
    va_end(args);
    if (len > 0 && (size_t)len + 1 < room) {
        scene->trace_len += (size_t)len;
        scene->trace[scene->trace_len++] = '\n';
        scene->trace[scene->trace_len] = '\0';
    }
}

static uint8_t *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

/* Without Nagle's algorithm: it would make each second small write wait for a delayed acknowledgement. */
static int without_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static long run_accept(const long *arg)
{
    return without_delay(accept4((int)arg[0], NULL, NULL, SOCK_CLOEXEC));
}

static long run_connect(const long *arg)
{
    const struct net *net = (const struct net *)arg[0];
    int fd = without_delay(net_client(net, 0));
    return net_connect_to(fd, (const struct sockaddr_in *)arg[1]) < 0 ? -1 : fd;
}

static int open_end(struct scene *scene, enum end end, int listener, struct sockaddr_in *address)
{
    bool connects = scene->variant->swapped ? end == B : end == A;
    struct agent_call call = {.run = connects ? run_connect : run_accept};
    call.arg[0] = connects ? (long)scene->net : listener;
    call.arg[1] = (long)address;
    agent_run(end == B ? scene->agent : NULL, &call);
    if (call.result < 0)
        fail_msg("%s: %s", connects ? "connect" : "accept", strerror(call.error));
    return (int)call.result;
}

/* Without this, a library that seals nothing would pass every scenario. */
static void check_sealed(const struct scene *scene)
{
    struct sockseal_info info = {.sealed = 0};
    socklen_t len = sizeof info;
    if (!suite_has_library())
        return;
    assert_int_equal(getsockopt(scene->fd[A], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(info.sealed, scene->net->sealed);
}

static void open_connection(struct scene *scene)
{
    struct sockaddr_in *address = (struct sockaddr_in *)(void *)scene->in;
    int listener = net_listen(scene->net, 4, address);
    scene->address = *address;
    if (scene->variant->apart)
        scene->agent = agent_start();
    enum end first = scene->variant->swapped ? B : A;
    scene->fd[first] = open_end(scene, first, listener, address);
    scene->fd[1 - first] = open_end(scene, 1 - first, listener, address);
    close(listener);
    check_sealed(scene);
}

/* A byte each way. Its lines are not part of the trace. */
static void warm_up(struct scene *scene)
{
    for (int side = 0; side < 2; side++) {
        t_give(scene, (enum end)side, 1);
        t_take(scene, (enum end)(1 - side), 1);
    }
    memset(scene->sent, 0, sizeof scene->sent);
    memset(scene->received, 0, sizeof scene->received);
    scene->trace_len = 0;
    scene->trace[0] = '\0';
}

static void play(const struct scenario *scenario, const struct net *net, const struct variant *variant)
{
    struct scene scene = {.net = net, .scenario = scenario, .variant = variant, .trace = suite_trace};
    scene.in = shared(SCENE_BYTES);
    scene.out = shared(SCENE_BYTES);
    signal(SIGPIPE, SIG_IGN); /* a script that wants the signal counts it: t_count_sigpipe */
    open_connection(&scene);
    if (variant->warm)
        warm_up(&scene);
    scenario->run(&scene);
    scene_tell(&scene, "end");
    for (int side = 0; side < 2; side++)
        if (scene.fd[side] >= 0)
            t_close(&scene, (enum end)side);
    agent_end(scene.agent);
    munmap(scene.in, SCENE_BYTES);
    munmap(scene.out, SCENE_BYTES);
}

/* The line after the newline that ends the one at `text`, or the end. */
static const char *next_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end == NULL ? text + strlen(text) : end + 1;
}

static void print_difference(const char *plain, const char *sealed, const char *name)
{
    unsigned line = 1;
    const char *a = plain, *b = sealed;
    while (next_line(a) - a == next_line(b) - b && strncmp(a, b, (size_t)(next_line(a) - a)) == 0 &&
           *a != '\0') {
        print_error("  %4u   %.*s\n", line++, (int)(next_line(a) - a - 1), a);
        a = next_line(a);
        b = next_line(b);
    }
    print_error("  %4u * plain:  %.*s\n", line, (int)(next_line(a) - a - 1), a);
    print_error("  %4u * sealed: %.*s\n", line, (int)(next_line(b) - b - 1), b);
    print_error("--- the rest, plain:\n%s--- the rest, sealed (%s):\n%s", next_line(a), name, next_line(b));
}

void scene_compare(const struct scenario *scenario, const struct variant *variant)
{
    play(scenario, &net_plain, &reference);
    char *plain = strdup(suite_trace);
    assert_non_null(plain);
    play(scenario, &net_sealed, variant);
    if (strcmp(plain, suite_trace) != 0) {
        print_difference(plain, suite_trace, variant->name);
        fail_msg("the sealed run differs from the plain one");
    }
    free(plain);
}
