/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "agent.h"
#include "calls.h"
#include "doors.h"
#include "net.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char end_name[2] = {'A', 'B'};

long t_run(struct scene *scene, enum end end, long (*run)(const long *arg), const long *arg, int *error)
{
    struct agent_call call = {.run = run};
    memcpy(call.arg, arg, sizeof call.arg);
    agent_run(end == B ? scene->agent : NULL, &call);
    *error = call.error;
    return call.result;
}

void t_tell_result(struct scene *scene, enum end end, const char *name, long result, int error)
{
    if (result < 0)
        scene_tell(scene, "%c %s = -1 %s", end_name[end], name, strerrorname_np(error));
    else
        scene_tell(scene, "%c %s = %ld%s", end_name[end], name, result,
                   error == AGENT_ERRNO ? "" : " (errno touched)");
}

/* Short text as it is, the rest by its FNV-1a hash. */
static void describe(char *out, size_t room, const uint8_t *data, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    bool text = len <= 40;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * 0x100000001b3u;
        text = text && isprint(data[i]);
    }
    if (text)
        snprintf(out, room, "\"%.*s\"", (int)len, (const char *)data);
    else
        snprintf(out, room, "#%016" PRIx64, hash);
}

static void tell_bytes(struct scene *scene, enum end end, const char *name, long result, int error)
{
    char bytes[64];
    if (result < 0) {
        t_tell_result(scene, end, name, result, error);
        return;
    }
    describe(bytes, sizeof bytes, scene->in, (size_t)result);
    scene_tell(scene, "%c %s = %ld %s%s", end_name[end], name, result, bytes,
               error == AGENT_ERRNO ? "" : " (errno touched)");
}

static long run_send(const long *arg)
{
    return send((int)arg[0], (const void *)arg[1], (size_t)arg[2], (int)arg[3]);
}

static long run_recv(const long *arg)
{
    return recv((int)arg[0], (void *)arg[1], (size_t)arg[2], (int)arg[3]);
}

static long run_writer(const long *arg)
{
    return writer_doors[arg[3]].write((int)arg[0], (const void *)arg[1], (size_t)arg[2]);
}

static long run_reader(const long *arg)
{
    return reader_doors[arg[3]].read((int)arg[0], (void *)arg[1], (size_t)arg[2]);
}

static void stage(struct scene *scene, const void *data, size_t len)
{
    assert_true(len <= SCENE_BYTES);
    memcpy(scene->out, data, len);
}

long t_send(struct scene *scene, enum end end, const void *data, size_t len, int flags)
{
    char name[64];
    int error;
    stage(scene, data, len);
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->out, (long)len, flags};
    long result = t_run(scene, end, run_send, arg, &error);
    snprintf(name, sizeof name, "send(%zu, %#x)", len, (unsigned)flags);
    t_tell_result(scene, end, name, result, error);
    return result;
}

long t_put(struct scene *scene, enum end end, const struct writer_door *door, const void *data, size_t len)
{
    char name[64];
    int error;
    stage(scene, data, len);
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->out, (long)len, door - writer_doors};
    long result = t_run(scene, end, run_writer, arg, &error);
    snprintf(name, sizeof name, "%s(%zu)", door->name, len);
    t_tell_result(scene, end, name, result, error);
    return result;
}

long t_write(struct scene *scene, enum end end, const char *text)
{
    return t_put(scene, end, &writer_doors[0], text, strlen(text));
}

/* Readers must leave alone what lies behind the bytes they give: many a program counts on its zeros there. */
enum { GUARD = 0xA5, GUARDED_MAX = 1 << 17 };

static void set_guard(struct scene *scene, size_t len)
{
    if (len < GUARDED_MAX)
        memset(scene->in, GUARD, len + 64);
}

static void check_guard(struct scene *scene, enum end end, size_t len, long result)
{
    if (len >= GUARDED_MAX)
        return;
    for (size_t i = result > 0 ? (size_t)result : 0; i < len + 64; i++) {
        if (scene->in[i] != GUARD) {
            scene_tell(scene, "%c: byte %zu of the buffer was changed", end_name[end], i);
            return;
        }
    }
}

