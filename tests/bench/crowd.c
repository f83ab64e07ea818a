/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * --connections N that all stand at once, each with one request on its way after another: requests a second
 * and CPU time of a request, on both sides. With --seconds 0 they stay idle instead, after one request each:
 * the line "idle" says so, and the end of standard input ends it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "options.h"
#include "samples.h"
#include "stream.h"

enum { AT_ONCE = 64 }; /* connections that are being set up at the same time */

struct member {
    struct stream stream;
    uint32_t have;
    uint8_t started, served;
    uint64_t start;
};

static struct options options;
static struct samples samples;
static struct member *members;
static uint8_t request[OPTIONS_SIZE_MAX + 4];
static int loop;

static void watch(struct member *member, uint32_t events, int how)
{
    struct epoll_event event = {.events = events, .data.ptr = member};
    if (epoll_ctl(loop, how, member->stream.fd, &event) < 0)
        options_die("epoll_ctl");
}

static void ask(struct member *member)
{
    const size_t head = member->started ? 0 : sizeof(uint32_t), len = head + options.size;
    member->start = samples_now();
    if (stream_write(&member->stream, request + sizeof(uint32_t) - head, len) != (ssize_t)len)
        options_die("write");
    member->started = 1;
    member->have = 0;
}

/* A connection that is being set up. */
static void start(struct member *member)
{
    int shaken = stream_handshake(&member->stream);
    if (shaken < 0)
        options_die("handshake");
    watch(member, EPOLLIN, EPOLL_CTL_MOD);
    if (shaken)
        ask(member);
}

/* Whether the reply is here whole. */
static bool receive(struct member *member)
{
    static uint8_t reply[OPTIONS_SIZE_MAX];
    do {
        ssize_t got = stream_read(&member->stream, reply, options.size - member->have);
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0)
            options_die("read");
        member->have += (uint32_t)got;
    } while (member->have < options.size && stream_pending(&member->stream));
    return member->have == options.size;
}

static void set_up(void)
{
    struct epoll_event events[AT_ONCE];
    size_t begun = 0, done = 0;
    while (done < options.connections) {
        for (; begun < options.connections && begun - done < AT_ONCE; begun++) {
            if (!stream_connect(&members[begun].stream, &options, begun))
                options_die("connect");
            watch(&members[begun], EPOLLOUT, EPOLL_CTL_ADD);
        }
        int count = epoll_wait(loop, events, AT_ONCE, 10000);
        if (count == 0) {
            errno = ETIMEDOUT;
            options_die("setting up");
        }
        for (int i = 0; i < count; i++) {
            struct member *member = events[i].data.ptr;
            if (!member->started)
                start(member);
            else if (receive(member))
                done++;
        }
    }
}

static void run(double seconds)
{
    struct epoll_event events[256];
    const uint64_t end = samples_now() + (uint64_t)(seconds * 1e9);
    while (samples_now() < end) {
        int count = epoll_wait(loop, events, 256, 1000);
        for (int i = 0; i < count; i++) {
            struct member *member = events[i].data.ptr;
            if (!receive(member))
                continue;
            samples_add(&samples, samples_now() - member->start);
            ask(member);
        }
    }
}

static void stay_idle(void)
{
    char byte;
    printf("idle\n");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
}

int main(int argc, char *argv[])
{
    options = options_read(argc, argv);
    options.epoll = true;
    const uint32_t size = (uint32_t)options.size;
    memcpy(request, &size, sizeof size);
    stream_configure(&options, false);
    members = calloc(options.connections, sizeof *members);
    loop = epoll_create1(0);
    if (!members || loop < 0)
        options_die("start");
    set_up();
    if (options.seconds > 0) {
        for (size_t i = 0; i < options.connections; i++)
            ask(&members[i]);
        run(options.warm);
        samples.count = 0;
        const struct cost start_cost = samples_clocks(&options);
        run(options.seconds);
        const struct cost cost = samples_since(&start_cost, &options);
        samples_print(&samples, &cost, 0, stream_suite(&members[0].stream));
    } else {
        stay_idle();
    }
    return 0;
}
