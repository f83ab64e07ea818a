/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "net.h"
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HELD_MAX = 1 << 20 };

/* One direction of the proxied connection. */
struct lane {
    int from, to;
    bool ended;
    size_t held;
    uint8_t data[HELD_MAX];
};

struct proxy_args {
    struct proxy_plan plan;
    int record;
    size_t passed; /* from the connecting side */
};

/* A signal that comes with the piece. */
static void signal_test(const struct proxy_args *args, size_t at)
{
    if (args->plan.signal_after && args->passed + at >= args->plan.signal_after)
        kill(getppid(), SIGALRM);
}

static void pass_on(struct proxy_args *args, struct lane *lane)
{
    size_t piece = args->plan.piece ? args->plan.piece : lane->held;
    for (size_t at = 0; at < lane->held; at += piece) {
        size_t len = lane->held - at < piece ? lane->held - at : piece;
        if (net_write_all(lane->to, lane->data + at, len) != len)
            break; /* that side is gone */
        signal_test(args, at);
        if (args->plan.pause_us != 0)
            usleep(args->plan.pause_us);
    }
    if (args->record >= 0)
        net_write_all(args->record, lane->data, lane->held);
    lane->held = 0;
}

/* Collects what comes for the time of the plan, so that separate records leave as one piece. */
static void take(struct proxy_args *args, struct lane *lane)
{
    int64_t end = net_now_ms() + args->plan.gather_ms;
    do {
        ssize_t n = read(lane->from, lane->data + lane->held, HELD_MAX - lane->held);
        if (n <= 0) {
            lane->ended = true;
            return;
        }
        lane->held += (size_t)n;
        if (args->plan.gather_bytes != 0 && lane->held >= args->plan.gather_bytes)
            return;
        int64_t left = end - net_now_ms();
        if (left <= 0 || net_wait(lane->from, POLLIN, (int)left) == 0)
            return;
    } while (lane->held < HELD_MAX);
}

static void serve(struct proxy_args *args, struct lane *lanes)
{
    while (!lanes[0].ended || !lanes[1].ended) {
        struct pollfd entries[2];
        for (int i = 0; i < 2; i++)
            entries[i] = (struct pollfd){.fd = lanes[i].ended ? -1 : lanes[i].from, .events = POLLIN};
        if (poll(entries, 2, -1) < 0)
            return;
        for (int i = 0; i < 2; i++) {
            if (entries[i].revents == 0)
                continue;
            take(args, &lanes[i]);
            const size_t held = lanes[i].held;
            pass_on(args, &lanes[i]);
            args->passed += i == 0 ? held : 0;
            if (lanes[i].ended)
                shutdown(lanes[i].to, SHUT_WR);
        }
        if (args->plan.cut_after != 0 && args->passed >= args->plan.cut_after)
            return;
    }
}

/* Arguments: client address, listening descriptor, target port and address, the plan's numbers, the record's
 * name. */
int proxy_main(int argc, char **argv)
{
    static struct lane lanes[2];
    struct proxy_args args = {.record = -1};
    struct sockaddr_in target = {.sin_family = AF_INET}, own = {.sin_family = AF_INET};
    int one = 1;
    signal(SIGPIPE, SIG_IGN);
    if (argc < 11)
        return 2;
    int listener = atoi(argv[2]);
    inet_pton(AF_INET, argv[1], &own.sin_addr);
    inet_pton(AF_INET, argv[3], &target.sin_addr);
    target.sin_port = htons((uint16_t)atoi(argv[4]));
    args.plan = (struct proxy_plan){.piece = (unsigned)atoi(argv[5]),
                                    .pause_us = (unsigned)atoi(argv[6]),
                                    .gather_ms = (unsigned)atoi(argv[7]),
                                    .gather_bytes = (unsigned)atoi(argv[8]),
                                    .cut_after = (unsigned)atoi(argv[9]),
                                    .signal_after = (unsigned)atoi(argv[10])};
    if (argc > 11)
        args.record = open(argv[11], O_WRONLY | O_CREAT | O_APPEND, 0600);
    int front = accept(listener, NULL, NULL);
    close(listener); /* a connection that comes too late is refused rather than forgotten */
    int back = socket(AF_INET, SOCK_STREAM, 0);
    if (front < 0 || bind(back, (struct sockaddr *)&own, sizeof own) < 0 || net_connect_to(back, &target) < 0)
        return 1;
    setsockopt(front, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(back, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    lanes[0].from = lanes[1].to = front;
    lanes[1].from = lanes[0].to = back;
    serve(&args, lanes);
    return 0;
}

struct proxy proxy_start(const struct net *net, const struct sockaddr_in *listener,
                         const struct proxy_plan *plan)
{
    struct proxy proxy;
    char number[8][16], host[INET_ADDRSTRLEN];
    int door = net_listen(net, 1, &proxy.front);
    fcntl(door, F_SETFD, 0);
    inet_ntop(AF_INET, &listener->sin_addr, host, sizeof host);
    const unsigned values[8] = {(unsigned)door,  ntohs(listener->sin_port), plan->piece,
                                plan->pause_us,  plan->gather_ms,           plan->gather_bytes,
                                plan->cut_after, plan->signal_after};
    for (int i = 0; i < 8; i++)
        snprintf(number[i], sizeof number[i], "%u", values[i]);
    const char *args[] = {net->client, number[0], host,      number[1], number[2],    number[3],
                          number[4],   number[5], number[6], number[7], plan->record, NULL};
    const char *changes[] = {"LD_PRELOAD", "SOCKSEAL_PORTS=", NULL};
    proxy.process = suite_spawn("proxy", args, changes, -1, -1);
    close(door);
    return proxy;
}

struct proxy proxy_pair(const struct net *net, const struct proxy_plan *plan, int pair[2])
{
    struct sockaddr_in address;
    int listener = net_listen(net, 1, &address);
    struct proxy proxy = proxy_start(net, &address, plan);
    pair[0] = net_connect(net, &proxy.front);
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair[1] >= 0);
    close(listener);
    return proxy;
}

void proxy_end(const struct proxy *proxy)
{
    assert_int_equal(suite_wait(proxy->process), 0);
}