long t_get(struct scene *scene, enum end end, const struct reader_door *door, size_t len)
{
    char name[64];
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->in, (long)len, door - reader_doors};
    set_guard(scene, len);
    long result = t_run(scene, end, run_reader, arg, &error);
    snprintf(name, sizeof name, "%s(%zu)", door->name, len);
    tell_bytes(scene, end, name, result, error);
    check_guard(scene, end, len, result);
    return result;
}

long t_read(struct scene *scene, enum end end, size_t len)
{
    return t_get(scene, end, &reader_doors[0], len);
}

long t_recv(struct scene *scene, enum end end, size_t len, int flags)
{
    char name[64];
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->in, (long)len, flags};
    set_guard(scene, len);
    long result = t_run(scene, end, run_recv, arg, &error);
    snprintf(name, sizeof name, "recv(%zu, %#x)", len, (unsigned)flags);
    if (flags & MSG_TRUNC) /* on TCP: the bytes are thrown away and the buffer is left alone */
        t_tell_result(scene, end, name, result, error);
    else
        tell_bytes(scene, end, name, result, error);
    check_guard(scene, end, len, flags & MSG_TRUNC ? 0 : result);
    return result;
}

static long run_write_all(const long *arg)
{
    return (long)net_write_all((int)arg[0], (const void *)arg[1], (size_t)arg[2]);
}

static long run_read_all(const long *arg)
{
    return (long)net_read_all((int)arg[0], (void *)arg[1], (size_t)arg[2]);
}

void t_give(struct scene *scene, enum end end, size_t len)
{
    int error;
    size_t done = 0;
    while (done < len) {
        size_t part = len - done < SCENE_BYTES ? len - done : SCENE_BYTES;
        net_pattern(scene->out, part, scene->sent[end]);
        const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->out, (long)part};
        size_t n = (size_t)t_run(scene, end, run_write_all, arg, &error);
        scene->sent[end] += n;
        done += n;
        if (n < part)
            break;
    }
    scene_tell(scene, "%c gave %zu of %zu%s%s", end_name[end], done, len, done < len ? " " : "",
               done < len ? strerrorname_np(error) : "");
}

void t_take(struct scene *scene, enum end end, size_t len)
{
    int error;
    size_t done = 0;
    bool right = true;
    while (done < len) {
        size_t part = len - done < SCENE_BYTES ? len - done : SCENE_BYTES;
        const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->in, (long)part};
        size_t n = (size_t)t_run(scene, end, run_read_all, arg, &error);
        right = right && net_is_pattern(scene->in, n, scene->received[end]);
        scene->received[end] += n;
        done += n;
        if (n < part)
            break;
    }
    scene_tell(scene, "%c took %zu of %zu%s", end_name[end], done, len, right ? "" : ", and they are wrong");
}

long t_next(struct scene *scene, enum end end, size_t len, int flags)
{
    char name[64];
    int error;
    net_pattern(scene->out, len, scene->sent[end]);
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->out, (long)len, flags};
    long result = t_run(scene, end, run_send, arg, &error);
    scene->sent[end] += result > 0 ? (uint64_t)result : 0;
    snprintf(name, sizeof name, "send next(%zu, %#x)", len, (unsigned)flags);
    t_tell_result(scene, end, name, result, error);
    return result;
}

void t_try(struct scene *scene, enum end end, size_t len, int flags)
{
    int error;
    net_pattern(scene->out, len, scene->sent[end]);
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->out, (long)len, flags};
    long result = t_run(scene, end, run_send, arg, &error);
    scene->sent[end] += result > 0 ? (uint64_t)result : 0;
    if (result >= 0 || error == EAGAIN)
        scene_tell(scene, "%c tried to send %zu: %s", end_name[end], len,
                   result == (long)len ? "all" : "not all");
    else
        t_tell_result(scene, end, "send", result, error);
}

static long step_write(struct scene *scene, enum end end, size_t len, int *error)
{
    net_pattern(scene->out, len, scene->sent[end]);
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->out, (long)len, MSG_DONTWAIT | MSG_NOSIGNAL};
    long n = t_run(scene, end, run_send, arg, error);
    scene->sent[end] += n > 0 ? (uint64_t)n : 0;
    return n;
}

