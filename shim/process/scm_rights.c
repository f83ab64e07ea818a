/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/scm_rights.h"

#include <alloca.h>
#include <string.h>
#include <sys/stat.h>

#include "config/config.h"
#include "conn/fdtable.h"
#include "conn/holders.h"
#include "diag/log.h"
#include "process/exec_adopt.h"
#include "process/migrate.h"
#include "shm/ownfd.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/real.h"

enum { HANDOFF_FDS = 2 }; /* the sealed descriptor, and the arena */

struct handoff_message {
    char magic[16];
    uint64_t cookie;
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
            if (fdtable_is_unconnected(&handle))
                fdtable_note_copies();
        }
    }
    return false;
}

/* Sends the message and the descriptors to one end of a pair. The other end, with these in its queue, is the
 * hand-off socket. */
static int fill(int end, const struct conn_handle *handle, int arena)
{
    union control control = {0};
    struct handoff_message note = {.cookie = arena_cookie(handle->conn->slot)};
    struct iovec iov = {&note, sizeof note};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(HANDOFF_FDS * sizeof(int))};
    memcpy(note.magic, MAGIC, sizeof MAGIC);
    control.head = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(HANDOFF_FDS * sizeof(int))};
    rights_set(&control.head, 0, handle->fd);
    rights_set(&control.head, 1, arena);
    long sent = sys_call3(SYS_sendmsg, end, sys_ptr(&message), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? (int)sent : 0;
}

/* Gives the hand-off socket or -errno. While it is in a queue, it counts as one holder of the connection. */
static int make_handoff(const struct conn_handle *handle)
{
    int ends[2], arena = ownfd_get(OWNFD_ARENA);
    if (handle->conn == &fdtable_dead)
        return -EBADF;
    if (arena < 0)
        return -EACCES;
    long made = sys_call(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sys_ptr(ends), 0, 0);
    if (made < 0)
        return (int)made;
    int error = fill(ends[0], handle, arena);
    sys_close(ends[0]);
    if (error < 0) {
        sys_close(ends[1]);
        return error;
    }
    holders_count(handle->conn);
    return ends[1];
}

/* The hand-off sockets of one message, and their connections. */
struct posting {
    struct conn **conns;
    int *handoffs;
    size_t count;
};

static void close_handoffs(const struct posting *posting, bool sent)
{
    for (size_t i = 0; i < posting->count; i++) {
        sys_close(posting->handoffs[i]);
        if (!sent)
            holders_uncount(posting->conns[i]);
    }
}

/* Replaces the sealed descriptors of one part. 0 or -errno. */
static int replace_with_handoffs(struct cmsghdr *part, struct posting *posting)
{
    for (size_t i = 0; i < rights_count(part); i++) {
        struct conn_handle handle = fdtable_find(rights_at(part, i));
        if (!handle.conn)
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

ssize_t scm_rights_send(int fd, const struct msghdr *message, int flags)
{
    struct msghdr copy = *message;
    struct posting posting = {0};
    const size_t most = message->msg_controllen / sizeof(int);
    if (message->msg_name || is_foreign(fd)) { /* the owner of an address is not known */
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

static bool same_file(int one, int other)
{
    struct stat a, b;
    return one >= 0 && sys_fstat(one, &a) == 0 && sys_fstat(other, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static struct conn *find_here(uint64_t cookie)
{
    return fdtable_init() ? arena_slot_map(arena_find(cookie)) : NULL;
}

/* A connection of another process tree. It may have been migrated already: another descriptor of it was in
 * the message, or the message was peeked at before. */
static struct conn *find_elsewhere(int arena, uint64_t cookie, bool peek, bool *counted)
{
    struct conn *here = find_here(cookie);
    if (here && conn_phase(here) != CONN_MIGRATED) {
        *counted = !peek && atomic_exchange(&here->holders.peeked, 0);
        if (!peek && !*counted)
            migrate_arrived(arena, cookie);
        return here;
    }
    struct conn *conn = fdtable_init() ? migrate_in(arena, cookie, here, peek) : NULL;
    if (!conn)
        return NULL;
    *counted = !peek; /* else the message is still a holder */
    atomic_store(&conn->holders.peeked, peek);
    arena_set_cookie(conn->slot, cookie);
    return conn;
}

/* The connection, in an arena that this process has. NULL: it cannot be used here. *counted: the message
 * counts among its holders. */
static struct conn *find(int handoff, int arena, uint64_t cookie, bool peek, bool *counted)
{
    if (!arena_present() && is_own_user(handoff)) {
        int copy = net_fcntl(arena, F_DUPFD_CLOEXEC, 0);
        if (copy >= 0)
            conn_attach_arena(copy); /* or another thread has made one meanwhile */
    }
    *counted = same_file(ownfd_get(OWNFD_ARENA), arena) && !peek;
    if (same_file(ownfd_get(OWNFD_ARENA), arena))
        return find_here(cookie);
    return is_own_user(handoff) ? find_elsewhere(arena, cookie, peek, counted) : NULL;
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

static void receive_handoff(int fd, int flags)
{
    struct handoff_message note;
    int fds[HANDOFF_FDS];
    const bool peek = flags & MSG_PEEK;
    if (!take_out(fd, peek, &note, fds))
        return;
    bool counted;
    /* A forged message must not give this socket the connection of another one. */
    bool same = fdtable_cookie(fds[0]) == note.cookie;
    struct conn *conn = same ? find(fd, fds[1], note.cookie, peek, &counted) : NULL;
    sys_close(fds[1]);
    if (!conn) {
        sys_close(fds[0]);
        refuse(fd);
        return;
    }
    sys_call3(SYS_dup3, fds[0], fd, flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0);
    sys_close(fds[0]);
    exec_adopt_passed(fd, conn);
    if (counted) /* the message has arrived */
        holders_uncount(conn);
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
