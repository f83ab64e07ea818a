/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * The server that the load programs talk to. A connection starts with four bytes, the size of its requests in
 * the machine's order; each request of that size is sent back whole. One thread with epoll, or with
 * --blocking a thread for each connection.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"
#include "stream.h"

struct client {
    struct stream stream;
    uint32_t size, have, sent; /* bytes of the request that are here, bytes of the reply that are gone */
    uint8_t head[4], head_have;
    bool writing;
    uint8_t *part; /* a request that came, or a reply that went, in pieces; else NULL */
};

enum result { GOES_ON, ENDED };

static uint8_t buffer[OPTIONS_SIZE_MAX + 4];
static int loop;

static void end(struct client *client)
{
    stream_close(&client->stream);
    free(client->part);
    free(client);
}

static void watch(struct client *client, bool writing)
{
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = client};
    if (client->writing != writing && epoll_ctl(loop, EPOLL_CTL_MOD, client->stream.fd, &event) < 0)
        options_die("epoll_ctl");
    client->writing = writing;
}

/* Keeps `len` bytes at `data` until the rest can follow. */
static void keep(struct client *client, const uint8_t *data, size_t len, size_t at)
{
    if (!client->part && !(client->part = malloc(client->size)))
        options_die("memory");
    memcpy(client->part + at, data, len);
}

/* Sends the request at `data` back, from client->sent on. */
static enum result reply(struct client *client, const uint8_t *data)
{
    while (client->sent < client->size) {
        ssize_t sent = stream_write(&client->stream, data + client->sent, client->size - client->sent);
        if (sent < 0 && errno != EAGAIN)
            return ENDED;
        if (sent < 0) {
            if (data != client->part)
                keep(client, data, client->size, 0);
            watch(client, true);
            return GOES_ON;
        }
        client->sent += (uint32_t)sent;
    }
    client->have = client->sent = 0;
    free(client->part);
    client->part = NULL;
    watch(client, false);
    return GOES_ON;
}

static enum result take_size(struct client *client, const uint8_t **data, size_t *len)
{
    while (client->head_have<sizeof client->head && * len> 0) {
        client->head[client->head_have++] = *(*data)++;
        (*len)--;
    }
    if (client->head_have == sizeof client->head)
        memcpy(&client->size, client->head, sizeof client->size);
    return client->size > OPTIONS_SIZE_MAX ? ENDED : GOES_ON;
}

static enum result take(struct client *client, const uint8_t *data, size_t len)
{
    if (!client->size && take_size(client, &data, &len) == ENDED)
        return ENDED;
    if (len == 0)
        return GOES_ON;
    if (len > client->size - client->have) /* the clients wait for each reply */
        return ENDED;
    if (len == client->size)
        return reply(client, data);
    keep(client, data, len, client->have);
    client->have += (uint32_t)len;
    return client->have == client->size ? reply(client, client->part) : GOES_ON;
}

static enum result serve(struct client *client)
{
    int shaken = stream_handshake(&client->stream);
    if (shaken <= 0)
        return shaken < 0 ? ENDED : GOES_ON;
    if (client->writing)
        return reply(client, client->part);
    do {
        size_t room = client->size ? client->size - client->have : sizeof buffer;
        ssize_t got = stream_read(&client->stream, buffer, room);
        if (got < 0 && errno == EAGAIN)
            return GOES_ON;
        if (got <= 0 || take(client, buffer, (size_t)got) == ENDED)
            return ENDED;
    } while (!client->writing && stream_pending(&client->stream));
    return GOES_ON;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (!client)
            options_die("memory");
        stream_accept(&client->stream, fd);
        if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0)
            options_die("epoll_ctl");
    }
}

static _Noreturn void serve_by_epoll(int listener)
{
    struct epoll_event events[256], event = {.events = EPOLLIN};
    loop = epoll_create1(0);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
        options_die("epoll");
    for (;;) {
        int count = epoll_wait(loop, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (!client)
                accept_all(listener);
            else if (serve(client) == ENDED)
                end(client);
        }
    }
}

static bool read_whole(struct stream *stream, uint8_t *data, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t got = stream_read(stream, data + have, len - have);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static bool write_whole(struct stream *stream, const uint8_t *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t sent = stream_write(stream, data + done, len - done);
        if (sent <= 0)
            return false;
        done += (size_t)sent;
    }
    return true;
}

static void *serve_by_thread(void *argument)
{
    struct client *client = argument;
    uint8_t size[4];
    if (stream_handshake(&client->stream) == 1 && read_whole(&client->stream, size, sizeof size)) {
        memcpy(&client->size, size, sizeof size);
        client->part = client->size <= OPTIONS_SIZE_MAX ? malloc(client->size) : NULL;
        while (client->part && read_whole(&client->stream, client->part, client->size) &&
               write_whole(&client->stream, client->part, client->size))
            ;
    }
    end(client);
    return NULL;
}

static _Noreturn void serve_by_threads(int listener)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        struct client *client = calloc(1, sizeof *client);
        pthread_t thread;
        if (!client)
            options_die("memory");
        stream_accept(&client->stream, fd);
        if (pthread_create(&thread, NULL, serve_by_thread, client) != 0)
            end(client);
        else
            pthread_detach(thread);
    }
}

int main(int argc, char *argv[])
{
    const struct options options = options_read(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    stream_configure(&options, true);
    int listener = stream_listen(&options);
    if (options.epoll)
        serve_by_epoll(listener);
    serve_by_threads(listener);
}
