/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors that move bytes from one descriptor to another. */

#include "libc/door.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>

#include "io/splice.h"

static const unsigned splice_flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

/* A transfer with the sealed descriptor at one end and `other` at the other. */
struct transfer {
    struct io_result (*run)(const struct conn_handle *handle, const struct transfer *transfer);
    int other;
    off_t *offset;
    size_t len;
    unsigned flags;
};

static struct io_result to_pipe(const struct conn_handle *handle, const struct transfer *transfer)
{
    return splice_to_pipe(handle, transfer->other, transfer->len, transfer->flags);
}

static struct io_result from_pipe(const struct conn_handle *handle, const struct transfer *transfer)
{
    return splice_from_pipe(handle, transfer->other, transfer->len, transfer->flags);
}

static struct io_result from_file(const struct conn_handle *handle, const struct transfer *transfer)
{
    return splice_from_file(handle, transfer->other, transfer->offset, transfer->len);
}

static ssize_t run(struct conn_handle handle, const struct transfer *transfer)
{
    int saved = errno;
    for (;;) {
        struct conn *pinned __attribute__((cleanup(door_unpin), unused)) = door_pin(&handle);
        struct io_result moved = transfer->run(&handle, transfer);
        if (moved.status != IO_RETRY_LOOKUP)
            return door_result(moved.value, saved);
        handle = fdtable_find(handle.fd);
        if (!handle.conn) /* closed by another thread at this moment */
            return door_result(-EBADF, saved);
    }
}

/* sendfile(2) from a sealed connection: into a pipe it is splice(2), and all else the kernel refuses. */
static ssize_t send_connection(int out, struct conn_handle in, const off_t *offset, size_t len)
{
    if (offset)
        return door_result(-ESPIPE, errno);
    return run(in, &(struct transfer){.run = to_pipe, .other = out, .len = len});
}

DOOR ssize_t sendfile(int out, int in, off_t *offset, size_t len)
{
    struct conn_handle to, from = fdtable_find(in);
    if (!door_to_send(out, 0, &to))
        return -1;
    if ((!to.conn && !from.conn) || len == 0 || len > SSIZE_MAX) /* the kernel's call moves no byte */
        return real()->sendfile(out, in, offset, len);
    if (!to.conn)
        return send_connection(out, from, offset, len);
    return run(to, &(struct transfer){.run = from_file, .other = in, .offset = offset, .len = len});
}

DOOR_ALIAS("sendfile") ssize_t sendfile64(int out, int in, off64_t *offset, size_t len);

DOOR ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t len, unsigned flags)
{
    struct conn_handle from, to;
    const int wait = flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0;
    if (!door_to_receive(in, wait, &from) || !door_to_send(out, wait, &to))
        return -1;
    bool refused = in_offset || out_offset || len == 0 || len > SSIZE_MAX || (flags & ~splice_flags);
    if ((!from.conn && !to.conn) || refused) /* the kernel says why, and moves no byte */
        return real()->splice(in, in_offset, out, out_offset, len, flags);
    if (from.conn && to.conn)
        return door_result(-EINVAL, errno);
    return run(from.conn ? from : to, &(struct transfer){.run = from.conn ? to_pipe : from_pipe,
                                                         .other = from.conn ? out : in,
                                                         .len = len,
                                                         .flags = flags});
}

/* tee(2) and vmsplice(2) want pipes, which a sealed connection is as little as any other: the kernel says so,
 * and moves no byte. */
DOOR ssize_t tee(int in, int out, size_t len, unsigned flags)
{
    return real()->tee(in, out, len, flags);
}

DOOR ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
    return real()->vmsplice(fd, iov, count, flags);
}
