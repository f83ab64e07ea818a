/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SCRATCH_H
#define SOCKSEAL_SCRATCH_H

/*
 * Buffers for ciphertext on its way between the kernel and the program's memory. They hold nothing between
 * calls. The free ones form a lock-free stack of this process, usable in a signal handler: the buffer that
 * was used last is taken first, so that it is still in the processor's cache.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    /* One system call carries at most so many full records. */
    SCRATCH_RECORDS = 8,
    /* The page at the end has room for one short record more. */
    SCRATCH_SIZE = SCRATCH_RECORDS * (16384 + 64) + 4096,
    /* Callers with so many plaintext bytes, or fewer, use their stack instead. */
    SCRATCH_SMALL = 1024,
};

/* A buffer of SCRATCH_SIZE bytes, or NULL if there is no memory. */
uint8_t *scratch_take(void);

/* Gives it back; NULL is allowed. */
void scratch_give(uint8_t *buffer);

/* The same, for __attribute__((cleanup)), which also runs when the thread is cancelled. */
static inline void scratch_cleanup(uint8_t **buffer)
{
    scratch_give(*buffer);
}

#endif
