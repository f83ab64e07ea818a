/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REGISTRY_H
#define SOCKSEAL_REGISTRY_H

/*
 * Descriptor -> connection, a table of this process, read without a lock. It does not exist until the first
 * sealed connection, so that a look-up in a program that seals nothing is one load and one compare.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"

/* A look-up's result: which connection, and which life of its slot. conn == NULL: the descriptor is not
 * sealed. */
struct sealed {
    struct conn *conn;
    uint32_t generation;
    int fd;
};

/* Bits kept per descriptor beside its connection; this process's own. */
enum registry_mark {
    REGISTRY_OUTSTANDING = 1, /* drive.h: something is left to be done for it */
    REGISTRY_ORPHAN = 2,    /* a descriptor of ours that finishes a connection which the program has closed */
    REGISTRY_WATCH_IN = 4,  /* stands in the private epoll, for input */
    REGISTRY_WATCH_OUT = 8, /* ... for output */
    REGISTRY_INHERIT =
        16, /* the program has not set FD_CLOEXEC; the kernel has it all the same (inherit.h) */
};

struct registry_entry {
    _Atomic uint64_t where; /* slot in the low half, 0: none; generation in the high half */
};

extern _Atomic(struct registry_entry *) registry_table;
extern _Atomic uint32_t registry_size; /* entries in the table; 0 until it exists */
extern uint32_t *registry_alive; /* this process's id, in a page that the kernel wipes in a forked child */

/* Puts a forked child's bookkeeping right: done by the fork door, or by the first look-up in a child that was
 * forked behind the doors' back. */
void registry_after_fork(void);

/* The fork door's part. Where the kernel does not wipe the page (an emulator), this is all that tells. */
void registry_in_child(void);

/* Calls registry_after_fork() if this is such a child. */
void registry_check_fork(void);

/* From the constructor: makes the page, without which registry_is_ours() is false. */
void registry_begin(void);

/* Whether the bookkeeping is this process's: false in a vfork(2) child, which has its parent's memory but
 * descriptors of its own, and must not touch the parent's. */
bool registry_is_ours(void);

/* Stands for a descriptor that must not be used as a plain one, though its connection is not at hand: every
 * call on it fails with EBADF. */
extern struct conn registry_dead;

/* What registry_find() finds where the entry is none of a live connection. */
struct sealed registry_resolve(int fd, uint64_t where);

/* In the low half of registry_entry.where: being closed, or made; who does it stands in the high half. */
#define REGISTRY_HIDDEN 0xffffffffu

/* The connection behind fd. */
static inline struct sealed registry_find(int fd)
{
    if ((uint32_t)fd >= atomic_load_explicit(&registry_size, memory_order_acquire))
        return (struct sealed){.fd = fd};
    struct registry_entry *table = atomic_load_explicit(&registry_table, memory_order_relaxed);
    uint64_t where = atomic_load_explicit(&table[fd].where, memory_order_acquire);
    if (!where)
        return (struct sealed){.fd = fd};
    if (*registry_alive && (uint32_t)where != REGISTRY_HIDDEN) {
        struct conn *conn = arena_slot((arena_ref)where);
        uint32_t generation = (uint32_t)(where >> 32);
        if (atomic_load_explicit(&conn->generation, memory_order_acquire) == generation)
            return (struct sealed){.conn = conn, .generation = generation, .fd = fd};
    }
    return registry_resolve(fd, where);
}

static inline bool registry_has(int fd)
{
    return registry_find(fd).conn != NULL;
}

/* Whether the look-up still holds, once a role is taken: the descriptor stands for the same life of the same
 * slot. */
static inline bool registry_current(const struct sealed *sealed)
{
    if (sealed->conn == &registry_dead || !atomic_load_explicit(&registry_size, memory_order_acquire))
        return true;
    struct registry_entry *table = atomic_load_explicit(&registry_table, memory_order_relaxed);
    uint64_t where = atomic_load_explicit(&table[sealed->fd].where, memory_order_acquire);
    return where == ((uint64_t)sealed->generation << 32 | sealed->conn->slot) &&
           atomic_load_explicit(&sealed->conn->generation, memory_order_acquire) == sealed->generation;
}

/* The slot that a connection lies in. */
static inline arena_ref registry_slot(const struct conn *conn)
{
    return conn->slot;
}

/* Makes the table. False if there is no memory. */
bool registry_open(void);

/* Lets fd stand for the connection, as one more descriptor. */
void registry_add(int fd, struct conn *conn, uint32_t generation);

/* The same for a descriptor that came with this process's beginning. `counted`: this process is among the
 * connection's holders already. */
void registry_adopt(int fd, struct conn *conn, bool counted);

/* Enters process `pid` among the connection's holders, and takes it out again; registry_holds() tells whether
 * it is there (false also where there were more than are told apart). */
void registry_enter(struct conn *conn, int pid);
void registry_withdraw(struct conn *conn, int pid);
bool registry_holds(const struct conn *conn, int pid);

/* Counts out the holders of whom `dead` says so: whether that left none. */
bool registry_bury(struct conn *conn, bool (*dead)(uint32_t pid));

/* Takes back registry_leave(). */
void registry_rejoin(struct conn *conn);

/* The socket's identity, by which another process of the tree finds its connection: to be called once for a
 * new one. 0 where the kernel gives none. */
uint64_t registry_cookie(int fd);

/*
 * Takes fd out, if it still is what was looked up; false if another thread was first. *left then tells
 * whether this process has no descriptor for the connection any more, and *last whether no other process has
 * one either, as far as can be known. The caller goes on with closing.h. Until registry_show() other threads
 * that look fd up wait, so that nobody takes the descriptor for a plain one before the kernel has closed it.
 */
bool registry_hide(const struct sealed *sealed, bool *left, bool *last);

/* Makes look-ups of a descriptor that is not sealed wait until registry_show() or registry_add(): it is about
 * to be. */
void registry_reserve(int fd);

/* For work on two descriptors at once (dup2): no other comes or goes meanwhile. Gives what to pass to
 * registry_unlock(). */
bool registry_lock(void);
void registry_unlock(bool locked);

/* Ends registry_hide() or registry_reserve(), unless fd stands for a connection by now. */
void registry_show(int fd);

/* Whether no other process holds the connection; and whether this one has but one descriptor for it, besides.
 */
bool registry_only_holder(struct conn *conn);
bool registry_only_descriptor(struct conn *conn);

/* How many descriptors this process has for the connection. */
uint32_t registry_descriptors(const struct conn *conn);

/* Any descriptor of this process for the connection other than `but`, or -1. Slow. */
int registry_any(const struct conn *conn, int but);

/* The marks of a descriptor. */
uint8_t registry_marks(int fd);
uint8_t registry_mark(int fd, uint8_t set); /* gives what was set before */
uint8_t registry_unmark(int fd, uint8_t unset);

/* One past the highest descriptor that was ever sealed. */
int registry_bound(void);

/* Around fork(2): the child is counted before it exists, so that it cannot be missed, and no descriptor comes
 * or goes meanwhile. registry_fork_done() is for the parent, and registry_fork_failed() after it if there is
 * no child. */
void registry_before_fork(void);
void registry_fork_done(void);
void registry_fork_failed(void);

/* At the process's end: gives up this process's part in the connection; true if it was the last. */
bool registry_leave(struct conn *conn);

/* The lowest number that the shim gives to descriptors of its own. */
int registry_own_base(void);

#endif
