/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of writing. */

#include "libc/door.h"

#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "conn/address.h"
#include "conn/error.h"
#include "diag/log.h"
#include "io/connect.h"
#include "io/socket.h"
#include "io/unconnected.h"
#include "libc/pieces.h"
#include "process/lend.h"
#include "process/scm_rights.h"
#include "sys/net.h"

ssize_t __write(int fd, const void *buffer, size_t len);
ssize_t __send(int fd, const void *buffer, size_t len, int flags);
int __sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

/* Whether SO_ZEROCOPY was set, before the descriptor was a sealed one. */
static bool notifies(int fd)
{
    int on = 0;
    socklen_t len = sizeof on;
    return net_getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, &len) == 0 && on;
}

ssize_t door_send(struct conn_handle handle, const struct iovec *iov, size_t count, int flags)
{
    int saved = errno;
    if (flags & MSG_OOB) {
        error_note(&handle, LOG_WARN, "urgent data (MSG_OOB) cannot be sealed, the call is refused");
        return door_result(-EOPNOTSUPP, saved);
    }
    if ((flags & MSG_ZEROCOPY) && notifies(handle.fd)) /* the program would wait for what does not come */
        return door_result(-ENOBUFS, saved);
    for (;;) {
        struct conn *pinned __attribute__((cleanup(door_unpin), unused)) = door_pin(&handle);
        const struct io_result sent = send_message(&handle, iov, count, flags);
        if (sent.status != IO_RETRY_LOOKUP)
            return door_result(sent.value, saved);
        handle = fdtable_find(handle.fd);
        if (!handle
                 .conn) /* closed by another thread at this moment: let the kernel say so, without the data */
            return door_result(-EBADF, saved);
    }
}

ssize_t door_send_pieces(struct conn_handle handle, const struct iovec *iov, size_t count, int flags)
{
    const int saved = errno;
    struct pieces pieces __attribute__((cleanup(pieces_end)));
    const int copied = pieces_copy(&pieces, iov, count);
    if (copied < 0)
        return door_result(copied, saved);
    return count == 1 ? door_send_one(&handle, pieces.iov->iov_base, pieces.iov->iov_len, flags)
                      : door_send(handle, pieces.iov, count, flags);
}

bool door_wait_to_send(struct conn_handle *handle, int flags)
{
    int saved = errno;
    return door_result(unconnected_before_send(handle, flags), saved) == 0;
}

DOOR ssize_t write(int fd, const void *buffer, size_t len)
{
    struct conn_handle handle;
    if (!door_to_send(fd, 0, &handle))
        return -1;
    if (handle.conn)
        return door_send_one(&handle, buffer, len, 0);
    if (atomic_load_explicit(&fdtable_size, memory_order_relaxed) && lend_by_text(fd, buffer, len))
        return door_result(-EOPNOTSUPP, errno);
    return real()->write(fd, buffer, len);
}

DOOR_ALIAS("write") ssize_t __write(int fd, const void *buffer, size_t len);

DOOR ssize_t writev(int fd, const struct iovec *iov, int count)
{
    struct conn_handle handle;
    if (!door_to_send(fd, 0, &handle))
        return -1;
    if (!handle.conn || count < 0 || count > IOV_MAX)
        return real()->writev(fd, iov, count);
    return door_send_pieces(handle, iov, (size_t)count, 0);
}

DOOR ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct conn_handle handle;
    if (!door_to_send(fd, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, &handle))
        return -1;
    if (!handle.conn || offset != -1 || count < 0 || count > IOV_MAX)
        return real()->pwritev2(fd, iov, count, offset, flags);
    return door_send_pieces(handle, iov, (size_t)count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

DOOR_ALIAS("pwritev2")
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags);

DOOR ssize_t send(int fd, const void *buffer, size_t len, int flags)
{
    struct conn_handle handle;
    if (!door_to_send(fd, flags, &handle))
        return -1;
    if (!handle.conn)
        return real()->send(fd, buffer, len, flags);
    return door_send_one(&handle, buffer, len, flags);
}

DOOR_ALIAS("send") ssize_t __send(int fd, const void *buffer, size_t len, int flags);

/* TCP Fast Open would carry the data in the SYN, before there are keys: connect first, then send, which is
 * what a peer without Fast Open makes the kernel do too. True if fd is a sealed connection afterwards,
 * *result < 0 if that failed. */
