/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/open.h"

#include <netinet/in.h>
#include <string.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/blocking.h"
#include "conn/closing.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/outbox.h"
#include "conn/sweep.h"
#include "crypto/secret.h"
#include "diag/log.h"
#include "sys/net.h"
#include "sys/real.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct conn_address open_address(const struct sockaddr *address)
{
    struct conn_address out = {0};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        out.family = AF_INET;
        out.port = ntohs(in->sin_port);
        memcpy(out.bytes, &in->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        out.family = AF_INET6;
        out.port = ntohs(in6->sin6_port);
        memcpy(out.bytes, &in6->sin6_addr, 16);
    }
    return out;
}

void open_name_local(const struct sealed *sealed)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof local;
    if (sealed->conn->local.family == 0 && net_getsockname(sealed->fd, &local, &len) == 0)
        sealed->conn->local = open_address((const struct sockaddr *)&local);
}

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return net_getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

bool open_is_tcp(int fd)
{
    int protocol = socket_option(fd, SO_PROTOCOL);
    return socket_option(fd, SO_TYPE) == SOCK_STREAM &&
           (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

bool open_crypto(void)
{
    static _Atomic int ready;
    if (!atomic_load(&ready) && secret_init())
        atomic_store(&ready, 1);
    return atomic_load(&ready);
}

static bool have_keys(void)
{
    const struct keyring *keys = open_crypto() ? keyring_acquire() : NULL;
    keyring_release(keys);
    return keys != NULL;
}

_Atomic bool open_listens;

/* Whether connections that come to this socket's port may be sealed ones. */
static bool names_port(int fd)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof local;
    if (net_getsockname(fd, &local, &len) < 0)
        return false;
    struct conn_address own = open_address((const struct sockaddr *)&local);
    return own.family && (own.port == 0 || rules_may_match(&config_get()->rules, RULES_LISTEN, own.port));
}

void open_prepare_listener(int fd)
{
    if (!names_port(fd))
        return;
    open_listens = true;
    have_keys();
}

bool open_is_listener(int fd)
{
    return socket_option(fd, SO_ACCEPTCONN) == 1 && open_is_tcp(fd) && names_port(fd);
}

static void discard(struct conn *conn)
{
    atomic_store(&conn->unheld, 1);
    conn_reap(conn);
}

static void give_up(const struct sealed *sealed)
{
    bool left, last;
    drive_drop(sealed->fd);
    if (!registry_hide(sealed, &left, &last))
        return;
    registry_show(sealed->fd);
    if (last)
        discard(sealed->conn);
}

/* A table entry that outlived its descriptor, which was closed behind the doors' back: the number is another
 * socket now. */
static void forget_stale(int fd)
{
    struct sealed stale = registry_find(fd);
    if (stale.conn && stale.conn != &registry_dead)
        give_up(&stale);
}

/* Makes fd a sealed descriptor. 0 or -errno; then conn is gone. `inherit`: the program wants it to survive
 * exec. */
static int adopt(int fd, struct conn *conn, bool inherit)
{
    struct sealed sealed = {.conn = conn, .generation = conn->generation, .fd = fd};
    if (!registry_open() || fd >= (int)registry_size) {
        discard(conn);
        return -ENOMEM;
    }
    forget_stale(fd);
    /* Other threads may find it from the moment it stands in the table: they wait for the first message to be
     * complete. */
    role_take(&conn->rx);
    role_take(&conn->tx);
    arena_set_cookie(registry_slot(conn), registry_cookie(fd));
    registry_add(fd, conn, sealed.generation);
    if (inherit)
        registry_mark(fd, REGISTRY_INHERIT);
    int result = handshake_start(&sealed);
    role_release(&conn->tx);
    role_release(&conn->rx);
    if (result < 0)
        give_up(&sealed);
    sweep_step();
    return result;
}

static int plain_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return real()->connect(fd, address, len) < 0 ? -errno : 0;
}

