/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PENDING_H
#define SOCKSEAL_PENDING_H

/*
 * Connections of this process that have something pending: a handshake, bytes accepted but not sent, a close
 * that is not finished. Each is marked at its descriptor and is in one private epoll, which whoever waits
 * polls too (io/progress.h). While nothing is pending, a wait costs one load more.
 */

#include "conn/fdtable.h"

extern _Atomic uint32_t pending_count;

/* Whether this process has anything pending. */
static inline bool pending_any(void)
{
    return atomic_load_explicit(&pending_count, memory_order_relaxed) != 0;
}

/* Called when work is left that no call of the program's comes back for: a close that is not finished. Set at
 * load (io/wait.h); NULL: nothing happens. */
extern void (*pending_carry)(void);

/* Marks a sealed descriptor as having something pending; nothing happens if it is marked. */
void pending_add(int fd);

/* Unmarks it. To be called before the descriptor is closed, too. */
void pending_remove(int fd);

/* Unmarks it if nothing is pending any more. */
void pending_settle(const struct conn_handle *handle);

/* Whether nothing is left to be done for a connection of the program's. */
bool pending_is_settled(const struct conn *conn);

/* Has the private epoll wait for what the connection waits for now, if it is marked. After
 * status.read_shut was set: pending_rewatch(). */
void pending_watch(const struct conn_handle *handle);
void pending_rewatch(const struct conn_handle *handle);

/* Calls `visit` for each marked descriptor, with its connection pinned. */
void pending_each(void (*visit)(const struct conn_handle *handle));

/* The private epoll with every pending connection in it; -1 if there is none. For waiting on it beside
 * others. */
int pending_epoll(void);

/* The earliest time, in net_now_ms() milliseconds, at which a pending connection has something to do without
 * an event; INT64_MAX: never. */
int64_t pending_deadline(void);

/* Makes that no later than `deadline`. */
void pending_lower_deadline(int64_t deadline);

/* Takes it, if it is past: whether the caller is to look at all of them. */
bool pending_take_deadline(void);

/* Makes it no earlier than `soon_ms`. */
void pending_not_before(int64_t soon_ms);

/* In a forked child: an epoll of its own, made when needed. */
void pending_after_fork(void);

#endif