static long step_read(struct scene *scene, enum end end, size_t len, int *error)
{
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->in, (long)len, MSG_DONTWAIT};
    long n = t_run(scene, end, run_recv, arg, error);
    if (n > 0 && !net_is_pattern(scene->in, (size_t)n, scene->received[end]))
        scene_tell(scene, "%c read wrong bytes after %" PRIu64, end_name[end], scene->received[end]);
    scene->received[end] += n > 0 ? (uint64_t)n : 0;
    return n;
}

static long run_poll(const long *arg)
{
    return net_wait((int)arg[0], (short)arg[1], (int)arg[2]);
}

void t_pump(struct scene *scene, enum end from, size_t total, size_t write_size, size_t read_size)
{
    enum end to = 1 - from;
    size_t written = 0, taken = 0;
    int error = 0;
    const long wait[AGENT_ARGS] = {scene->fd[to], POLLIN, 1000};
    while (taken < total) {
        size_t want = total - written < write_size ? total - written : write_size;
        long n = want > 0 ? step_write(scene, from, want, &error) : 0;
        if (n < 0 && error != EAGAIN)
            break;
        written += n > 0 ? (size_t)n : 0;
        if (want == 0 || n < 0)
            t_run(scene, to, run_poll, wait, &error);
        n = step_read(scene, to, read_size, &error);
        if (n == 0 || (n < 0 && error != EAGAIN))
            break;
        taken += n > 0 ? (size_t)n : 0;
    }
    scene_tell(scene, "%c to %c: %zu of %zu%s%s", end_name[from], end_name[to], taken, total,
               taken < total ? " " : "", taken < total ? strerrorname_np(error) : "");
}

void t_fill(struct scene *scene, enum end end, size_t write_size)
{
    int error = 0, refusals = 0;
    /* The kernel gives room back a little later, as the other side acknowledges: full is what stays full. */
    while (refusals < 3) {
        if (step_write(scene, end, write_size, &error) >= 0)
            refusals = 0;
        else if (error != EAGAIN)
            break;
        else if (++refusals < 3)
            net_sleep_ms(5);
    }
    scene_tell(scene, "%c is full: %s", end_name[end], strerrorname_np(error));
}

void t_drain(struct scene *scene, enum end end, size_t read_size)
{
    enum end from = 1 - end;
    int error = 0, idle = 0;
    const long wait[AGENT_ARGS] = {scene->fd[end], POLLIN, 20};
    while (scene->received[end] != scene->sent[from] && idle < 200) {
        /* A record that went out in part holds one byte more than was reported as written: the writer comes
         * back with it. */
        bool ahead = scene->received[end] > scene->sent[from];
        long n = ahead ? step_write(scene, from, 1, &error) : step_read(scene, end, read_size, &error);
        idle = n > 0 ? 0 : idle + 1;
        if (n == 0 || (n < 0 && error != EAGAIN))
            break;
        if (n < 0 && t_run(scene, end, run_poll, wait, &error) == 0)
            step_write(scene, from, 1, &error);
    }
    if (scene->received[end] == scene->sent[from])
        scene_tell(scene, "%c drained all", end_name[end]);
    else
        scene_tell(scene, "%c drained %" PRIu64 " of %" PRIu64 " (%s)", end_name[end], scene->received[end],
                   scene->sent[from], strerrorname_np(error));
}

static long run_peek_all(const long *arg)
{
    int64_t end = net_now_ms() + 3000;
    long n = -1;
    while (net_now_ms() < end) {
        n = recv((int)arg[0], (void *)arg[1], (size_t)arg[2], MSG_PEEK | MSG_DONTWAIT);
        if (n >= arg[2] || n == 0)
            return n;
        net_wait(-1, 0, 2);
    }
    return n;
}

void t_settle(struct scene *scene, enum end end, size_t len)
{
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)scene->in, (long)len};
    t_run(scene, end, run_peek_all, arg, &error);
}
