/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/accept.h"

#include <netinet/in.h>
#include <string.h>

#include "config/config.h"
#include "config/environment.h"
#include "conn/address.h"
#include "conn/pending.h"
#include "diag/log.h"
#include "io/progress.h"
#include "io/socket.h"
#include "record/handshake.h"
#include "record/sysio.h"
#include "shm/statusmem.h"
#include "sys/net.h"
#include "sys/real.h"
#include "sys/signals.h"
#include "sys/text.h"

_Atomic bool accept_listens;

/* Listening sockets that no rule names, a byte for each descriptor. A hint: a number that was closed past the
 * doors may be another socket's. */
enum { UNNAMED_MAX = 4096 };
static _Atomic bool unnamed[UNNAMED_MAX];

static bool is_unnamed(int fd)
{
    return fd >= 0 && fd < UNNAMED_MAX && atomic_load_explicit(&unnamed[fd], memory_order_relaxed);
}

void accept_prepare_listener(int fd)
{
    const bool named = socket_names_port(fd);
    if (fd >= 0 && fd < UNNAMED_MAX)
        atomic_store_explicit(&unnamed[fd], !named, memory_order_relaxed);
    if (!named)
        return;
    accept_listens = true;
    statusmem_publish();
    socket_check_keys();
}

bool accept_is_listener(int fd)
{
    return address_socket_option(fd, SO_ACCEPTCONN) == 1 && address_is_tcp(fd) && socket_names_port(fd);
}

/* While other connections have something pending, a blocking accept makes progress with them as it waits: 0,
 * -EAGAIN, -EINTR. */
static int wait_acceptable(int fd, int flags)
{
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) || address_socket_option(fd, SO_ACCEPTCONN) != 1 ||
        !sysio_may_block(fd, 0))
        return 0; /* the kernel answers at once */
    int64_t limit = sysio_limit(fd, SO_RCVTIMEO);
    SIGNALS_HELD_IN_SCOPE(held);
    signals_hold(&held);
    for (;;) {
        int ready = progress_wait(fd, POLLIN, limit, signals_mask(&held, NULL));
        if (ready == 0)
            return -EAGAIN;
        if (ready > 0)
            return 0;
        if (limit != INT64_MAX || !sysio_restarts()) /* with a limit the kernel restarts none (signal(7)) */
            return -EINTR;
    }
}

static int adopt_accepted(int fd, const struct sockaddr *peer, const struct sockaddr *local, int flags,
                          int made)
{
    const int keys = socket_check_keys();
    struct conn *conn = keys < 0 ? NULL : conn_new(TLS_SERVER, false);
    if (!conn) {
        sys_close(fd);
        return keys < 0 ? socket_without_key(keys) : socket_no_memory();
    }
    conn->peer = address_of(peer);
    conn->local = address_of(local);
    if (!(made & SOCK_CLOEXEC))
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    int result = socket_seal(fd, conn, !(flags & SOCK_CLOEXEC));
    if (result < 0) {
        sys_close(fd);
        return result;
    }
    pending_add(fd);
    struct conn_handle handle = fdtable_find(fd);
    if (handle.conn == conn)
        handshake_progress(&handle);
    return 0;
}

static void copy_address(const struct sockaddr_storage *from, socklen_t from_len, struct sockaddr *to,
                         socklen_t *to_len)
{
    if (!to || !to_len)
        return;
    memcpy(to, from, from_len < *to_len ? from_len : *to_len);
    *to_len = from_len;
}

/* A program that filters its system calls may have allowed accept(2) alone. */
static int call_accept(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return flags ? real()->accept4(fd, address, len, flags) : real()->accept(fd, address, len);
}

/* Of a connection that may have to be sealed; *flags: with what it was accepted. Close-on-exec from the
 * beginning: a program that another thread executes before the connection is in the table would take it for
 * one that it was given unsealed. */
static int call_accept_closed_on_exec(int fd, struct sockaddr *address, socklen_t *len, int *flags)
{
    if ((*flags & SOCK_CLOEXEC) || environment_is_filtered() || is_unnamed(fd))
        return call_accept(fd, address, len, *flags);
    const socklen_t room = *len;
    int accepted = real()->accept4(fd, address, len, *flags | SOCK_CLOEXEC);
    if (accepted >= 0 || *flags || (errno != ENOSYS && errno != EPERM && errno != EACCES)) {
        *flags |= SOCK_CLOEXEC;
        return accepted;
    }
    *len = room;
    return real()->accept(fd, address, len); /* a filter that was there before the library */
}

/* Without its local port nobody knows whether it is to be sealed. */
static int refuse_accepted(int fd, int error)
{
    log_line(LOG_ERROR, "an accepted connection is closed: the kernel does not tell its port (%s)",
             text_of_error(-error));
    sys_close(fd);
    return error;
}

/* One that was not made here, and that no rule names. */
static void learn_listener(int fd, const struct sockaddr_storage *local)
{
    const struct address own = address_of((const struct sockaddr *)local);
    if (fd < UNNAMED_MAX && (!own.family || !rules_may_match(&config_get()->rules, RULES_LISTEN, own.port)))
        atomic_store_explicit(&unnamed[fd], true, memory_order_relaxed);
}

int accept_from(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    const struct config *config = config_get();
    struct sockaddr_storage peer = {0}, local = {0};
    socklen_t peer_len = sizeof peer, local_len = sizeof local;
    int waited = pending_any() ? wait_acceptable(fd, flags) : 0;
    if (waited < 0)
        return waited;
    if (!config->active || (address && (!len || (int)*len < 0))) {
        int accepted = call_accept(fd, address, len, flags);
        return accepted < 0 ? -errno : accepted;
    }
    int made = flags; /* what the kernel was asked for */
    int accepted = call_accept_closed_on_exec(fd, (struct sockaddr *)&peer, &peer_len, &made);
    if (accepted < 0)
        return -errno;
    socket_forget_stale(accepted);
    if (peer.ss_family == AF_INET || peer.ss_family == AF_INET6) {
        int error = net_getsockname(accepted, &local, &local_len);
        if (error < 0)
            return refuse_accepted(accepted, error);
        struct address own = address_of((const struct sockaddr *)&local);
        if (rules_match(&config->rules, RULES_LISTEN, (const struct sockaddr *)&peer, own.port) &&
            address_is_tcp(accepted)) {
            int result = adopt_accepted(accepted, (const struct sockaddr *)&peer,
                                        (const struct sockaddr *)&local, flags, made);
            if (result < 0)
                return result;
            made = flags;
        } else {
            socket_note_unsealed("from", (const struct sockaddr *)&peer, own.port);
        }
    }
    if (made != flags) {
        net_fcntl(accepted, F_SETFD, 0);
        learn_listener(fd, &local);
    }
    fdtable_forget_unconnected(accepted); /* an earlier socket, closed past the doors */
    copy_address(&peer, peer_len, address, len);
    return accepted;
}