/* Whether TCP made this connection. */
static bool attempt_failed(const struct sealed *sealed)
{
    struct pollfd look = {.fd = sealed->fd, .events = POLLOUT};
    return net_ppoll(&look, 1, &(struct timespec){0}) > 0 && (look.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* connect(2) to AF_UNSPEC cuts the connection; the socket may be connected anew, and is a plain one until
 * then. */
static int dissolve(const struct sealed *sealed, const struct sockaddr *address, socklen_t len)
{
    bool left, last;
    drive_drop(sealed->fd);
    bool hidden = registry_hide(sealed, &left, &last);
    int result = plain_connect(sealed->fd, address, len);
    if (hidden)
        registry_show(sealed->fd);
    if (hidden && last)
        discard(sealed->conn);
    return result;
}

/* connect() on a descriptor that has a sealed connection, or the beginning of one. 1: take it as a new one.
 */
static int connect_again(const struct sealed *sealed, const struct sockaddr *address, socklen_t len)
{
    if (sealed->conn->connecting && address->sa_family != AF_UNSPEC && !attempt_failed(sealed)) {
        int result = plain_connect(sealed->fd, address, len); /* EALREADY, EISCONN or, once, success */
        if (result == 0 || result == -EISCONN)
            handshake_progress(sealed);
        return result;
    }
    if (address->sa_family == AF_UNSPEC)
        return dissolve(sealed, address, len);
    if (sealed->conn->connecting) {
        give_up(sealed);
        return 1;
    }
    return plain_connect(sealed->fd, address, len);
}

/* A copy of the program's address, zeroed behind its end. False if it is none that we know. RFC 2133's
 * sockaddr_in6, without the scope, is four bytes shorter, and the kernel takes it. */
static bool copy_peer(const struct sockaddr *address, socklen_t len, struct sockaddr_storage *copy)
{
    enum { LEN_RFC2133 = 24 };
    memset(copy, 0, sizeof *copy);
    if (!address || len < sizeof(sa_family_t))
        return false;
    memcpy(copy, address, len < sizeof *copy ? len : sizeof *copy);
    return (copy->ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) ||
           (copy->ss_family == AF_INET6 && len >= LEN_RFC2133);
}

bool open_wants(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage copy;
    if (!config_get()->active || !copy_peer(address, len, &copy))
        return false;
    const struct sockaddr *peer = (const struct sockaddr *)&copy;
    return rules_match(&config_get()->rules, RULES_CONNECT, peer, open_address(peer).port) && open_is_tcp(fd);
}

bool open_names(int fd)
{
    struct sockaddr_storage peer = {0}, local = {0};
    socklen_t peer_len = sizeof peer, local_len = sizeof local;
    if (net_getpeername(fd, &peer, &peer_len) < 0 || net_getsockname(fd, &local, &local_len) < 0 ||
        !open_is_tcp(fd))
        return false;
    const struct sockaddr *other = (const struct sockaddr *)&peer;
    struct conn_address own = open_address((const struct sockaddr *)&local);
    return rules_match(&config_get()->rules, RULES_CONNECT, other, open_address(other).port) ||
           rules_match(&config_get()->rules, RULES_LISTEN, other, own.port);
}

/* SOCKSEAL_STRICT: whether a rule names the address, and this is no TCP socket, which cannot be sealed. */
static bool strictly_refused(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage copy;
    char text[FAILURE_ADDRESS_TEXT];
    if (!config_get()->strict || !copy_peer(address, len, &copy) || open_is_tcp(fd))
        return false;
    const struct sockaddr *peer = (const struct sockaddr *)&copy;
    struct conn_address to = open_address(peer);
    if (!rules_match(&config_get()->rules, RULES_CONNECT, peer, to.port))
        return false;
    log_line(LOG_ERROR, "connecting to %s is refused (SOCKSEAL_STRICT): it is not TCP, and cannot be sealed",
             failure_address(&to, text));
    return true;
}

/* The connection stands in the table before TCP is connected, so that no thread ever finds the socket
 * connected and unsealed. */
static int connect_sealed(int fd, struct conn *conn, const struct sockaddr *address, socklen_t len)
{
    struct sealed sealed = {.conn = conn, .generation = conn->generation, .fd = fd};
    bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    int adopted = adopt(fd, conn, inherit);
    if (adopted < 0)
        return adopted;
    if (inherit)
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    int result = plain_connect(fd, address, len);
    if (result < 0 && result != -EINPROGRESS && result != -EINTR) {
        if (inherit)
            net_fcntl(fd, F_SETFD, 0);
        give_up(&sealed);
        return result;
    }
    if (result == 0) {
        conn->deadline_ms = net_now_ms() + config_get()->handshake_timeout_ms;
        conn->connecting = 0;
        outbox_flush(&sealed);
    }
    drive_add(fd);
    return result;
}

int open_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sealed again = registry_find(fd);
    struct sockaddr_storage peer;
    if (again.conn == &registry_dead)
        return -EBADF;
    if (again.conn && address && len >= sizeof(sa_family_t)) {
        int result = connect_again(&again, address, len);
        if (result <= 0)
            return result;
    }
    if (!open_wants(fd, address, len))
        return strictly_refused(fd, address, len) ? -EACCES : plain_connect(fd, address, len);
    if (!have_keys())
        return -ENOKEY;
    struct conn *conn = conn_new(TLS_CLIENT, true);
    if (!conn)
        return -ENOBUFS;
    copy_peer(address, len, &peer);
    conn->peer = open_address((const struct sockaddr *)&peer);
    return connect_sealed(fd, conn, address, len);
}

int open_wait_connected(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    for (;;) {
        handshake_progress(sealed);
        if (!conn->connecting)
            return 0;
        uint8_t byte;
        if (attempt_failed(sealed) || !blocking_allowed(sealed->fd, flags)) {
            long said = net_recv(sealed->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
            return said < 0 ? (int)said : -EPIPE;
        }
        if (drive_wait(sealed->fd, POLLOUT, INT64_MAX) == -EINTR && !blocking_restarts())
            return -EINTR;
    }
}

/* While other connections have something outstanding, a blocking accept waits with them. */
static int wait_acceptable(int fd, int flags)
{
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) || socket_option(fd, SO_ACCEPTCONN) != 1 ||
        !blocking_allowed(fd, 0))
        return 0; /* the kernel has its own answer */
    int64_t limit = blocking_limit(fd, SO_RCVTIMEO);
    for (;;) {
        int ready = drive_wait(fd, POLLIN, limit);
        if (ready == 0)
            return -EAGAIN;
        if (ready > 0)
            return 0;
        if (!blocking_restarts())
            return -EINTR;
    }
}

