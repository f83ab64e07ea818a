/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/socket.h"

#include <netinet/in.h>
#include <string.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/address.h"
#include "conn/pending.h"
#include "crypto/secret.h"
#include "diag/limit.h"
#include "diag/log.h"
#include "io/revoke.h"
#include "io/wait.h"
#include "record/handshake.h"
#include "shm/statusmem.h"
#include "sys/net.h"

bool socket_init_crypto(void)
{
    static _Atomic int ready;
    if (!atomic_load(&ready) && secret_init())
        atomic_store(&ready, 1);
    return atomic_load(&ready);
}

int socket_check_keys(void)
{
    if (!socket_init_crypto()) {
        limit_line(LOG_ERROR, "no connection can be sealed: the kernel gives no random numbers (getrandom, "
                              "/dev/urandom)");
        return -EIO;
    }
    const struct keyring *keys = keyring_acquire();
    keyring_release(keys);
    return keys ? 0 : -ENOKEY;
}

int socket_no_memory(void)
{
    limit_line(
        LOG_ERROR,
        "a connection is refused, for there is no memory for its seal: the processes that share it have "
        "as many connections and handshakes as there can be, or the kernel gives no more");
    return -ENOBUFS;
}

int socket_without_key(int error)
{
    statusmem_count_failure(error == -ENOKEY ? STATUSPAGE_NO_KEY : STATUSPAGE_INTERNAL);
    statusmem_publish();
    return error;
}

bool socket_names_port(int fd)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof local;
    int error = net_getsockname(fd, &local, &len);
    if (error < 0)
        return address_is_refused(error);
    struct address own = address_of((const struct sockaddr *)&local);
    return own.family && (own.port == 0 || rules_may_match(&config_get()->rules, RULES_LISTEN, own.port));
}

void socket_unseal(const struct conn_handle *handle)
{
    bool left, last;
    pending_remove(handle->fd);
    if (!fdtable_hide(handle, &left, &last))
        return;
    fdtable_publish_unconnected(handle->fd);
    if (last)
        conn_discard(handle->conn);
    fdtable_leave(handle);
}

void socket_forget_stale(int fd)
{
    struct conn_handle stale = fdtable_find(fd);
    if (stale.conn && stale.conn != &fdtable_dead)
        socket_unseal(&stale);
}

_Atomic bool socket_low_water_used;

/* SO_RCVLOWAT from before the connection, or from the listener: in the kernel's queue it would count
 * ciphertext, and the handshake would wait for as much. It is kept for the program's reads. */
static void take_low_water(int fd, struct conn *conn)
{
    const int one = 1;
    const int low = address_socket_option(fd, SO_RCVLOWAT);
    if (low <= 1 || net_setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one) < 0)
        return;
    conn->rx.low_water = low;
    conn_rx_set(conn, RX_LOW_WATER);
}

int socket_seal(int fd, struct conn *conn, bool inherit)
{
    struct conn_handle handle = {
        .conn = conn, .generation = conn->generation, .slot = arena_slot_of(conn), .fd = fd};
    if (!fdtable_init() || fd >= (int)fdtable_size) {
        conn_discard(conn);
        return -ENOMEM;
    }
    wait_begin();
    if (fdtable_has(fd) && !self_owns_tables()) { /* a vfork(2) child: the number is its parent's */
        conn_discard(conn);
        return -EACCES;
    }
    socket_forget_stale(fd);
    /* Other threads may find the descriptor as soon as it is in the table. They wait for the locks, and so
     * for the ClientHello. */
    lock_take(&conn->rx_lock);
    lock_take(&conn->tx_lock);
    arena_set_cookie(handle.slot, fdtable_cookie(fd));
    fdtable_add(fd, conn, handle.generation);
    if (inherit)
        fdtable_set_flags(fd, FDTABLE_INHERIT);
    if (socket_low_water_used)
        take_low_water(fd, conn);
    int result = handshake_start(&handle);
    lock_release(&conn->tx_lock);
    lock_release(&conn->rx_lock);
    if (result < 0)
        socket_unseal(&handle);
    else
        revoke_watch();
    return result;
}

