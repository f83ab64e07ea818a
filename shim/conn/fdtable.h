/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FDTABLE_H
#define SOCKSEAL_FDTABLE_H

/*
 * From descriptor to connection: a table of this process, read without a lock. It does not exist until the
 * first sealed connection, so that a look-up in a program that seals nothing is one load and one compare.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "shm/self.h"

/* A look-up's result. */
struct conn_handle {
    struct conn *conn;   /* NULL: the descriptor is not sealed */
    uint32_t generation; /* which connection of the slot; without one, whether it is unconnected */
    arena_ref slot;
    int fd;
};

/* Flags of a descriptor in this process. */
enum fdtable_flag {
    FDTABLE_PENDING = 1,   /* something is left to be done for its connection (conn/pending.h) */
    FDTABLE_ORPHAN = 2,    /* one of the library's own, for a connection that the program has closed */
    FDTABLE_WATCH_IN = 4,  /* is in the private epoll, for input */
    FDTABLE_WATCH_OUT = 8, /* is in the private epoll, for output */
    FDTABLE_INHERIT = 16,  /* the program has not set FD_CLOEXEC, though the kernel has (process/inherit.h) */
    FDTABLE_OWES = 32,     /* calls of this process have reported bytes that the kernel may not have */
    FDTABLE_USED = 64,     /* a socket without a connection that has had one in the clear, or has listened:
                              which other names it has is not known */
};

struct fdtable_entry {
    _Atomic uint64_t where; /* slot in the low half, 0: none; generation in the high half */
};

extern _Atomic(struct fdtable_entry *) fdtable_table;
extern _Atomic uint32_t fdtable_size; /* entries in the table; 0 until it exists */

/* The connection of a descriptor that must not be used as a plain one, but whose own connection is not known:
 * every call on it fails with EBADF. */
extern struct conn fdtable_dead;

/* The slow part of fdtable_find(): the entry is hidden, its connection is gone, or this is a forked child. */
struct conn_handle fdtable_resolve(int fd, uint64_t where);

/* In the low half of fdtable_entry.where: the descriptor is being closed, or is about to be sealed. The high
 * half is the id of the thread that does so. */
#define FDTABLE_HIDDEN 0xffffffffu

/* The same for a TCP socket that had no connection yet when it was last looked at. It may get one by a call
 * of another thread, under another number, or in another process that has a copy of the descriptor. So it is
 * not known whether it will be sealed (io/unconnected.h). The high half tells whether there may be copies:
 * it is not fdtable_copies then. */
#define FDTABLE_UNCONNECTED 0xfffffffeu

/* What an unconnected socket has become. */
enum fdtable_settled {
    FDTABLE_STILL_UNCONNECTED,
    FDTABLE_SETTLED, /* it is looked up again: it is sealed, or a plain descriptor */
    FDTABLE_FOUND,   /* in a vfork(2) child: another number of the connection is used instead */
    FDTABLE_UNKNOWN, /* it should be sealed, and its connection is not known here: fdtable_dead */
};

/* Asks the kernel that. *found is set with FDTABLE_FOUND. Set at load (io/unconnected.c). */
extern enum fdtable_settled (*fdtable_settle)(int fd, struct conn_handle *found);

/* The connection of fd. */
static inline struct conn_handle fdtable_find(int fd)
{
    if ((uint32_t)fd >= atomic_load_explicit(&fdtable_size, memory_order_acquire))
        return (struct conn_handle){.fd = fd};
    struct fdtable_entry *table = atomic_load_explicit(&fdtable_table, memory_order_relaxed);
    uint64_t where = atomic_load_explicit(&table[fd].where, memory_order_acquire);
    if (!where)
        return (struct conn_handle){.fd = fd};
    if (*self_process && (uint32_t)where < FDTABLE_UNCONNECTED) {
        struct conn *conn = arena_slot((arena_ref)where);
        uint32_t generation = (uint32_t)(where >> 32);
        if (atomic_load_explicit(&conn->generation, memory_order_acquire) == generation)
            return (struct conn_handle){
                .conn = conn, .generation = generation, .slot = (arena_ref)where, .fd = fd};
    }
    return fdtable_resolve(fd, where);
}

/* The same, but a hidden descriptor has none, and nothing is waited for. For a caller that may hold a
 * connection's lock: who hides a descriptor waits for those (hold_drain()). */
struct conn_handle fdtable_find_now(int fd);

static inline bool fdtable_has(int fd)
{
    return fdtable_find(fd).conn != NULL;
}

static inline bool fdtable_is_unconnected(const struct conn_handle *handle)
{
    return !handle->conn && handle->generation;
}

/* Whether the descriptor is sealed, or a socket that may become so. */
static inline bool fdtable_concerns(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    return handle.conn || handle.generation;
}

/* Enters a TCP socket that has no connection. `copied`: there may be copies of it; otherwise it is new. */
void fdtable_note_unconnected(int fd, bool copied);

/* For a vfork(2) child, which must not change its parent's tables: has look-ups of a number that it has put a
 * copy at ask the kernel. Of no consequence for the parent. */
void fdtable_note_child_copy(int fd);

/* All unconnected sockets of this process may have copies from now on. */
void fdtable_note_copies(void);

/* Finds out which of this process's copies of unconnected sockets are connected. */
void fdtable_settle_copies(void);

