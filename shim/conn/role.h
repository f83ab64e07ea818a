/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ROLE_H
#define SOCKSEAL_ROLE_H

/*
 * The lock of one direction of a connection: the role of being its reader, or its writer. It lies in shared
 * memory.
 *
 * A holder is either BUSY, for the microseconds of computing, or PARKED: inside a system call that may block
 * on behalf of the program. Who finds it BUSY waits; who finds it PARKED decides by himself (a reader asks
 * the kernel too, a non-blocking caller gets EAGAIN). So nobody waits behind a blocked call who would not
 * wait on plain TCP.
 *
 * The word holds the owner's thread id, so that a role whose owner died, or jumped out of a signal handler,
 * can be told.
 */

#include <stdbool.h>
#include <stdint.h>

struct role {
    _Atomic uint32_t word;
};

enum role_result {
    ROLE_TAKEN,     /* it is ours, BUSY */
    ROLE_PARKED,    /* another thread is in a blocking call with it */
    ROLE_REENTERED, /* this thread holds it already: we are in a signal handler that interrupted its work */
    ROLE_ABANDONED, /* it is ours, but its last owner died BUSY: the direction's state cannot be trusted */
    ROLE_RESUMED,   /* it is ours; its last owner died PARKED, or was this thread, which has jumped out of the
                       blocking call   or is in a signal handler above it. What the call did to the socket is
                       not   known. */
};

/* Takes the role; waits while it is BUSY. */
enum role_result role_take(struct role *role);

/* Takes the role only if it is free. */
bool role_try(struct role *role);

/* Whether this thread holds the role; *parked: PARKED. */
bool role_mine(const struct role *role, bool *parked);

/* BUSY -> free. */
void role_release(struct role *role);

/* BUSY -> PARKED, around a call that may block. */
void role_park(struct role *role);

/* PARKED -> BUSY; false if the role was taken over meanwhile, and is not ours any more. */
bool role_unpark(struct role *role);

/* Waits until the role is not PARKED by another. 0, or -EINTR where a blocking call would be interrupted. */
int role_wait(struct role *role);

/* Whether the thread or process of this id is certainly dead; a zombie is. */
bool role_is_dead(uint32_t id);

/* Looks whether this process is in the arena's first process's PID namespace; if not, ids tell nothing any
 * more, and nobody is taken for dead. */
void role_note_namespace(void);

/* From now on no file is opened to see whether a process is a zombie (conn/sandbox.h). */
void role_stop_looking(void);

/* This thread's id, cached; role_forget() drops the cache in a forked child. */
uint32_t role_self(void);
void role_forget(void);

#endif
