/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_THREAD_H
#define SOCKSEAL_THREAD_H

/*
 * A thread that libc does not know: clone(2), on memory of the library's own, with all signals blocked. What
 * it is for, when it is started and when it ends: io/worker.h.
 *
 * pthread_create(3) would allocate (a door may be called where that is not allowed, in a signal handler say),
 * and would make libc take locks from then on that a program with one thread does without. The price: libc's
 * code in this thread finds thread-local storage that is empty, but for what is copied here. So it may call
 * system calls, memory and string functions and snprintf(3), and nothing that allocates, locks a stream, is a
 * cancellation point or raises a signal.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed at first. One thread at a time; its memory is kept for the next. */
struct thread {
    _Atomic uint32_t runs;   /* not 0: there is one; the kernel clears it when the thread leaves its memory */
    _Atomic uint32_t number; /* the last one's thread id; 0: the kernel knows it no more */
    uint8_t *memory;
    size_t size;
    uint8_t *top; /* of the stack */
    void *tls;    /* what its thread pointer is */
};

/* Runs run(context) in a new thread. False if the kernel refuses, or this build can have none
 * (ThreadSanitizer). The last one has ended, or is about to. */
bool thread_start(struct thread *thread, int (*run)(void *context), void *context);

static inline bool thread_is_alive(const struct thread *thread)
{
    return atomic_load_explicit(&thread->runs, memory_order_acquire) != 0;
}

/* Whether the kernel does not count it any more, which is a moment later: until then unshare(2) and setns(2)
 * refuse what they refuse to a process of several threads. */
bool thread_is_gone(struct thread *thread);

/* Waits until it is not alive, for at most so many milliseconds. */
void thread_wait(struct thread *thread, int limit_ms);

/* In a forked child, which has no other thread. */
void thread_forget(struct thread *thread);

#endif
