/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Connect, one request, its reply, close, and again: how long from connect(2) to the whole reply. One at a
 * time in blocking calls, or with --epoll --connections N so many at once. A connection that ends without its
 * reply counts as an error, which is what a server that refuses is measured by (--server-pids).
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "options.h"
#include "samples.h"
#include "stream.h"

enum state { CONNECTING, SHAKING, READING };

struct attempt {
    struct stream stream;
    enum state state;
    size_t have;
    uint64_t start;
};

static struct options options;
static struct samples samples;
static size_t errors, number;
static uint8_t request[OPTIONS_SIZE_MAX + 4];
static const char *suite = "none";
static int loop = -1;

static void begin(struct attempt *attempt)
{
    attempt->state = CONNECTING;
    attempt->have = 0;
    attempt->start = samples_now();
    while (!stream_connect(&attempt->stream, &options, number++))
        if (++errors > 1000000)
            options_die("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = attempt};
    if (loop >= 0 && epoll_ctl(loop, EPOLL_CTL_ADD, attempt->stream.fd, &event) < 0)
        options_die("epoll_ctl");
}

static void finish(struct attempt *attempt, bool good)
{
    if (good)
        samples_add(&samples, samples_now() - attempt->start);
    else
        errors++;
    if (good)
        suite = stream_suite(&attempt->stream);
    stream_close(&attempt->stream);
}

static void watch_reading(struct attempt *attempt)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = attempt};
    if (loop >= 0 && epoll_ctl(loop, EPOLL_CTL_MOD, attempt->stream.fd, &event) < 0)
        options_die("epoll_ctl");
}

/* Goes on as far as it goes: 1 the reply is here, 0 it would block, -1 failed. */
static int advance(struct attempt *attempt)
{
    const size_t whole = sizeof(uint32_t) + options.size;
    static uint8_t reply[OPTIONS_SIZE_MAX];
    if (attempt->state != READING) {
        if (attempt->state == CONNECTING && attempt->stream.ssl)
            watch_reading(attempt);
        attempt->state = SHAKING;
        int shaken = stream_handshake(&attempt->stream);
        if (shaken <= 0)
            return shaken;
        if (stream_write(&attempt->stream, request, whole) != (ssize_t)whole)
            return -1;
        if (!attempt->stream.ssl)
            watch_reading(attempt);
        attempt->state = READING;
    }
    do {
        ssize_t got = stream_read(&attempt->stream, reply, options.size - attempt->have);
        if (got <= 0)
            return got < 0 && errno == EAGAIN ? 0 : -1;
        attempt->have += (size_t)got;
    } while (attempt->have < options.size && (loop < 0 || stream_pending(&attempt->stream)));
    return attempt->have == options.size;
}

static void run_one_by_one(double seconds)
{
    const uint64_t end = samples_now() + (uint64_t)(seconds * 1e9);
    while (samples_now() < end) {
        struct attempt attempt;
        begin(&attempt);
        finish(&attempt, advance(&attempt) == 1);
    }
}

static void run_many(double seconds)
{
    struct attempt *attempts = calloc(options.connections, sizeof *attempts);
    struct epoll_event events[256];
    if (!attempts)
        options_die("memory");
    const uint64_t end = samples_now() + (uint64_t)(seconds * 1e9);
    for (size_t i = 0; i < options.connections; i++)
        begin(&attempts[i]);
    while (samples_now() < end) {
        int count = epoll_wait(loop, events, 256, 100);
        for (int i = 0; i < count; i++) {
            struct attempt *attempt = events[i].data.ptr;
            int result = advance(attempt);
            if (result == 0)
                continue;
            finish(attempt, result == 1);
            begin(attempt);
        }
    }
    for (size_t i = 0; i < options.connections; i++)
        stream_close(&attempts[i].stream);
    free(attempts);
}

static void run(double seconds)
{
    if (options.epoll)
        run_many(seconds);
    else
        run_one_by_one(seconds);
}

int main(int argc, char *argv[])
{
    options = options_read(argc, argv);
    const uint32_t size = (uint32_t)options.size;
    memcpy(request, &size, sizeof size);
    signal(SIGPIPE, SIG_IGN);
    stream_configure(&options, false);
    if (options.epoll && (loop = epoll_create1(0)) < 0)
        options_die("epoll");
    run(options.warm);
    samples.count = errors = 0;
    const struct cost start = samples_clocks(&options);
    run(options.seconds);
    const struct cost cost = samples_since(&start, &options);
    samples_print(&samples, &cost, errors, suite);
    return 0;
}