/* Calls `visit` with each unconnected socket until it gives true; whether it did. */
bool fdtable_each_unconnected(bool (*visit)(int fd, void *context), void *context);

/* Takes an unconnected socket out of the table. */
void fdtable_forget_unconnected(int fd);

/* Enters an unconnected socket as a descriptor of the connection. False: another thread was first. */
bool fdtable_add_unconnected(int fd, struct conn *conn, uint32_t generation);

/* Whether the descriptor still is what was looked up: to be asked once a lock is held. */
static inline bool fdtable_current(const struct conn_handle *handle)
{
    if (handle->conn == &fdtable_dead || !atomic_load_explicit(&fdtable_size, memory_order_acquire))
        return true;
    struct fdtable_entry *table = atomic_load_explicit(&fdtable_table, memory_order_relaxed);
    uint64_t where = atomic_load_explicit(&table[handle->fd].where, memory_order_acquire);
    return where == ((uint64_t)handle->generation << 32 | handle->slot) &&
           atomic_load_explicit(&handle->conn->generation, memory_order_acquire) == handle->generation;
}

/* Makes the table. False if there is no memory. */
bool fdtable_init(void);

/* Whether the table has an entry for a descriptor of this number. Without one it cannot be sealed. */
bool fdtable_has_room(int fd);

/* The same, after making room for it: descriptors outlive the lowering of their limit (RLIMIT_NOFILE). To be
 * called at load, while there is one thread. */
bool fdtable_reach(int fd);

/* Enters fd as one more descriptor of the connection. */
void fdtable_add(int fd, struct conn *conn, uint32_t generation);

/* The same for a descriptor that another process or program has handed over. `counted`: this process is among
 * the connection's holders already. */
void fdtable_adopt(int fd, struct conn *conn, bool counted);

/* After the last descriptor of a connection was closed: takes its memory out of this process, if others can
 * reach it (region_leave()), unless a thread of this process is in a call on it, or the slot is reserved
 * (conn/reserve.h). */
void fdtable_leave(const struct conn_handle *handle);

/* The same for each connection that this process has no descriptor for, whatever its threads do. */
void fdtable_sweep(void);

/* Undoes fdtable_release(). */
void fdtable_reclaim(struct conn *conn);

/* The socket's SO_COOKIE (socket(7)), by which another process of the tree finds its connection. 0 if the
 * kernel gives none. */
uint64_t fdtable_cookie(int fd);

/*
 * Hides fd, which is about to be closed. False if it is not what was looked up any more: another thread was
 * first. *left tells whether this process has no descriptor for the connection any more, and *last whether no
 * other process has one either, as far as is known. Threads that look fd up wait until fdtable_publish() or
 * fdtable_add(), so that none uses the descriptor as a plain one before the kernel has closed it.
 */
bool fdtable_hide(const struct conn_handle *handle, bool *left, bool *last);

/* The same for a thread that holds a lock of the connection, and so must not wait long for the table's: false
 * if that stays locked. */
bool fdtable_hide_soon(const struct conn_handle *handle, bool *hidden, bool *last);

/* Hides a descriptor that is not sealed, and is about to be: look-ups wait until fdtable_publish() or
 * fdtable_add(). */
void fdtable_reserve(int fd);

/* Keeps other threads from adding or hiding descriptors, for work on two of them at once (dup2). Gives what
 * to pass to fdtable_unlock(): false if the lock is not taken. */
bool fdtable_lock(void);
void fdtable_unlock(bool locked);

/* Ends fdtable_hide() or fdtable_reserve(), unless fd has been entered for a connection meanwhile. */
void fdtable_publish(int fd);

/* The same for a socket that has no connection any more, and is still open. */
void fdtable_publish_unconnected(int fd);

/* Whether there is but one descriptor for the connection, in all processes. */
bool fdtable_only_descriptor(struct conn *conn);

/* How many descriptors this process has for the connection. */
uint32_t fdtable_descriptors(const struct conn *conn);

/* shutdown(2) if the descriptor still is what was looked up, which it stays meanwhile. 0 or -errno; -ENOTCONN
 * if it is not. */
int fdtable_shutdown(const struct conn_handle *handle, int how);

/* The lowest descriptor of this process for the connection other than `but`, or -1. Searches the table. */
int fdtable_any(const struct conn *conn, int but);

/* A descriptor's flags (enum fdtable_flag). Setting and clearing give the flags as they were before. */
uint8_t fdtable_flags(int fd);
uint8_t fdtable_set_flags(int fd, uint8_t set);
uint8_t fdtable_clear_flags(int fd, uint8_t unset);

/* One past the highest descriptor that was ever sealed. */
int fdtable_bound(void);

/* Calls `visit` once for each connection of this process. */
void fdtable_each_connection(void (*visit)(struct conn *conn));

/* In a forked child (process/fork.h): frees the table's lock, and undoes fdtable_release(). */
void fdtable_after_fork(void);

/* In a forked child: closes fd if a thread of the parent's was closing it. */
void fdtable_drop_hidden(int fd);

/* Whether fd is one of the library's own, orphans (io/close.h) included. */
bool fdtable_is_own(int fd);

/* One past the highest descriptor that is sealed or the library's own. */
int fdtable_own_bound(void);

/* Takes this process out of the connection's holders, once; true if it was the last. */
bool fdtable_release(struct conn *conn);

#endif
