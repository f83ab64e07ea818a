/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/splice.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/private_pipe.h"
#include "io/progress.h"
#include "io/recv.h"
#include "io/send.h"
#include "record/rx_low_water.h"
#include "record/rx_queue.h"
#include "record/sysio.h"
#include "shm/scratch.h"
#include "sys/net.h"
#include "sys/real.h"

enum {
    PIECE = SCRATCH_RECORDS * TLS_PLAINTEXT_MAX, /* bytes that are read for one send */
    PIECES_MAX = 16,                             /* chunks of the queue that are written at once */
    AT_ONCE_MAX = 0x7ffff000,                    /* sendfile(2), NOTES */
};

static bool may_wait(int pipe, unsigned flags)
{
    return !(flags & SPLICE_F_NONBLOCK) && sysio_may_block(pipe, 0);
}

/* Waits for a pipe as the kernel does in splice(2): 0 or -EINTR. */
static int wait_for(int pipe, short events)
{
    while (progress_wait(pipe, events, INT64_MAX, NULL) == -EINTR) {
        if (!sysio_restarts())
            return -EINTR;
    }
    return 0;
}

/*
 * From the connection into a pipe
 *
 * How much a pipe takes is known only when it has taken it, and what was received cannot be put back into the
 * kernel. So records are decrypted into the connection's queue, where bytes may stay. From there they are
 * written into a pipe of the library's own: that is the copy that write(2) makes. From that pipe pages are
 * moved into the program's, as far as there is room. What was moved leaves the queue.
 */

/* An estimate of how many bytes fit the pipe: its size less what is in it. If that is none, a pipe whose
 * pages are partly used may still take PIPE_BUF. -EINVAL: not a pipe. */
static ssize_t room_in(int pipe)
{
    int size = net_fcntl(pipe, F_GETPIPE_SZ, 0), used = 0;
    if (size < 0)
        return -EINVAL;
    net_ioctl(pipe, FIONREAD, &used);
    return size > used ? size - used : PIPE_BUF;
}

/* Moves bytes to the program's pipe. Meanwhile the lock is marked as blocked: if nobody reads the pipe,
 * SIGPIPE comes, and its handler may leave this call by siglongjmp(3). A later call must not be taken for
 * that handler (is_above_own() in conn/hold.c). So the recorded frame is deeper than any call's way to the
 * lock, and less deep than a handler's. *lost: the lock is not held any more. */
__attribute__((noinline)) static ssize_t
move(const struct conn_handle *handle, const struct private_pipe *own, int pipe, size_t len, bool *lost)
{
    volatile uint8_t depth[4096];
    struct conn *conn = handle->conn;
    conn->rx.frame = (uintptr_t)depth;
    lock_block(&conn->rx_lock);
    ssize_t moved = net_splice(own->read_end, pipe, len, SPLICE_F_NONBLOCK);
    *lost = !lock_unblock(&conn->rx_lock);
    return moved;
}

/* Moves up to `len` bytes from the connection's queue to the pipe: a count or -errno. rx_lock is held, also
 * afterwards unless *lost. */
static ssize_t queue_to_pipe(const struct conn_handle *handle, int pipe, size_t len, bool *lost)
{
    struct iovec iov[PIECES_MAX];
    struct private_pipe own;
    int result = private_pipe_take(&own);
    if (result < 0)
        return result;
    long put = net_writev(own.write_end, iov,
                          chunks_view(handle->conn, &handle->conn->rx.queue, len, iov, PIECES_MAX));
    ssize_t moved = put > 0 ? move(handle, &own, pipe, (size_t)put, lost) : put;
    private_pipe_give(&own, put > moved ? (size_t)(put - (moved > 0 ? moved : 0)) : 0);
    if (moved > 0 && !*lost)
        rx_queue_taken(handle, (size_t)moved);
    return moved;
}

/* Decrypts data into the queue if it has none: whether the queue has bytes now. Does not wait. */
static bool fill(const struct conn_handle *handle, size_t len, bool *drained)
{
    struct conn *conn = handle->conn;
    for (int i = 0; i < RX_EMPTY_MAX && conn->rx.queue.total == 0; i++) {
        if (*drained || conn_peer_closed(conn) || conn_failed(conn))
            return false;
        struct rx_step step = rx_queue_gather(handle, len, drained);
        rx_queue_save_error(conn, step.error);
        if (rx_stopped(step) || step.kind == RX_TRUNCATED || !fdtable_current(handle))
            return false;
    }
    return conn->rx.queue.total > 0;
}

