/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The server of tests/support/services.py on libuv: streams, uv_try_write and uv_write, uv_shutdown, files
 * read by its threads, and for sums a sha256sum of its own (uv_spawn) behind two pipes. */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { PIECE = 65536, QUEUE_HIGH = 1 << 20, BACKLOG = 1024 };

enum service { AWAIT_LINE, RUN_ECHO, RUN_SINK, RUN_FILE, RUN_TICK };

struct client {
    uv_tcp_t socket;
    uv_timer_t timer;
    uv_process_t child;
    uv_pipe_t to_child, from_child;
    uv_shutdown_t shutdown, child_shutdown;
    uv_fs_t file;
    uv_file fd;
    enum service service;
    bool ended, spawned;
    int uses; /* handles that are not closed, and the request for the file */
    int turn, turns;
    long count;
    char line[128], answer[128];
    size_t line_len, answer_len;
    char piece[PIECE];
};

/* A write with the bytes behind it. */
struct put {
    uv_write_t request;
    char bytes[];
};

static const char *file_path;

static void release(struct client *client)
{
    if (--client->uses == 0)
        free(client);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void drop(struct client *client)
{
    close_handle((uv_handle_t *)&client->socket);
    close_handle((uv_handle_t *)&client->timer);
    if (client->spawned) {
        close_handle((uv_handle_t *)&client->to_child);
        close_handle((uv_handle_t *)&client->from_child);
        close_handle((uv_handle_t *)&client->child);
    }
}

static void failed(struct client *client, int status)
{
    if (uv_is_closing((uv_handle_t *)&client->socket))
        return;
    printf("error %s\n", uv_err_name(status));
    drop(client);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct client *client = request->data;
    if (status < 0 && status != UV_ECANCELED)
        failed(client, status);
    drop(client);
}

static void finish(struct client *client)
{
    client->shutdown.data = client;
    uv_shutdown(&client->shutdown, (uv_stream_t *)&client->socket, on_shutdown);
}

static void send_file(struct client *client);
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);
static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer);

static void on_put(uv_write_t *request, int status)
{
    struct client *client = request->handle->data;
    uv_stream_t *stream = request->handle;
    free(request->data);
    if (status < 0 && status != UV_ECANCELED)
        failed(client, status);
    else if (status == 0 && client->service == RUN_FILE)
        send_file(client);
    else if (status == 0 && !client->ended && !uv_is_closing((uv_handle_t *)&client->socket) &&
             stream->write_queue_size < QUEUE_HIGH)
        uv_read_start((uv_stream_t *)&client->socket, on_alloc, on_read);
}

/* What uv_try_write does not take at once is copied and queued. */
static void put(struct client *client, uv_stream_t *stream, const char *bytes, size_t len)
{
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)len);
    int sent = client->service == RUN_FILE ? 0 : uv_try_write(stream, &buffer, 1);
    if (sent == (int)len)
        return;
    size_t done = sent > 0 ? (size_t)sent : 0;
    struct put *write = malloc(sizeof *write + len - done);
    memcpy(write->bytes, bytes + done, len - done);
    buffer = uv_buf_init(write->bytes, (unsigned)(len - done));
    write->request.data = write;
    uv_write(&write->request, stream, &buffer, 1, on_put);
    if (stream->write_queue_size > QUEUE_HIGH)
        uv_read_stop((uv_stream_t *)&client->socket);
}

static void on_file_read(uv_fs_t *request)
{
    struct client *client = request->data;
    ssize_t got = request->result;
    uv_fs_req_cleanup(request);
    if (got > 0 && !uv_is_closing((uv_handle_t *)&client->socket)) {
        put(client, (uv_stream_t *)&client->socket, client->piece, (size_t)got);
        release(client);
        return;
    }
    uv_fs_t request_close;
    uv_fs_close(NULL, &request_close, client->fd, NULL);
    if (!uv_is_closing((uv_handle_t *)&client->socket))
        finish(client);
    release(client);
}

/* In the threads of libuv's pool, one piece after the other. */
static void send_file(struct client *client)
{
    uv_buf_t buffer = uv_buf_init(client->piece, sizeof client->piece);
    client->file.data = client;
    client->uses++;
    uv_fs_read(client->socket.loop, &client->file, client->fd, &buffer, 1, -1, on_file_read);
}

static void on_tick(uv_timer_t *timer)
{
    struct client *client = timer->data;
    char text[32];
    int len = snprintf(text, sizeof text, "tick %d\n", client->turn++);
    put(client, (uv_stream_t *)&client->socket, text, (size_t)len);
    if (client->turn < client->turns)
        return;
    uv_timer_stop(timer);
    if (client->ended)
        finish(client);
}