/* RFC 2133's struct sockaddr_in6, without the scope, is four bytes shorter, and the kernel takes it. */
bool socket_copy_peer(const struct sockaddr *address, socklen_t len, struct sockaddr_storage *copy)
{
    enum { LEN_RFC2133 = 24 };
    memset(copy, 0, sizeof *copy);
    if (!address || len < sizeof(sa_family_t))
        return false;
    memcpy(copy, address, len < sizeof *copy ? len : sizeof *copy);
    return (copy->ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) ||
           (copy->ss_family == AF_INET6 && len >= LEN_RFC2133);
}

void socket_note_unsealed(const char *direction, const struct sockaddr *peer, uint16_t port)
{
    char text[ADDRESS_TEXT];
    struct address address = address_of(peer);
    statusmem_count(STATUSPAGE_NO_RULE, 1);
    if (!log_enabled(LOG_DEBUG))
        return;
    log_line(LOG_DEBUG, "the connection %s %s is not sealed: no rule matches it and port %u", direction,
             address_text(&address, text), port);
}

static bool is_unspecified(const struct sockaddr_storage *peer)
{
    static const uint8_t zero[16], mapped[16] = {[10] = 0xff, [11] = 0xff};
    const struct address address = address_of((const struct sockaddr *)peer);
    return memcmp(address.bytes, zero, sizeof zero) == 0 ||
           (address.family == AF_INET6 && memcmp(address.bytes, mapped, sizeof mapped) == 0);
}

/* Makes `probe`, a datagram socket, one that is bound as fd is, but to no port. */
static bool bind_alike(int probe, int fd)
{
    struct sockaddr_storage own = {0};
    int device = 0;
    socklen_t len = sizeof own, device_len = sizeof device;
    if (net_getsockname(fd, &own, &len) < 0 ||
        net_getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &device_len) < 0)
        return false;
    ((struct sockaddr_in *)&own)->sin_port = 0; /* where struct sockaddr_in6 has it, too */
    return (!device || net_setsockopt(probe, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device) == 0) &&
           (is_unspecified(&own) || sys_call3(SYS_bind, probe, sys_ptr(&own), len) == 0);
}

/* connect(2) to the unspecified address is one to this machine: to the address that the socket is bound to,
 * or of its device, or loopback. The kernel tells it of a datagram socket that is bound alike, to which
 * connect(2) sends nothing. */
