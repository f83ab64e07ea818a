/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RESULT_H
#define SOCKSEAL_RESULT_H

/* The result of a call on a connection. */

#include <stdbool.h>
#include <sys/types.h>

enum io_status {
    IO_DONE,         /* `value` is the result: a count, 0 at the end of the stream, or -errno */
    IO_RETRY_LOOKUP, /* the descriptor no longer is what was looked up: look it up again */
    IO_NOT_FAST,     /* the fast path cannot do this call, and has done nothing */
    IO_LOCK_LOST, /* the lock was taken over during a system call (lock_unblock()): it is not held any more */
};

struct io_result {
    ssize_t value;
    enum io_status status;
};

static inline struct io_result io_done(ssize_t value)
{
    return (struct io_result){.value = value, .status = IO_DONE};
}

static inline struct io_result io_is(enum io_status status)
{
    return (struct io_result){.status = status};
}

/* Whether it is a count or 0. */
static inline bool io_ok(struct io_result result)
{
    return result.status == IO_DONE && result.value >= 0;
}

/* Whether it is this -errno. */
static inline bool io_is_error(struct io_result result, int error)
{
    return result.status == IO_DONE && result.value == -error;
}

/* What to tell the program after `done` bytes were transferred and `result` ended the call: the count if
 * there is one, so that the next call reports the error. */
static inline struct io_result io_after(size_t done, struct io_result result)
{
    return done > 0 && result.status != IO_LOCK_LOST ? io_done((ssize_t)done) : result;
}

#endif