/* Moves what can be moved without waiting. 0: there is nothing; recv_message() will tell why. */
static ssize_t to_pipe_locked(const struct conn_handle *handle, int pipe, size_t len, bool *lost)
{
    size_t done = 0;
    bool drained = false;
    while (done < len && fill(handle, len - done, &drained)) {
        ssize_t moved = queue_to_pipe(handle, pipe, len - done, lost);
        if (moved > 0)
            done += (size_t)moved;
        if (*lost || moved <= 0)
            return done ? (ssize_t)done : moved;
        if (!fdtable_current(handle))
            break;
    }
    rx_queue_free_idle_chunk(handle->conn);
    return (ssize_t)done;
}

static struct io_result to_pipe_now(const struct conn_handle *handle, int pipe, size_t len)
{
    bool lost = false;
    if (!conn_is_established(handle->conn) || conn_is_plaintext(handle->conn))
        return io_done(0);
    struct io_result result = recv_begin(handle, MSG_DONTWAIT);
    if (!io_ok(result))
        return io_is_error(result, EAGAIN) ? io_done(0) : result;
    ssize_t moved = to_pipe_locked(handle, pipe, len, &lost);
    if (!lost)
        if (handle->conn->rx.attention & RX_LOW_WATER)
            rx_low_water_apply(handle);
    conn_release_rx(handle->conn);
    return io_done(moved == -EAGAIN ? 0 : moved);
}

/* The descriptor's O_ flags, or -EBADF if nothing can be written there. */
static int flags_for_writing(int fd)
{
    int status = net_fcntl(fd, F_GETFL, 0);
    return status < 0 || (status & O_ACCMODE) == O_RDONLY ? -EBADF : status;
}

/* Waits for room in the pipe, which the kernel checks before it looks for bytes. 0 or -errno. */
static int wait_for_room(int pipe, unsigned flags)
{
    struct pollfd polled = {.fd = pipe, .events = POLLOUT};
    int status = flags_for_writing(pipe);
    if (status < 0)
        return status;
    for (;;) {
        net_ppoll(&polled, 1, &(struct timespec){0});
        if (polled.revents & (POLLERR | POLLNVAL))
            return polled.revents & POLLNVAL ? -EBADF : (int)send_broken_pipe(0);
        if (polled.revents & POLLOUT)
            return 0;
        if ((status & O_NONBLOCK) || (flags & SPLICE_F_NONBLOCK))
            return -EAGAIN;
        int result = wait_for(pipe, POLLOUT);
        if (result < 0)
            return result;
    }
}

/* The result of a call of libc. */
static struct io_result of_libc(ssize_t result)
{
    return io_done(result < 0 ? -errno : result);
}

struct io_result splice_to_pipe(const struct conn_handle *handle, int pipe, size_t len, unsigned flags)
{
    uint8_t byte;
    const struct iovec one = {&byte, 1};
    for (;;) {
        ssize_t room = room_in(pipe);
        if (room < 0)
            return io_done(flags_for_writing(pipe) < 0 ? -EBADF : room);
        struct io_result moved = to_pipe_now(handle, pipe, len < (size_t)room ? len : (size_t)room);
        if (moved.status != IO_DONE || moved.value != 0)
            return moved;
        int result = wait_for_room(pipe, flags);
        if (result < 0)
            return io_done(result);
        /* This waits for bytes as a read does, and finds the end and every error. */
        struct io_result there = recv_message(handle, &one, 1, MSG_PEEK);
        if (!io_ok(there) || there.value == 0)
            return there;
        if (conn_is_plaintext(handle->conn))
            return of_libc(real()->splice(handle->fd, NULL, pipe, NULL, len, flags));
    }
}

/*
 * From a pipe into the connection
 *
 * How much the socket takes is known only when it has taken it, and what was read from a pipe cannot be put
 * back. So tee(2) shows the bytes, the connection takes what it can, and only that leaves the pipe.
 */

