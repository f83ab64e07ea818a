/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of reading. */

#include "libc/door.h"

#include <limits.h>
#include <unistd.h>

#include "config/config.h"
#include "conn/pending.h"
#include "io/unconnected.h"
#include "io/wait.h"
#include "libc/pieces.h"
#include "process/scm_rights.h"
#include "sys/net.h"

ssize_t __read(int fd, void *buffer, size_t len);
ssize_t __recv(int fd, void *buffer, size_t len, int flags);
ssize_t __read_chk(int fd, void *buffer, size_t len, size_t size);
ssize_t __recv_chk(int fd, void *buffer, size_t len, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t len, size_t size, int flags, struct sockaddr *from,
                       socklen_t *from_len);
void __chk_fail(void) __attribute__((noreturn));

ssize_t door_receive(struct conn_handle handle, const struct iovec *iov, size_t count, int flags)
{
    int saved = errno;
    for (;;) {
        struct conn *pinned __attribute__((cleanup(door_unpin), unused)) = door_pin(&handle);
        const struct io_result got = recv_message(&handle, iov, count, flags);
        if (got.status != IO_RETRY_LOOKUP)
            return door_result(got.value, saved);
        handle = fdtable_find(handle.fd);
        if (!handle.conn) /* closed by another thread at this moment */
            return door_result(-EBADF, saved);
    }
}

ssize_t door_receive_pieces(struct conn_handle handle, const struct iovec *iov, size_t count, int flags)
{
    const int saved = errno;
    struct pieces pieces __attribute__((cleanup(pieces_end)));
    const int copied = pieces_copy(&pieces, iov, count);
    if (copied < 0)
        return door_result(copied, saved);
    return count == 1 ? door_receive_one(&handle, pieces.iov->iov_base, pieces.iov->iov_len, flags)
                      : door_receive(handle, pieces.iov, count, flags);
}

/* Urgent data is not sealed: what a stranger marked so is none of the program's, and there is none (tcp(7)).
 */
static inline bool is_urgent(const struct conn_handle *handle, int flags)
{
    return handle->conn && (flags & MSG_OOB) && !conn_is_plaintext(handle->conn);
}

/* What comes before libc's own call: while a handshake is outstanding, a program that blocks in some other
 * read still drives it. */
static inline int before_read(int fd, int flags)
{
    if (!pending_any() || (flags & (MSG_OOB | MSG_ERRQUEUE)))
        return 0;
    int saved = errno, result = wait_before_read(fd, flags);
    return (int)door_result(result, saved);
}

bool door_wait_to_receive(struct conn_handle *handle, int flags)
{
    int saved = errno;
    if ((flags & (MSG_OOB | MSG_ERRQUEUE)) || !config_get()->active)
        return true;
    return before_read(handle->fd, flags) == 0 &&
           door_result(unconnected_before_receive(handle, flags), saved) == 0;
}

DOOR ssize_t read(int fd, void *buffer, size_t len)
{
    struct conn_handle handle = fdtable_find(fd);
    if (len && fdtable_is_unconnected(&handle) && !door_wait_to_receive(&handle, 0))
        return -1;
    if (!handle.conn)
        return len && before_read(fd, 0) < 0 ? -1 : real()->read(fd, buffer, len);
    return door_receive_one(&handle, buffer, len, 0);
}

DOOR_ALIAS("read") ssize_t __read(int fd, void *buffer, size_t len);

DOOR ssize_t __read_chk(int fd, void *buffer, size_t len, size_t size)
{
    if (len > size)
        __chk_fail();
    return read(fd, buffer, len);
}

DOOR ssize_t readv(int fd, const struct iovec *iov, int count)
{
    struct conn_handle handle;
    if (!door_to_receive(fd, 0, &handle))
        return -1;
    if (!handle.conn || count < 0 || count > IOV_MAX)
        return before_read(fd, 0) < 0 ? -1 : real()->readv(fd, iov, count);
    return door_receive_pieces(handle, iov, (size_t)count, 0);
}

