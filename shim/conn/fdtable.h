/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FDTABLE_H
#define SOCKSEAL_FDTABLE_H

/*
 * Descriptor -> connection, a table of this process, read without a lock. It does not exist until the first
 * sealed connection, so that a look-up in a program that seals nothing is one load and one compare.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "shm/self.h"

/* A look-up's result: which connection, and which life of its slot. conn == NULL: the descriptor is not
 * sealed. */
struct conn_handle {
    struct conn *conn;
    uint32_t generation;
    int fd;
};

/* Bits kept per descriptor beside its connection; this process's own. */
enum fdtable_set_flags {
    FDTABLE_PENDING = 1,   /* drive.h: something is left to be done for it */
    FDTABLE_ORPHAN = 2,    /* a descriptor of ours that finishes a connection which the program has closed */
    FDTABLE_WATCH_IN = 4,  /* stands in the private epoll, for input */
    FDTABLE_WATCH_OUT = 8, /* ... for output */
    FDTABLE_INHERIT = 16, /* the program has not set FD_CLOEXEC; the kernel has it all the same (inherit.h) */
};

struct fdtable_entry {
    _Atomic uint64_t where; /* slot in the low half, 0: none; generation in the high half */
};

extern _Atomic(struct fdtable_entry *) fdtable_table;
extern _Atomic uint32_t fdtable_size; /* entries in the table; 0 until it exists */
/* Stands for a descriptor that must not be used as a plain one, though its connection is not at hand: every
 * call on it fails with EBADF. */
extern struct conn fdtable_dead;

/* What fdtable_find() finds where the entry is none of a live connection. */
struct conn_handle fdtable_resolve(int fd, uint64_t where);

/* In the low half of fdtable_entry.where: being closed, or made; who does it stands in the high half. */
#define FDTABLE_HIDDEN 0xffffffffu

/* The connection behind fd. */
static inline struct conn_handle fdtable_find(int fd)
{
    if ((uint32_t)fd >= atomic_load_explicit(&fdtable_size, memory_order_acquire))
        return (struct conn_handle){.fd = fd};
    struct fdtable_entry *table = atomic_load_explicit(&fdtable_table, memory_order_relaxed);
    uint64_t where = atomic_load_explicit(&table[fd].where, memory_order_acquire);
    if (!where)
        return (struct conn_handle){.fd = fd};
    if (*self_process && (uint32_t)where != FDTABLE_HIDDEN) {
        struct conn *conn = arena_slot((arena_ref)where);
        uint32_t generation = (uint32_t)(where >> 32);
        if (atomic_load_explicit(&conn->generation, memory_order_acquire) == generation)
            return (struct conn_handle){.conn = conn, .generation = generation, .fd = fd};
    }
    return fdtable_resolve(fd, where);
}

static inline bool fdtable_has(int fd)
{
    return fdtable_find(fd).conn != NULL;
}

/* Whether the look-up still holds, once a role is taken: the descriptor stands for the same life of the same
 * slot. */
static inline bool fdtable_current(const struct conn_handle *handle)
{
    if (handle->conn == &fdtable_dead || !atomic_load_explicit(&fdtable_size, memory_order_acquire))
        return true;
    struct fdtable_entry *table = atomic_load_explicit(&fdtable_table, memory_order_relaxed);
    uint64_t where = atomic_load_explicit(&table[handle->fd].where, memory_order_acquire);
    return where == ((uint64_t)handle->generation << 32 | handle->conn->slot) &&
           atomic_load_explicit(&handle->conn->generation, memory_order_acquire) == handle->generation;
}

/* Makes the table. False if there is no memory. */
bool fdtable_init(void);

/* Lets fd stand for the connection, as one more descriptor. */
void fdtable_add(int fd, struct conn *conn, uint32_t generation);

/* The same for a descriptor that came with this process's beginning. `counted`: this process is among the
 * connection's holders already. */
void fdtable_adopt(int fd, struct conn *conn, bool counted);

/* Takes back fdtable_release(). */
void fdtable_reclaim(struct conn *conn);

/* The socket's identity, by which another process of the tree finds its connection: to be called once for a
 * new one. 0 where the kernel gives none. */
uint64_t fdtable_cookie(int fd);

/*
 * Takes fd out, if it still is what was looked up; false if another thread was first. *left then tells
 * whether this process has no descriptor for the connection any more, and *last whether no other process has
 * one either, as far as can be known. The caller goes on with closing.h. Until fdtable_publish() other
 * threads that look fd up wait, so that nobody takes the descriptor for a plain one before the kernel has
 * closed it.
 */
bool fdtable_hide(const struct conn_handle *handle, bool *left, bool *last);

/* Makes look-ups of a descriptor that is not sealed wait until fdtable_publish() or fdtable_add(): it is
 * about to be. */
void fdtable_reserve(int fd);

/* For work on two descriptors at once (dup2): no other comes or goes meanwhile. Gives what to pass to
 * fdtable_unlock(). */
bool fdtable_lock(void);
void fdtable_unlock(bool locked);

/* Ends fdtable_hide() or fdtable_reserve(), unless fd stands for a connection by now. */
void fdtable_publish(int fd);

/* Whether this process has but one descriptor for it, and no other process holds it. */
bool fdtable_only_descriptor(struct conn *conn);

/* How many descriptors this process has for the connection. */
uint32_t fdtable_descriptors(const struct conn *conn);

/* Any descriptor of this process for the connection other than `but`, or -1. Slow. */
int fdtable_any(const struct conn *conn, int but);

/* The marks of a descriptor. */
uint8_t fdtable_flags(int fd);
uint8_t fdtable_set_flags(int fd, uint8_t set); /* gives what was set before */
uint8_t fdtable_clear_flags(int fd, uint8_t unset);

/* One past the highest descriptor that was ever sealed. */
int fdtable_bound(void);

/* Calls `visit` once for each connection of this process. */
void fdtable_each_connection(void (*visit)(struct conn *conn));

/* In a forked child (process/fork.h): frees the table's lock, and takes up again what the parent had given
 * up; closes a descriptor that a thread of the parent's was closing. */
void fdtable_after_fork(void);
void fdtable_drop_hidden(int fd);

/* Whether fd is one of the library's own, orphans (io/close.h) included; and one past the highest descriptor
 * that is sealed or the library's own. */
bool fdtable_is_own(int fd);
int fdtable_own_bound(void);

/* At the process's end: gives up this process's part in the connection; true if it was the last. */
bool fdtable_release(struct conn *conn);

#endif