/* Reads up to `len` bytes that are in the pipe, and leaves them there. */
static ssize_t peek_pipe(int pipe, uint8_t *buffer, size_t len)
{
    struct private_pipe own;
    int result = private_pipe_take(&own);
    if (result < 0)
        return result;
    ssize_t shown = net_tee(pipe, own.write_end, len, SPLICE_F_NONBLOCK);
    size_t have = 0;
    while (shown > 0 && have < (size_t)shown) {
        long got = sys_read(own.read_end, buffer + have, (size_t)shown - have);
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    private_pipe_give(&own, shown > 0 ? (size_t)shown - have : 0);
    return have ? (ssize_t)have : shown;
}

static ssize_t peek_pipe_waiting(int pipe, uint8_t *buffer, size_t len, unsigned flags)
{
    for (;;) {
        ssize_t got = peek_pipe(pipe, buffer, len);
        if (got != -EAGAIN || !may_wait(pipe, flags))
            return got;
        int result = wait_for(pipe, POLLIN);
        if (result < 0)
            return result;
    }
}

/* Sends what was queued before it was known that the peer does not seal. 0 or an error. */
static struct io_result clear_queue(const struct conn_handle *handle)
{
    struct io_result sent = send_message(handle, NULL, 0, 0);
    return io_ok(sent) ? io_done(0) : sent;
}

struct io_result splice_from_pipe(const struct conn_handle *handle, int pipe, size_t len, unsigned flags)
{
    uint8_t *buffer __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    size_t done = 0;
    if (!buffer)
        return io_done(-ENOMEM);
    while (done < len) {
        ssize_t got = peek_pipe_waiting(pipe, buffer, len - done < PIECE ? len - done : PIECE,
                                        done ? flags | SPLICE_F_NONBLOCK : flags);
        if (got <= 0)
            return io_after(done, io_done(got));
        if (conn_is_plaintext(handle->conn) && done == 0) {
            struct io_result cleared = clear_queue(handle);
            return io_ok(cleared) ? of_libc(real()->splice(pipe, NULL, handle->fd, NULL, len, flags))
                                  : cleared;
        }
        const struct iovec iov = {buffer, (size_t)got};
        struct io_result sent = send_message(handle, &iov, 1, flags & SPLICE_F_MORE ? MSG_MORE : 0);
        if (!io_ok(sent) || sent.value == 0)
            return io_after(done, sent);
        private_pipe_discard(pipe, (size_t)sent.value);
        done += (size_t)sent.value;
        if (sent.value < got)
            break;
    }
    return io_done((ssize_t)done);
}

/*
 * From a file into the connection
 *
 * The file is read with pread(2). The program's offset, or the file's own, moves once, at the end, over what
 * the connection took. Mapping the file would save a copy, but the program would get SIGBUS when another one
 * shortens the file.
 */

/* Where pread(2) fails, the kernel's sendfile(2) into a pipe of the library's own gives the bytes, or the
 * errno that the program is to see. (O_DIRECT needs aligned memory; then there are directories, and the
 * largest size of a file.) */
static ssize_t read_by_kernel(int in, off_t at, uint8_t *buffer, size_t len)
{
    struct private_pipe own;
    int result = private_pipe_take(&own);
    if (result < 0)
        return result;
    long got = sys_call(SYS_sendfile, own.write_end, in, sys_ptr(&at), (long)len, 0, 0);
    size_t left = got > 0 ? (size_t)got : 0;
    if (got > 0)
        got = sys_read(own.read_end, buffer, left);
    private_pipe_give(&own, left - (got > 0 ? (size_t)got : 0));
    return got;
}

static ssize_t read_file(int in, off_t at, uint8_t *buffer, size_t len)
{
    long got = sys_call(SYS_pread64, in, sys_ptr(buffer), (long)len, (long)at, 0, 0);
    return got > 0 ? got : read_by_kernel(in, at, buffer, len);
}

static struct io_result from_file_at(const struct conn_handle *handle, int in, off_t at, size_t len)
{
    uint8_t *buffer __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    size_t done = 0;
    if (!buffer)
        return io_done(-ENOMEM);
    while (done < len) {
        ssize_t got = read_file(in, at + (off_t)done, buffer, len - done < PIECE ? len - done : PIECE);
        if (got <= 0)
            return io_after(done, io_done(got));
        const struct iovec iov = {buffer, (size_t)got};
        struct io_result sent = send_message(handle, &iov, 1, 0);
        if (!io_ok(sent))
            return io_after(done, sent);
        done += (size_t)sent.value;
        if (sent.value < got)
            break;
    }
    return io_done((ssize_t)done);
}

struct io_result splice_from_file(const struct conn_handle *handle, int in, off_t *offset, size_t len)
{
    off_t at = offset ? *offset : sys_call3(SYS_lseek, in, 0, SEEK_CUR);
    if (!offset && at == -ESPIPE) /* the kernel gives the errno; there is no byte to move */
        at = sys_call(SYS_sendfile, handle->fd, in, 0, 0, 0, 0);
    if (!offset && at < 0)
        return io_done(at);
    if (len > SSIZE_MAX || at < 0 || len > (size_t)(INT64_MAX - at))
        return io_done(-EINVAL);
    if (conn_is_plaintext(handle->conn)) {
        struct io_result cleared = clear_queue(handle);
        return io_ok(cleared) ? of_libc(real()->sendfile(handle->fd, in, offset, len)) : cleared;
    }
    struct io_result done = from_file_at(handle, in, at, len < AT_ONCE_MAX ? len : AT_ONCE_MAX);
    if (io_ok(done) && done.value > 0 && offset)
        *offset = at + done.value;
    else if (io_ok(done) && done.value > 0)
        sys_call3(SYS_lseek, in, at + done.value, SEEK_SET);
    return done;
}