static bool fast_open(int fd, const struct sockaddr *address, socklen_t len, int flags, int *result)
{
    struct sockaddr_storage peer;
    *result = 0;
    if (!(flags & MSG_FASTOPEN) || !address || fdtable_has(fd))
        return fdtable_has(fd);
    if (!socket_wants(fd, address, len, &peer))
        return false;
    int saved = errno;
    *result = connect_to(fd, address, len);
    if (*result == -EINPROGRESS)
        *result = 0;
    *result = (int)door_result(*result, saved);
    return true;
}

/* SOCKSEAL_STRICT: a datagram to a named port, as connect(2) of such a socket. The kernel takes an IPv4
 * address without its family too (udp_sendmsg()). */
static bool refused_strictly(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_in in;
    if (address && len >= sizeof in && address->sa_family == AF_UNSPEC) {
        memcpy(&in, address, sizeof in);
        in.sin_family = AF_INET;
        address = (const struct sockaddr *)&in;
        len = sizeof in;
    }
    if (!address || !socket_strictly_refused(fd, address, len))
        return false;
    errno = EACCES;
    return true;
}

/* Where there is a connection, or the beginning of one, the flag is an error, which the kernel tells. */
static bool opens_twice(int fd, const struct sockaddr *address, socklen_t len, int flags)
{
    return (flags & MSG_FASTOPEN) && fdtable_has(fd) &&
           real()->sendto(fd, NULL, 0, flags | MSG_NOSIGNAL, address, len) < 0;
}

/* With MSG_FASTOPEN the call makes the connection, or fails. */
static bool may_send(int fd, int flags)
{
    struct conn_handle handle;
    return (flags & MSG_FASTOPEN) || door_to_send(fd, flags, &handle);
}

DOOR ssize_t sendto(int fd, const void *buffer, size_t len, int flags, const struct sockaddr *to,
                    socklen_t to_len)
{
    int opened;
    if (opens_twice(fd, to, to_len, flags) || refused_strictly(fd, to, to_len) || !may_send(fd, flags))
        return -1;
    if (!fdtable_has(fd) && !fast_open(fd, to, to_len, flags, &opened))
        return real()->sendto(fd, buffer, len, flags, to, to_len);
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn)
        return -1;
    return door_send_one(&handle, buffer, len, flags);
}

/* To a netlink socket, by a process that has sealed descriptors to lend. */
static bool is_netlink(const struct msghdr *message)
{
    const struct sockaddr *name = message->msg_name;
    return name && message->msg_namelen >= sizeof name->sa_family && name->sa_family == AF_NETLINK &&
           atomic_load_explicit(&fdtable_size, memory_order_relaxed);
}

/* A TCP socket takes such a message too, and ignores the descriptors. */
static bool passes_descriptors(int fd, const struct msghdr *message)
{
    return !fdtable_concerns(fd) && scm_rights_concerns(message) && !address_is_tcp(fd);
}

DOOR ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int opened;
    if (message && is_netlink(message) && lend_by_netlink(fd, message))
        return door_result(-EOPNOTSUPP, errno);
    if (message && (opens_twice(fd, message->msg_name, message->msg_namelen, flags) ||
                    refused_strictly(fd, message->msg_name, message->msg_namelen)))
        return -1;
    if (message && passes_descriptors(fd, message))
        return door_result(scm_rights_send(fd, message, flags), errno);
    if (!may_send(fd, flags))
        return -1;
    if (!message ||
        (!fdtable_has(fd) && !fast_open(fd, message->msg_name, message->msg_namelen, flags, &opened)))
        return real()->sendmsg(fd, message, flags);
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn)
        return -1;
    if (message->msg_iovlen > IOV_MAX)
        return door_result(-EMSGSIZE, errno);
    return door_send_pieces(handle, message->msg_iov, message->msg_iovlen, flags);
}

DOOR int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    bool alone = fdtable_concerns(fd) || (flags & MSG_FASTOPEN) || config_get()->strict;
    for (unsigned i = 0; i < count && !alone; i++)
        alone = scm_rights_concerns(&messages[i].msg_hdr);
    if (!alone)
        return real()->sendmmsg(fd, messages, count, flags);
    unsigned done = 0;
    int saved = errno;
    while (done < count && done < IOV_MAX) {
        ssize_t sent = sendmsg(fd, &messages[done].msg_hdr, flags);
        if (sent < 0 && done == 0)
            return -1;
        if (sent < 0)
            break;
        messages[done++].msg_len = (unsigned)sent;
    }
    errno = saved;
    return (int)done;
}

DOOR_ALIAS("sendmmsg") int __sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