DOOR ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct conn_handle handle;
    if (!door_to_receive(fd, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, &handle))
        return -1;
    if (!handle.conn || offset != -1 || count < 0 || count > IOV_MAX)
        return real()->preadv2(fd, iov, count, offset, flags);
    return door_receive_pieces(handle, iov, (size_t)count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

DOOR_ALIAS("preadv2")
ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags);

DOOR ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    struct conn_handle handle;
    if (!door_to_receive(fd, flags, &handle))
        return -1;
    if (is_urgent(&handle, flags))
        return door_result(-EINVAL, errno);
    if (!handle.conn || (flags & (MSG_OOB | MSG_ERRQUEUE)))
        return before_read(fd, flags) < 0 ? -1 : real()->recv(fd, buffer, len, flags);
    return door_receive_one(&handle, buffer, len, flags);
}

DOOR_ALIAS("recv") ssize_t __recv(int fd, void *buffer, size_t len, int flags);

DOOR ssize_t __recv_chk(int fd, void *buffer, size_t len, size_t size, int flags)
{
    if (len > size)
        __chk_fail();
    return recv(fd, buffer, len, flags);
}

DOOR ssize_t recvfrom(int fd, void *buffer, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
    struct conn_handle handle;
    if (!door_to_receive(fd, flags, &handle))
        return -1;
    if (is_urgent(&handle, flags))
        return door_result(-EINVAL, errno);
    if (!handle.conn || (flags & (MSG_OOB | MSG_ERRQUEUE)))
        return before_read(fd, flags) < 0 ? -1 : real()->recvfrom(fd, buffer, len, flags, from, from_len);
    ssize_t got = door_receive_one(&handle, buffer, len, flags);
    if (got >= 0 && from && from_len)
        *from_len = 0; /* as TCP does */
    return got;
}

DOOR ssize_t __recvfrom_chk(int fd, void *buffer, size_t len, size_t size, int flags, struct sockaddr *from,
                            socklen_t *from_len)
{
    if (len > size)
        __chk_fail();
    return recvfrom(fd, buffer, len, flags, from, from_len);
}

/* Descriptors may come with it. */
static ssize_t recvmsg_plain(int fd, struct msghdr *message, int flags)
{
    ssize_t got = before_read(fd, flags) < 0 ? -1 : real()->recvmsg(fd, message, flags);
    if (got >= 0)
        scm_rights_received(message, flags);
    return got;
}

DOOR ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct conn_handle handle;
    if (!door_to_receive(fd, flags, &handle))
        return -1;
    if (is_urgent(&handle, flags))
        return door_result(-EINVAL, errno);
    if (!handle.conn || !message || (flags & (MSG_OOB | MSG_ERRQUEUE)) || message->msg_iovlen > IOV_MAX)
        return recvmsg_plain(fd, message, flags);
    ssize_t got = door_receive_pieces(handle, message->msg_iov, message->msg_iovlen, flags);
    if (got >= 0) {
        message->msg_namelen = 0;
        message->msg_controllen = 0;
        message->msg_flags = 0;
    }
    return got;
}

DOOR int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    struct conn_handle handle;
    if (!door_to_receive(fd, flags, &handle))
        return -1;
    if (!handle.conn) {
        int got = before_read(fd, flags) < 0 ? -1 : real()->recvmmsg(fd, messages, count, flags, timeout);
        for (int i = 0; i < got; i++)
            scm_rights_received(&messages[i].msg_hdr, flags);
        return got;
    }
    int64_t until = timeout ? net_now_ms() + timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000 : INT64_MAX;
    unsigned done = 0;
    int one = flags & ~MSG_WAITFORONE, saved = errno;
    while (done < count) {
        ssize_t got = recvmsg(fd, &messages[done].msg_hdr, one);
        if (got < 0 && done == 0)
            return -1;
        if (got < 0)
            break;
        messages[done++].msg_len = (unsigned)got;
        if (flags & MSG_WAITFORONE)
            one |= MSG_DONTWAIT;
        if (got == 0 || net_now_ms() >= until) /* recvmmsg(2): the time-out is looked at after each message */
            break;
    }
    errno = saved;
    return (int)done;
}
