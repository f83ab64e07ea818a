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
#include "conn/closing.h"
#include "conn/failure.h"
#include "conn/info.h"
#include "conn/look.h"
#include "conn/open.h"
#include "diag/log.h"
#include "sys/net.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif
#ifndef TCP_INQ
#define TCP_INQ 36
#endif

/* A handshake's failure is the socket's error, told once as SO_ERROR is (socket(7)). */
static void add_error(struct conn *conn, int *value)
{
    if (*value == 0)
        *value = atomic_exchange(&conn->pending, 0);
    if (*value == 0 && conn_failed(conn) && !atomic_exchange(&conn->error_told, 1))
        *value = conn->error;
}

/* sockseal.h: as for TCP_INFO, at most *len bytes are written. */
static int tell_info(const struct sealed *sealed, void *value, socklen_t *len)
{
    struct sockseal_info info;
    int saved = errno;
    if (!value || !len)
        return (int)door_result(-EFAULT, saved);
    info_fill(sealed, &info);
    if (*len > sizeof info)
        *len = sizeof info;
    memcpy(value, &info, *len);
    errno = saved;
    return 0;
}

/* What works on the bytes in the kernel's queues, which are not the program's; and what a kernel without the
 * option says. */
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
static int refused(const struct conn *conn, int level, int name)
{
    for (size_t i = 0; i < sizeof refused_options / sizeof refused_options[0]; i++) {
        if (refused_options[i].level != level || refused_options[i].name != name || conn->plaintext)
            continue;
        failure_note(conn, LOG_WARN, refused_options[i].what);
        return refused_options[i].error;
    }
    return 0;
}

DOOR int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
    struct sealed sealed = registry_find(fd);
    if (level == SOCKSEAL_SOL && name == SOCKSEAL_INFO && (sealed.conn || config_get()->active))
        return tell_info(&sealed, value, len);
    if (sealed.conn && level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE && /* would give ciphertext */
        refused(sealed.conn, level, name))
        return (int)door_result(-EINVAL, errno);
    int result = real()->getsockopt(fd, level, name, value, len);
    if (!sealed.conn || result < 0 || level != SOL_SOCKET || *len != sizeof(int))
        return result;
    if (name == SO_ERROR)
        add_error(sealed.conn, value);
    else if (name == SO_RCVLOWAT && sealed.conn->low_water)
        *(int *)value = sealed.conn->low_water;
    return result;
}

/* SO_RCVLOWAT counts bytes in the kernel's queue, where a sealed connection has records, or the marker alone:
 * it is kept here, for reads. */
static int set_low_water(struct conn *conn, const void *value, socklen_t len)
{
    if (len < sizeof(int))
        return -EINVAL;
    int low = *(const int *)value;
    conn->low_water = low < 0 ? INT_MAX : low == 0 ? 1 : low;
    return 0;
}

/* In the connection too, since another process may be the last to close it. */
static void note_linger(struct conn *conn, bool on)
{
    if (on)
        closing_linger_used = true;
    if (on && conn && conn != &registry_dead)
        conn->lingers = 1;
}

DOOR int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct sealed sealed = registry_find(fd);
    if (level == SOL_SOCKET && name == SO_LINGER && len >= sizeof(struct linger))
        note_linger(sealed.conn, ((const struct linger *)value)->l_onoff != 0);
    if (!sealed.conn && level == SOL_SOCKET && name == SO_PEEK_OFF && config_get()->active && open_is_tcp(fd))
        return (int)door_result(-EOPNOTSUPP, errno); /* it may be sealed yet, and the shim peeks */
    if (!sealed.conn)
        return real()->setsockopt(fd, level, name, value, len);
    int error = refused(sealed.conn, level, name);
    if (error)
        return (int)door_result(-error, errno);
    if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        return (int)door_result(set_low_water(sealed.conn, value, len), errno);
    return real()->setsockopt(fd, level, name, value, len);
}

DOOR int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    struct sealed sealed = registry_find(fd);
    if (sealed.conn && request == FIONREAD && sealed.conn->established && !sealed.conn->plaintext) {
        int saved = errno;
        *(int *)argument = (int)look_available(&sealed);
        errno = saved;
        return 0;
    }
    if (sealed.conn && (request == FIOCLEX || request == FIONCLEX))
        return fcntl(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0);
    int result = real()->ioctl(fd, request, argument);
    if (sealed.conn && request == FIONREAD && result == 0 && !sealed.conn->plaintext)
        *(int *)argument = 0; /* handshake messages are none of the program's */
    if (sealed.conn && (request == SIOCOUTQ || request == SIOCOUTQNSD) && result == 0)
        *(int *)argument += (int)sealed.conn->to_send; /* accepted, and not given to the kernel yet */
    return result;
}
