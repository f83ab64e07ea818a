/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SCRATCH_H
#define SOCKSEAL_SCRATCH_H

/*
 * Buffers for ciphertext on its way between the kernel and the program's memory. A lock-free stack of this
 * process's own: last used, first taken, so that one buffer stays in the cache; usable in a signal handler.
 * They hold nothing between calls.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    SCRATCH_RECORDS = 8, /* full records a call of the kernel carries at most */
    SCRATCH_SIZE = SCRATCH_RECORDS * (16384 + 64) + 4096, /* the page at the end: a short record more */
    SCRATCH_SMALL = 1024,                                 /* up to here the callers use their stack */
};

/* A buffer of SCRATCH_SIZE bytes, or NULL if there is no memory. */
uint8_t *scratch_take(void);

/* Gives it back; NULL is allowed. */
void scratch_give(uint8_t *buffer);

/* For __attribute__((cleanup)): also when the thread is cancelled. */
static inline void scratch_cleanup(uint8_t **buffer)
{
    scratch_give(*buffer);
}

#endif
