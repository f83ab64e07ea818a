/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "agent.h"
#include "calls.h"
#include "calls_transfer.h"
#include "doors_transfer.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

static void tell(struct scene *scene, const char *name, long result, int error)
{
    t_tell_result(scene, A, name, result, result < 0 ? error : error ? error : AGENT_ERRNO);
}

long t_splice_in(struct scene *scene, const int pipe[2], size_t len, unsigned flags)
{
    char name[64];
    snprintf(name, sizeof name, "splice in(%zu, %#x)", len, flags);
    errno = 0;
    long result = splice(scene->fd[A], NULL, pipe[1], NULL, len, flags);
    tell(scene, name, result, errno);
    return result;
}

long t_splice_out(struct scene *scene, const int pipe[2], size_t len, unsigned flags)
{
    char name[64];
    snprintf(name, sizeof name, "splice out(%zu, %#x)", len, flags);
    errno = 0;
    long result = splice(pipe[0], NULL, scene->fd[A], NULL, len, flags);
    tell(scene, name, result, errno);
    return result;
}

long t_sendfile(struct scene *scene, int file, off_t *offset, size_t len)
{
    char name[64];
    snprintf(name, sizeof name, "sendfile(%s, %zu)", offset ? "offset" : "NULL", len);
    errno = 0;
    long result = sendfile(scene->fd[A], file, offset, len);
    tell(scene, name, result, errno);
    scene_tell(scene, "  offset %lld, file's %lld", offset ? (long long)*offset : -1LL,
               (long long)lseek(file, 0, SEEK_CUR));
    return result;
}

void t_pipe_put(const int pipe[2], const char *text)
{
    assert_int_equal(write(pipe[1], text, strlen(text)), strlen(text));
}

size_t t_pipe_fill(const int pipe[2], uint64_t place)
{
    uint8_t page[4096];
    size_t done = 0;
    int status = fcntl(pipe[1], F_GETFL);
    assert_int_equal(fcntl(pipe[1], F_SETFL, status | O_NONBLOCK), 0);
    for (;;) {
        net_pattern(page, sizeof page, place + done);
        ssize_t put = write(pipe[1], page, sizeof page);
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    assert_int_equal(fcntl(pipe[1], F_SETFL, status), 0);
    return done;
}

void t_pipe_holds(struct scene *scene, const int pipe[2])
{
    scene_tell(scene, "the pipe holds %zu", transfer_waiting(pipe[0]));
}

void t_pipe_take(struct scene *scene, const int pipe[2], size_t len)
{
    char text[64] = "";
    size_t waiting = transfer_waiting(pipe[0]), want = len < sizeof text ? len : sizeof text - 1;
    ssize_t got = waiting ? read(pipe[0], text, want) : 0;
    scene_tell(scene, "the pipe gives %zd \"%s\"", got, text);
}

void t_tell_call(struct scene *scene, const char *name, long result)
{
    tell(scene, name, result, result < 0 ? errno : 0);
}

int t_pattern_file(size_t len)
{
    uint8_t *data = malloc(len);
    assert_non_null(data);
    net_pattern(data, len, 0);
    int file = transfer_file(data, len);
    free(data);
    return file;
}
