/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The server of tests/support/services.py on libevent: bufferevents, their watermarks, and evbuffer_add_file,
 * which sends by sendfile(2). */

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { OUTPUT_HIGH = 1 << 20, OUTPUT_LOW = 1 << 16, BACKLOG = 1024 };

enum service { AWAIT_LINE, RUN_ECHO, RUN_SINK, RUN_FILE, RUN_TICK };

struct client {
    struct bufferevent *stream;
    struct event *timer;
    enum service service;
    bool closing; /* once all is sent */
    bool ended;   /* nothing more comes */
    unsigned long count, sum;
    int turn, turns;
};

static const char *file_path;

static void drop(struct client *client)
{
    if (client->timer)
        event_free(client->timer);
    bufferevent_free(client->stream);
    free(client);
}

static void finish(struct client *client)
{
    client->closing = true;
    bufferevent_setwatermark(client->stream, EV_WRITE, 0, 0);
    if (evbuffer_get_length(bufferevent_get_output(client->stream)) == 0)
        drop(client);
}

static void add_file(struct client *client)
{
    struct stat status;
    int fd = open(file_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 ||
        evbuffer_add_file(bufferevent_get_output(client->stream), fd, 0, status.st_size) < 0)
        abort();
    finish(client);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct client *client = context;
    (void)fd, (void)what;
    evbuffer_add_printf(bufferevent_get_output(client->stream), "tick %d\n", client->turn++);
    if (client->turn < client->turns)
        return;
    event_del(client->timer);
    if (client->ended)
        finish(client);
}

static void reset(struct client *client)
{
    const struct linger now = {.l_onoff = 1};
    evutil_socket_t fd = bufferevent_getfd(client->stream);
    if (write(fd, "last words\n", 11) != 11 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) < 0)
        abort();
    drop(client);
}

/* False if the client is gone. */
static bool begin(struct client *client, const char *line)
{
    int milliseconds = 0;
    if (strcmp(line, "echo") == 0) {
        client->service = RUN_ECHO;
    } else if (strcmp(line, "sink") == 0) {
        client->service = RUN_SINK;
        client->sum = crc32(0, NULL, 0);
    } else if (strcmp(line, "file") == 0) {
        client->service = RUN_FILE;
        add_file(client);
        return false;
    } else if (sscanf(line, "tick %d %d", &client->turns, &milliseconds) == 2) {
        const struct timeval interval = {.tv_usec = milliseconds * 1000};
        client->service = RUN_TICK;
        client->timer = event_new(bufferevent_get_base(client->stream), -1, EV_PERSIST, on_tick, client);
        event_add(client->timer, &interval);
    } else if (strcmp(line, "reset") == 0) {
        reset(client);
        return false;
    }
    return true;
}

static void take(struct client *client, struct evbuffer *input)
{
    struct evbuffer *output = bufferevent_get_output(client->stream);
    if (client->service == RUN_SINK) {
        size_t length = evbuffer_get_length(input);
        client->sum = crc32(client->sum, evbuffer_pullup(input, -1), (unsigned)length);
        client->count += length;
        evbuffer_drain(input, length);
        return;
    }
    evbuffer_add_buffer(output, input);
    if (evbuffer_get_length(output) > OUTPUT_HIGH) {
        bufferevent_setwatermark(client->stream, EV_WRITE, OUTPUT_LOW, 0);
        bufferevent_disable(client->stream, EV_READ);
    }
}

static void on_read(struct bufferevent *stream, void *context)
{
    struct client *client = context;
    struct evbuffer *input = bufferevent_get_input(stream);
    if (client->service == AWAIT_LINE) {
        char *line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF);
        bool alive = !line || begin(client, line);
        free(line);
        if (!line || !alive)
            return;
    }
    if (evbuffer_get_length(input) > 0)
        take(client, input);
}

static void on_written(struct bufferevent *stream, void *context)
{
    struct client *client = context;
    if (client->closing && evbuffer_get_length(bufferevent_get_output(stream)) == 0)
        drop(client);
    else if (!client->closing && !client->ended)
        bufferevent_enable(stream, EV_READ);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
    struct client *client = context;
    if (what & BEV_EVENT_ERROR) {
        printf("error %s\n", strerrorname_np(EVUTIL_SOCKET_ERROR()));
        drop(client);
        return;
    }
    if (!(what & BEV_EVENT_EOF))
        return;
    client->ended = true;
    if (client->service == AWAIT_LINE) {
        drop(client);
        return;
    }
    if (client->service == RUN_SINK)
        evbuffer_add_printf(bufferevent_get_output(stream), "%lu %08lx\n", client->count, client->sum);
    if (client->turn == client->turns)
        finish(client);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int len,
                      void *context)
{
    struct client *client = calloc(1, sizeof *client);
    (void)peer, (void)len, (void)context;
    client->stream = bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
    bufferevent_write(client->stream, "ready\n", 6);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
    (void)number, (void)what;
    event_base_loopbreak(context);
}

int main(int argc, char **argv)
{
    struct addrinfo *address = NULL;
    if (argc != 4 ||
        getaddrinfo(argv[1], argv[2], &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &address) != 0)
        return 2;
    file_path = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    struct event_base *base = event_base_new();
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, on_accept, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG,
        address->ai_addr, (int)address->ai_addrlen);
    struct event *end = evsignal_new(base, SIGTERM, on_signal, base);
    freeaddrinfo(address);
    if (!listener)
        return 1;
    event_add(end, NULL);
    event_base_dispatch(base);
    event_free(end);
    evconnlistener_free(listener);
    event_base_free(base);
    return 0;
}