static bool find_target(int fd, struct sockaddr_storage *peer, socklen_t len)
{
    const int probe = (int)sys_call3(SYS_socket, peer->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage target = {0};
    socklen_t target_len = sizeof target;
    if (probe < 0)
        return false;
    const bool told = bind_alike(probe, fd) && sys_call3(SYS_connect, probe, sys_ptr(peer), len) == 0 &&
                      net_getpeername(probe, &target, &target_len) == 0;
    sys_close(probe);
    if (told)
        *peer = target;
    return told;
}

bool socket_wants(int fd, const struct sockaddr *address, socklen_t len, struct sockaddr_storage *peer)
{
    const struct sockaddr *to = (const struct sockaddr *)peer;
    if (!config_get()->active || !socket_copy_peer(address, len, peer))
        return false;
    const uint16_t port = address_of(to).port;
    bool named = rules_may_match(&config_get()->rules, RULES_CONNECT, port);
    if (named && (!is_unspecified(peer) || find_target(fd, peer, len)))
        named = rules_match(&config_get()->rules, RULES_CONNECT, to, port);
    if (named)
        return address_is_tcp(fd);
    if (address_is_tcp(fd))
        socket_note_unsealed("to", to, port);
    return false;
}

/* Of a connection, whose peer and own address go there. */
static int names_of(int fd, struct sockaddr_storage *peer, struct sockaddr_storage *local)
{
    socklen_t peer_len = sizeof *peer, local_len = sizeof *local;
    int error = net_getpeername(fd, peer, &peer_len);
    return error < 0 ? error : net_getsockname(fd, local, &local_len);
}

static bool names_to(const struct sockaddr_storage *peer)
{
    const struct sockaddr *other = (const struct sockaddr *)peer;
    return rules_match(&config_get()->rules, RULES_CONNECT, other, address_of(other).port);
}

bool socket_names(int fd)
{
    struct sockaddr_storage peer = {0}, local = {0};
    int error = names_of(fd, &peer, &local);
    if (error < 0)
        return address_is_refused(error);
    const struct address own = address_of((const struct sockaddr *)&local);
    return address_is_tcp(fd) && (names_to(&peer) || rules_match(&config_get()->rules, RULES_LISTEN,
                                                                 (const struct sockaddr *)&peer, own.port));
}

bool socket_names_connected(int fd)
{
    struct sockaddr_storage peer = {0}, local = {0};
    int error = names_of(fd, &peer, &local);
    if (error < 0)
        return address_is_refused(error);
    return address_is_tcp(fd) && names_to(&peer);
}

bool socket_strictly_refused(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage copy;
    char text[ADDRESS_TEXT];
    if (!config_get()->strict || !socket_copy_peer(address, len, &copy) || address_is_tcp(fd))
        return false;
    const struct sockaddr *peer = (const struct sockaddr *)&copy;
    struct address to = address_of(peer);
    if (!rules_match(&config_get()->rules, RULES_CONNECT, peer, to.port))
        return false;
    log_line(LOG_ERROR, "sending to %s is refused (SOCKSEAL_STRICT): it is not TCP, and cannot be sealed",
             address_text(&to, text));
    return true;
}

/* The role in TLS for a connection that another program has made: TLS_CLIENT or TLS_SERVER; -1: no rule
 * matches.
 */
static int role_by_rules(const struct sockaddr *peer, const struct sockaddr *local)
{
    const struct rules *rules = &config_get()->rules;
    if (rules_match(rules, RULES_LISTEN, peer, address_of(local).port))
        return TLS_SERVER;
    return rules_match(rules, RULES_CONNECT, peer, address_of(peer).port) ? TLS_CLIENT : -1;
}

/* One of its addresses is known, and the other is not: it may be a connection that is to be sealed. */
static bool is_half_known(int fd, int peer_error, int local_error, const struct sockaddr_storage *local)
{
    return (address_is_refused(peer_error) && local_error == 0 &&
            (local->ss_family == AF_INET || local->ss_family == AF_INET6) && address_is_tcp(fd)) ||
           (peer_error == 0 && address_is_refused(local_error));
}

void socket_inherited(int fd)
{
    struct sockaddr_storage peer = {0}, local = {0};
    socklen_t peer_len = sizeof peer, local_len = sizeof local;
    int peer_error = net_getpeername(fd, &peer, &peer_len),
        local_error = net_getsockname(fd, &local, &local_len);
    if (is_half_known(fd, peer_error, local_error, &local)) {
        log_line(LOG_ERROR,
                 "descriptor %d may be a connection that is to be sealed; its addresses are refused "
                 "to this program, and it is shut down",
                 fd);
        net_shutdown(fd, SHUT_RDWR);
        return;
    }
    if (peer_error < 0 || local_error < 0 || (peer.ss_family != AF_INET && peer.ss_family != AF_INET6) ||
        !address_is_tcp(fd))
        return;
    int role = role_by_rules((const struct sockaddr *)&peer, (const struct sockaddr *)&local);
    if (role < 0)
        return;
    bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    struct conn *conn = socket_check_keys() == 0 ? conn_new((enum tls_role)role, false) : NULL;
    if (conn) {
        conn->peer = address_of((const struct sockaddr *)&peer);
        conn->local = address_of((const struct sockaddr *)&local);
    }
    if (!conn || socket_seal(fd, conn, inherit) < 0) {
        log_line(LOG_ERROR,
                 "descriptor %d is a connection that is to be sealed, and cannot be: it is shut down", fd);
        net_shutdown(fd, SHUT_RDWR);
        return;
    }
    net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    pending_add(fd);
    log_line(LOG_INFO, "descriptor %d, which this program was given, is sealed from here on", fd);
}
