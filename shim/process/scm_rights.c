/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/scm_rights.h"

#include <alloca.h>
#include <string.h>

#include "config/config.h"
#include "conn/fdtable.h"
#include "conn/holders.h"
#include "conn/reserve.h"
#include "diag/log.h"
#include "process/exec_adopt.h"
#include "process/inherit.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/real.h"

enum { HANDOFF_FDS = 2 }; /* the sealed descriptor, and that of its region (shm/region.h) */

struct handoff_message {
    char magic[16];
    uint64_t cookie;
    uint64_t tree;        /* inherit_tree() of the sender */
    uint32_t area;        /* the connection's, in the region that comes along */
    uint32_t unconnected; /* the area is reserved for it (conn/reserve.h) */
};

static const char MAGIC[16] = "sockseal-passed";

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(HANDOFF_FDS * sizeof(int))];
};

static bool is_rights(const struct cmsghdr *part)
{
    return part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && part->cmsg_len >= CMSG_LEN(0);
}

static size_t rights_count(const struct cmsghdr *part)
{
    return is_rights(part) ? (part->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
}

static int rights_at(const struct cmsghdr *part, size_t i)
{
    int fd;
    memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
    return fd;
}

static void rights_set(struct cmsghdr *part, size_t i, int fd)
{
    memcpy(CMSG_DATA(part) + i * sizeof fd, &fd, sizeof fd);
}

bool scm_rights_concerns(const struct msghdr *message)
{
    if (!message->msg_control || !atomic_load(&fdtable_size))
        return false;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
         part = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, part)) {
        for (size_t i = 0; i < rights_count(part); i++) {
            const struct conn_handle handle = fdtable_find(rights_at(part, i));
            if (handle.conn)
                return true;
            if (fdtable_is_unconnected(&handle)) {
                fdtable_note_copies();
                return true;
            }
        }
    }
    return false;
}

/* Sends the message and the descriptors to one end of a pair. The other end, with these in its queue, is the
 * hand-off socket. */
static int fill(int end, const struct conn_handle *handle, int region, uint32_t area)
{
    union control control = {0};
    struct handoff_message note = {.cookie = arena_cookie(handle->slot),
                                   .tree = inherit_tree(),
                                   .area = area,
                                   .unconnected = !handle->conn};
    struct iovec iov = {&note, sizeof note};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(HANDOFF_FDS * sizeof(int))};
    memcpy(note.magic, MAGIC, sizeof MAGIC);
    control.head = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(HANDOFF_FDS * sizeof(int))};
    rights_set(&control.head, 0, handle->fd);
    rights_set(&control.head, 1, region);
    long sent = sys_call3(SYS_sendmsg, end, sys_ptr(&message), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? (int)sent : 0;
}

/* Gives the hand-off socket or -errno. While it is in a queue, it counts as one holder of the connection. */
static int make_handoff(const struct conn_handle *handle)
{
    int ends[2];
    uint32_t area;
    if (handle->conn == &fdtable_dead)
        return -EBADF;
    const int region = region_export(handle->slot, &area);
    if (region < 0)
        return -EACCES;
    long made = sys_call(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sys_ptr(ends), 0, 0);
    if (made < 0)
        return (int)made;
    int error = fill(ends[0], handle, region, area);
    sys_close(ends[0]);
    if (error < 0) {
        sys_close(ends[1]);
        return error;
    }
    if (handle->conn)
        holders_count(handle->conn);
    return ends[1];
}

/* The hand-off sockets of one message, and their connections. */
struct posting {
    struct conn **conns;
    int *handoffs;
    size_t count;
    bool family; /* the receiver is a process of the same tree */
};

static void close_handoffs(const struct posting *posting, bool sent)
{
    for (size_t i = 0; i < posting->count; i++) {
        sys_close(posting->handoffs[i]);
        if (!sent && posting->conns[i])
            holders_uncount(posting->conns[i]);
    }
}

/* Replaces the sealed descriptors of one part. 0 or -errno. */
static int replace_with_handoffs(struct cmsghdr *part, struct posting *posting)
{
    for (size_t i = 0; i < rights_count(part); i++) {
        struct conn_handle handle = fdtable_find(rights_at(part, i));
        if (fdtable_is_unconnected(&handle) && posting->family)
            handle.slot = reserve_for(handle.fd);
        if (!handle.conn && !handle.slot)
            continue;
        int handoff = make_handoff(&handle);
        if (handoff < 0)
            return handoff;
        posting->conns[posting->count] = handle.conn;
        posting->handoffs[posting->count++] = handoff;
        rights_set(part, i, handoff);
    }
    return 0;
}

/* A pair of sockets that this process or its parent has made. The kernel gives their user of that time: a
 * process that has changed its user since is not foreign. */
static bool is_of_family(int fd, int maker)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    return (maker == sys_getpid() || maker == sys_getppid()) && net_getpeername(fd, &name, &len) == 0 &&
           len == sizeof name.ss_family;
}

/* The process at the other end when the socket was made (unix(7)). */
static bool peer_of(int fd, struct ucred *peer)
{
    socklen_t len = sizeof *peer;
    return net_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len) == 0;
}