static void on_sum(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    char text[128];
    if (got > 0 && client->answer_len + (size_t)got < sizeof client->answer) {
        memcpy(client->answer + client->answer_len, buffer->base, (size_t)got);
        client->answer_len += (size_t)got;
    } else if (got < 0) {
        int len = snprintf(text, sizeof text, "%ld %.64s\n", client->count, client->answer);
        uv_read_stop(stream);
        put(client, (uv_stream_t *)&client->socket, text, (size_t)len);
        finish(client);
    }
}

static void on_child_exit(uv_process_t *child, int64_t status, int signal)
{
    (void)status, (void)signal;
    close_handle((uv_handle_t *)child);
}

static void spawn_sum(struct client *client)
{
    char *arguments[] = {"sha256sum", NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&client->to_child},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&client->from_child},
        {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {
        .file = arguments[0], .args = arguments, .stdio = stdio, .stdio_count = 3, .exit_cb = on_child_exit};
    uv_pipe_init(client->socket.loop, &client->to_child, 0);
    uv_pipe_init(client->socket.loop, &client->from_child, 0);
    client->to_child.data = client->from_child.data = client->child.data = client;
    client->spawned = true;
    client->uses += 3;
    if (uv_spawn(client->socket.loop, &client->child, &options) < 0)
        abort();
    uv_read_start((uv_stream_t *)&client->from_child, on_alloc, on_sum);
}

static void on_nothing(uv_shutdown_t *request, int status)
{
    (void)request, (void)status;
}

static void reset(struct client *client)
{
    uv_buf_t words = uv_buf_init("last words\n", 11);
    if (uv_try_write((uv_stream_t *)&client->socket, &words, 1) != 11)
        abort();
    close_handle((uv_handle_t *)&client->timer);
    uv_tcp_close_reset(&client->socket, on_closed);
}

static void begin(struct client *client)
{
    int milliseconds = 0;
    if (strcmp(client->line, "echo") == 0) {
        client->service = RUN_ECHO;
    } else if (strcmp(client->line, "sink") == 0) {
        client->service = RUN_SINK;
        spawn_sum(client);
    } else if (strcmp(client->line, "file") == 0) {
        uv_fs_t request;
        client->service = RUN_FILE;
        client->fd = uv_fs_open(NULL, &request, file_path, UV_FS_O_RDONLY, 0, NULL);
        send_file(client);
    } else if (sscanf(client->line, "tick %d %d", &client->turns, &milliseconds) == 2) {
        client->service = RUN_TICK;
        uv_timer_start(&client->timer, on_tick, (uint64_t)milliseconds, (uint64_t)milliseconds);
    } else if (strcmp(client->line, "reset") == 0) {
        reset(client);
    }
}

static void take(struct client *client, const char *bytes, size_t len)
{
    while (client->service == AWAIT_LINE && len > 0) {
        char byte = *bytes++;
        len--;
        if (byte == '\n')
            begin(client);
        else if (client->line_len + 1 < sizeof client->line)
            client->line[client->line_len++] = byte;
        if (uv_is_closing((uv_handle_t *)&client->socket))
            return;
    }
    client->count += (long)len;
    if (len > 0 && client->service != RUN_FILE)
        put(client,
            (uv_stream_t *)(client->service == RUN_SINK ? (void *)&client->to_child
                                                        : (void *)&client->socket),
            bytes, len);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    static char shared[PIECE]; /* used up before the next read */
    (void)handle, (void)wanted;
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    if (got >= 0) {
        take(client, buffer->base, (size_t)got);
        return;
    }
    if (got != UV_EOF) {
        failed(client, (int)got);
        return;
    }
    client->ended = true;
    if (client->service == RUN_SINK)
        uv_shutdown(&client->child_shutdown, (uv_stream_t *)&client->to_child, on_nothing);
    else if (client->service == AWAIT_LINE)
        drop(client);
    else if (client->service != RUN_FILE && client->turn == client->turns)
        finish(client);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct client *client = calloc(1, sizeof *client);
    if (status < 0)
        abort();
    uv_tcp_init(server->loop, &client->socket);
    uv_timer_init(server->loop, &client->timer);
    client->socket.data = client->timer.data = client;
    client->uses = 2;
    if (uv_accept(server, (uv_stream_t *)&client->socket) < 0)
        abort();
    put(client, (uv_stream_t *)&client->socket, "ready\n", 6);
    uv_read_start((uv_stream_t *)&client->socket, on_alloc, on_read);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in address;
    uv_tcp_t server;
    uv_signal_t end;
    if (argc != 4 || uv_ip4_addr(argv[1], atoi(argv[2]), &address) < 0)
        return 2;
    file_path = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(loop, &end);
    uv_signal_start(&end, on_signal, SIGTERM);
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (struct sockaddr *)&address, 0) < 0 ||
        uv_listen((uv_stream_t *)&server, BACKLOG, on_connection) < 0)
        return 1;
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
