/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* One connection, one request after another: how long each takes. Waits in read(2), or with --epoll there. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "options.h"
#include "samples.h"
#include "stream.h"

static uint8_t data[OPTIONS_SIZE_MAX + 4];
static int loop = -1;

static void wait_readable(const struct stream *stream)
{
    struct epoll_event event;
    if (!stream_pending(stream) && epoll_wait(loop, &event, 1, -1) < 0 && errno != EINTR)
        options_die("epoll_wait");
}

static void write_all(struct stream *stream, const uint8_t *from, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t sent = stream_write(stream, from + done, len - done);
        if (sent < 0 && errno != EAGAIN)
            options_die("write");
        done += sent > 0 ? (size_t)sent : 0;
    }
}

static void read_all(struct stream *stream, size_t len)
{
    for (size_t have = 0; have < len;) {
        if (loop >= 0)
            wait_readable(stream);
        ssize_t got = stream_read(stream, data + have, len - have);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            options_die("read");
        have += got > 0 ? (size_t)got : 0;
    }
}

static void connect_and_start(struct stream *stream, const struct options *options)
{
    const uint32_t size = (uint32_t)options->size;
    if (!stream_connect(stream, options, 0))
        options_die("connect");
    if (options->epoll) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
        loop = epoll_create1(0);
        if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, stream->fd, &event) < 0)
            options_die("epoll");
        wait_readable(stream); /* writable: connected */
        event.events = EPOLLIN;
        epoll_ctl(loop, EPOLL_CTL_MOD, stream->fd, &event);
    }
    int shaken;
    while ((shaken = stream_handshake(stream)) == 0)
        wait_readable(stream);
    if (shaken < 0)
        options_die("handshake");
    memcpy(data, &size, sizeof size);
    write_all(stream, data, sizeof size + options->size);
    read_all(stream, options->size);
}

static void run(struct stream *stream, size_t size, double seconds, struct samples *samples)
{
    uint64_t start = samples_now(), before = start, limit = (uint64_t)(seconds * 1e9);
    while (before - start < limit) {
        write_all(stream, data, size);
        read_all(stream, size);
        uint64_t now = samples_now();
        samples_add(samples, now - before);
        before = now;
    }
}

int main(int argc, char *argv[])
{
    const struct options options = options_read(argc, argv);
    struct samples samples = {0};
    struct stream stream;
    stream_configure(&options, false);
    connect_and_start(&stream, &options);
    run(&stream, options.size, options.warm, &samples);
    samples.count = 0;
    const struct cost start = samples_clocks(&options);
    run(&stream, options.size, options.seconds, &samples);
    const struct cost cost = samples_since(&start, &options);
    samples_print(&samples, &cost, 0, stream_suite(&stream));
    stream_close(&stream);
    return 0;
}