/* Whether the other end is known to be another user's process. */
static bool is_foreign(int fd)
{
    struct ucred peer;
    return peer_of(fd, &peer) && peer.pid > 0 && peer.uid != sys_geteuid() && !is_of_family(fd, peer.pid);
}

/* Whether this user made the hand-off socket: the kernel always knows that of a pair of sockets. (The
 * process's number may be 0, in another namespace.) */
static bool is_own_user(int fd)
{
    struct ucred peer;
    return peer_of(fd, &peer) && peer.uid == sys_geteuid();
}

static bool has_sealed(const struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
         part = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, part)) {
        for (size_t i = 0; i < rights_count(part); i++) {
            if (fdtable_has(rights_at(part, i)))
                return true;
        }
    }
    return false;
}

ssize_t scm_rights_send(int fd, const struct msghdr *message, int flags)
{
    struct msghdr copy = *message;
    struct ucred peer;
    struct posting posting = {.family = peer_of(fd, &peer) && is_of_family(fd, peer.pid)};
    const size_t most = message->msg_controllen / sizeof(int);
    /* The owner of an address is not known. */
    if ((message->msg_name || is_foreign(fd)) && has_sealed(message)) {
        log_line(LOG_ERROR,
                 "a sealed connection cannot be passed to another user's process, sendmsg is refused");
        return -EACCES;
    }
    copy.msg_control = memcpy(alloca(message->msg_controllen), message->msg_control, message->msg_controllen);
    posting.conns = alloca(most * sizeof *posting.conns);
    posting.handoffs = alloca(most * sizeof *posting.handoffs);
    int error = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&copy); part && error == 0; part = CMSG_NXTHDR(&copy, part))
        error = replace_with_handoffs(part, &posting);
    ssize_t sent = error;
    if (error == 0 && (sent = real()->sendmsg(fd, &copy, flags)) < 0)
        sent = -errno;
    close_handoffs(&posting, sent >= 0);
    return sent;
}

static bool is_handoff(int fd)
{
    struct handoff_message note = {.cookie = 0};
    int domain = 0, type = 0;
    socklen_t len = sizeof domain;
    if (net_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
        return false;
    if (net_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
        return false;
    /* Without room for descriptors none is made. */
    return net_recv(fd, &note, sizeof note, MSG_PEEK | MSG_DONTWAIT) == (long)sizeof note &&
           memcmp(note.magic, MAGIC, sizeof MAGIC) == 0;
}

/* Receives the message and descriptors in the hand-off socket; `peek`: a copy, since it is to be received
 * again. */
static bool take_out(int handoff, bool peek, struct handoff_message *note, int fds[static HANDOFF_FDS])
{
    union control control = {0};
    struct iovec iov = {note, sizeof *note};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long got = net_recvmsg(handoff, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0));
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    size_t count = part ? rights_count(part) : 0;
    if (got == (long)sizeof *note && count == HANDOFF_FDS) {
        for (size_t i = 0; i < HANDOFF_FDS; i++)
            fds[i] = rights_at(part, i);
        return true;
    }
    for (size_t i = 0; i < count; i++)
        sys_close(rights_at(part, i));
    return false;
}

/* The program has the descriptor already, so it is shut down. */
static void refuse(int fd)
{
    log_line(LOG_ERROR,
             "descriptor %d: a sealed connection was passed by a process of another tree, and cannot be used "
             "here",
             fd);
    net_shutdown(fd, SHUT_RDWR);
}

/* Puts the sealed descriptor in the place of the hand-off socket, and enters it. False: its connection cannot
 * be used here. */
static bool enter(int fd, const struct handoff_message *note, const int fds[static HANDOFF_FDS], int flags)
{
    bool locked = fdtable_lock();
    struct conn *conn = fdtable_has_room(fd) ? conn_import(fds[1], note->area, note->cookie, false) : NULL;
    if (conn && note->unconnected) {
        reserve_arrived(arena_slot_of(conn));
        sys_call3(SYS_dup3, fds[0], fd, flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0);
        fdtable_note_unconnected(fd, true);
    } else if (conn) {
        sys_call3(SYS_dup3, fds[0], fd, flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0);
        exec_adopt_passed(fd, conn);
        if (!(flags & MSG_PEEK)) /* the message has arrived */
            holders_uncount(conn);
    }
    fdtable_unlock(locked);
    return conn;
}

static void receive_handoff(int fd, int flags)
{
    struct handoff_message note;
    int fds[HANDOFF_FDS];
    if (!take_out(fd, flags & MSG_PEEK, &note, fds))
        return;
    /* A forged message must not give this socket the connection of another one. */
    const bool same = note.cookie && fdtable_cookie(fds[0]) == note.cookie;
    const bool trusted = note.tree == inherit_tree() || is_own_user(fd);
    const bool entered = same && trusted && fdtable_init() && enter(fd, &note, fds, flags);
    sys_close(fds[0]);
    sys_close(fds[1]);
    if (!entered)
        refuse(fd);
}

void scm_rights_received(struct msghdr *message, int flags)
{
    int saved = errno;
    if (!config_get()->active || !message->msg_control)
        return;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        for (size_t i = 0; i < rights_count(part); i++) {
            int fd = rights_at(part, i);
            if (is_handoff(fd))
                receive_handoff(fd, flags);
            else
                exec_adopt_stray(fd);
        }
    }
    errno = saved;
}