static int adopt_accepted(int fd, const struct sockaddr *peer, const struct sockaddr *local, int flags)
{
    struct conn *conn = have_keys() ? conn_new(TLS_SERVER, false) : NULL;
    if (!conn) {
        sys_close(fd);
        return have_keys() ? -ENOBUFS : -ENOKEY;
    }
    conn->peer = open_address(peer);
    conn->local = open_address(local);
    if (!(flags & SOCK_CLOEXEC))
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    int result = adopt(fd, conn, !(flags & SOCK_CLOEXEC));
    if (result < 0) {
        sys_close(fd);
        return result;
    }
    drive_add(fd);
    struct sealed sealed = registry_find(fd);
    if (sealed.conn == conn)
        handshake_progress(&sealed);
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

/* A program that limits its system calls may have allowed accept(2) alone. */
static int call_accept(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return flags ? real()->accept4(fd, address, len, flags) : real()->accept(fd, address, len);
}

int open_accept(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    const struct config *config = config_get();
    struct sockaddr_storage peer = {0}, local = {0};
    socklen_t peer_len = sizeof peer, local_len = sizeof local;
    int waited = drive_outstanding() ? wait_acceptable(fd, flags) : 0;
    if (waited < 0)
        return waited;
    if (!config->active || (address && (!len || (int)*len < 0))) {
        int accepted = call_accept(fd, address, len, flags);
        return accepted < 0 ? -errno : accepted;
    }
    int accepted = call_accept(fd, (struct sockaddr *)&peer, &peer_len, flags);
    if (accepted < 0)
        return -errno;
    forget_stale(accepted);
    if ((peer.ss_family == AF_INET || peer.ss_family == AF_INET6) &&
        net_getsockname(accepted, &local, &local_len) == 0) {
        struct conn_address own = open_address((const struct sockaddr *)&local);
        if (rules_match(&config->rules, RULES_LISTEN, (const struct sockaddr *)&peer, own.port) &&
            open_is_tcp(accepted)) {
            int result = adopt_accepted(accepted, (const struct sockaddr *)&peer,
                                        (const struct sockaddr *)&local, flags);
            if (result < 0)
                return result;
        }
    }
    copy_address(&peer, peer_len, address, len);
    return accepted;
}

/* Which side a connection is that somebody else has made; TLS_CLIENT or TLS_SERVER, -1: no rule matches. */
static int role_by_rules(const struct sockaddr *peer, const struct sockaddr *local)
{
    const struct rules *rules = &config_get()->rules;
    if (rules_match(rules, RULES_LISTEN, peer, open_address(local).port))
        return TLS_SERVER;
    return rules_match(rules, RULES_CONNECT, peer, open_address(peer).port) ? TLS_CLIENT : -1;
}

void open_inherited(int fd)
{
    struct sockaddr_storage peer = {0}, local = {0};
    socklen_t peer_len = sizeof peer, local_len = sizeof local;
    if (net_getpeername(fd, &peer, &peer_len) < 0 || net_getsockname(fd, &local, &local_len) < 0 ||
        (peer.ss_family != AF_INET && peer.ss_family != AF_INET6) || !open_is_tcp(fd))
        return;
    int role = role_by_rules((const struct sockaddr *)&peer, (const struct sockaddr *)&local);
    if (role < 0)
        return;
    bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    struct conn *conn = have_keys() ? conn_new((enum tls_role)role, false) : NULL;
    if (conn) {
        conn->peer = open_address((const struct sockaddr *)&peer);
        conn->local = open_address((const struct sockaddr *)&local);
    }
    if (!conn || adopt(fd, conn, inherit) < 0) {
        log_line(LOG_ERROR,
                 "descriptor %d is a connection that is to be sealed, and cannot be: it is shut down", fd);
        net_shutdown(fd, SHUT_RDWR);
        return;
    }
    net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    drive_add(fd);
    log_line(LOG_INFO, "descriptor %d, which this program was given, is sealed from here on", fd);
}
