/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PENDING_H
#define SOCKSEAL_PENDING_H

/*
 * Connections of this process that have something pending: a handshake, bytes accepted but not sent, a close
 * that is not finished. Each is marked by a flag of its descriptor and is in one private epoll. A thread that
 * waits in a door polls that epoll too (io/progress.h), or the worker does. While nothing is pending, a wait
 * costs one load more.
 */

#include "conn/fdtable.h"

extern _Atomic uint32_t pending_count;

/* Whether this process has anything pending. */
static inline bool pending_any(void)
{
    return atomic_load_explicit(&pending_count, memory_order_relaxed) != 0;
}

/* A hook, called when work is left that no further call of the program's finishes: a close. Set at load
 * (io/wait.h) to worker_carry(), which is in a room above; NULL: nothing happens. Whether there is a worker
 * to do it. */
extern bool (*pending_carry)(void);

/* Marks a sealed descriptor as pending. Does nothing if it is marked, or is just being closed. The caller may
 * hold the connection's locks. */
void pending_add(int fd);

/* Unmarks it. To be called before the descriptor is closed, too. */
void pending_remove(int fd);

/* The same for a handle that another thread may have closed meanwhile. In this and the functions below, the
 * number may be another connection's by then, which keeps its mark. */
void pending_drop(const struct conn_handle *handle);

/* Calls of this process have reported bytes that the kernel may not have: FDTABLE_OWES. A process that leaves
 * the connection to others sends them first. After a fork the child does so too, and the parent's end need
 * not wait: pending_share(). */
void pending_owe(int fd);
void pending_share(void);

/* Unmarks it if nothing is pending any more. */
void pending_settle(const struct conn_handle *handle);

/* Whether nothing is left to be done for the connection. An orphan may still wait for the kernel
 * (io/close.h). */
bool pending_is_settled(const struct conn *conn);

/* If the descriptor is marked: sets what the private epoll is to wait for. pending_rewatch() is for a change
 * of status.read_shut, which changes how it waits. */
void pending_watch(const struct conn_handle *handle);
void pending_rewatch(const struct conn_handle *handle);

/* Calls `visit` for each marked descriptor, with its connection pinned. */
void pending_each(void (*visit)(const struct conn_handle *handle));

/* The private epoll with every pending connection in it, to be waited for beside others. -1 if nothing is
 * pending or there is no descriptor left. */
int pending_epoll(void);

/*
 * One thread polls the private epoll: if all did that wait, each event would wake them all. While the worker
 * (io/worker.h) is there, it is the one. Else it is the first thread that waits in a door. When a second one
 * comes, the worker is started: so a program with one thread never has a second thread for that.
 *
 * pending_begin_watch(): whether the caller, which is about to wait, is to poll it: then pending_end_watch()
 * follows. If not, the caller is to ask again once in a while (PENDING_ASK_MS), since the worker may have
 * been ended.
 */
enum { PENDING_ASK_MS = 1000 };
bool pending_begin_watch(void);
void pending_end_watch(void);

/* Whether the worker is there. */
bool pending_is_carried(void);

/* For the worker: it is there; it is about to sleep until pending_deadline(), and is woken by OWNFD_WAKE if
 * that becomes nearer, or something is pending again. */
void pending_set_carried(bool by_worker);
void pending_set_asleep(bool worker);

/* Wakes the worker if it sleeps: it is to find out anew until when. */
void pending_wake_worker(void);

/* The earliest time, in net_now_ms() milliseconds, at which a pending connection has something to do without
 * an event; INT64_MAX: never. */
int64_t pending_deadline(void);

/* Makes that time no later than `deadline`, and wakes the worker if it sleeps longer. */
void pending_lower_deadline(int64_t deadline);

/* Resets that time to INT64_MAX if it is past. Then the caller is to check every pending connection: true. */
bool pending_take_deadline(void);

/* Makes that time no earlier than `soon_ms`. */
void pending_not_before(int64_t soon_ms);

/* In a forked child: drops the parent's epoll. The child makes its own when needed. */
void pending_after_fork(void);

#endif
