/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of options: getsockopt, setsockopt, ioctl, fcntl. */

#include "libc/door.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "config/config.h"
#include "conn/address.h"
#include "conn/error.h"
#include "diag/log.h"
#include "io/connect.h"
#include "io/ending.h"
#include "io/info.h"
#include "io/socket.h"
#include "process/lend.h"
#include "record/rx_low_water.h"
#include "record/rx_probe.h"
#include "record/sysio.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif
#ifndef TCP_INQ
#define TCP_INQ 36
#endif

/* A handshake's failure is the socket's error, reported once as SO_ERROR is (socket(7)). */
static void add_error(struct conn *conn, int *value)
{
    if (*value == 0)
        *value = conn_take_so_error(conn);
    if (*value == 0 && conn_failed(conn) && !atomic_exchange(&conn->status.error_told, 1))
        *value = conn->status.error;
}

/* sockseal.h: as for TCP_INFO, at most *len bytes are written. */
static int tell_info(const struct conn_handle *handle, void *value, socklen_t *len)
{
    struct sockseal_info info;
    int saved = errno;
    if (!value || !len)
        return (int)door_result(-EFAULT, saved);
    info_fill(handle, &info);
    if (*len > sizeof info)
        *len = sizeof info;
    memcpy(value, &info, *len);
    errno = saved;
    return 0;
}

/* Options that work on the bytes in the kernel's queues, which are ciphertext. The error is what a kernel
 * without the option gives. */
static const struct refused {
    int level, name, error;
    const char *what;
} refused_options[] = {
    {SOL_SOCKET, SO_ZEROCOPY, EOPNOTSUPP, "SO_ZEROCOPY is refused on a sealed connection"},
    {SOL_SOCKET, SO_PEEK_OFF, EOPNOTSUPP, "SO_PEEK_OFF is refused on a sealed connection"},
    {IPPROTO_TCP, TCP_ULP, ENOENT, "TCP_ULP is refused on a sealed connection"},
    {IPPROTO_TCP, TCP_REPAIR, EPERM, "TCP_REPAIR is refused on a sealed connection"},
    {IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, EINVAL, "TCP_ZEROCOPY_RECEIVE is refused on a sealed connection"},
    {IPPROTO_TCP, TCP_INQ, ENOPROTOOPT, "TCP_INQ is refused on a sealed connection"},
};

/* The errno with which the option is refused, or 0. */
static int refused(const struct conn_handle *handle, int level, int name)
{
    static _Atomic bool reported[sizeof refused_options / sizeof refused_options[0]];
    for (size_t i = 0; i < sizeof refused_options / sizeof refused_options[0]; i++) {
        if (refused_options[i].level != level || refused_options[i].name != name ||
            conn_is_plaintext(handle->conn))
            continue;
        /* Programs do without; gRPC tries TCP_INQ on each connection. */
        if (!atomic_exchange(&reported[i], true))
            log_line(LOG_INFO, "%s (said once)", refused_options[i].what);
        return refused_options[i].error;
    }
    return 0;
}

DOOR int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
    struct conn_handle handle = fdtable_find(fd);
    if (level == SOCKSEAL_SOL && name == SOCKSEAL_INFO && (handle.conn || config_get()->active))
        return tell_info(&handle, value, len);
    if (handle.conn && level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE && /* would give ciphertext */
        refused(&handle, level, name))
        return (int)door_result(-EINVAL, errno);
    int result = real()->getsockopt(fd, level, name, value, len);
    if (!handle.conn || result < 0 || level != SOL_SOCKET || *len != sizeof(int))
        return result;
    if (name == SO_ERROR)
        add_error(handle.conn, value);
    else if (name == SO_RCVLOWAT && handle.conn->rx.low_water)
        *(int *)value = handle.conn->rx.low_water;
    return result;
}

/* In the connection too, since another process may be the last to close it. */
static void note_linger(struct conn *conn, bool on)
{
    if (on)
        ending_linger_used = true;
    if (on && conn && conn != &fdtable_dead)
        conn->status.lingers = 1;
}

DOOR int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct conn_handle handle = fdtable_find(fd);
    if (level == SOL_SOCKET && name == SO_LINGER && len >= sizeof(struct linger))
        note_linger(handle.conn, ((const struct linger *)value)->l_onoff != 0);
    if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
        sysio_limits_used = true;
    if (!handle.conn && level == IPPROTO_TCP && name == TCP_QUICKACK && len >= sizeof(int) &&
        !*(const int *)value)
        connect_delayed_ack = true;
    if (!handle.conn && level == SOL_SOCKET && name == SO_RCVLOWAT)
        socket_low_water_used = true;
    if (!handle.conn && level == SOL_SOCKET && name == SO_PEEK_OFF && config_get()->active &&
        address_is_tcp(fd))
        return (int)door_result(-EOPNOTSUPP, errno); /* it may become sealed, and the library peeks */
    if (!handle.conn)
        return real()->setsockopt(fd, level, name, value, len);
    int error = refused(&handle, level, name);
    if (error)
        return (int)door_result(-error, errno);
    if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        return (int)door_result(len < sizeof(int) ? -EINVAL : rx_low_water_set(&handle, *(const int *)value),
                                errno);
    return real()->setsockopt(fd, level, name, value, len);
}

DOOR int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    struct conn_handle handle = fdtable_find(fd);
    if (handle.conn && request == FIONREAD && conn_is_established(handle.conn) &&
        !conn_is_plaintext(handle.conn)) {
        int saved = errno;
        *(int *)argument = (int)rx_probe_available(&handle);
        errno = saved;
        return 0;
    }
    if (handle.conn && (request == FIOCLEX || request == FIONCLEX))
        return fcntl(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0);
    if (lend_by_ioctl(fd, request, argument))
        return (int)door_result(-EOPNOTSUPP, errno);
    int result = real()->ioctl(fd, request, argument);
    if (handle.conn && request == FIONREAD && result == 0 && !conn_is_plaintext(handle.conn))
        *(int *)argument = 0; /* the program gets no handshake messages */
    if (handle.conn && (request == SIOCOUTQ || request == SIOCOUTQNSD) && result == 0)
        *(int *)argument += (int)handle.conn->tx.to_send; /* accepted, but not in the kernel yet */
    return result;
}
