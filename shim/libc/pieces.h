/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PIECES_H
#define SOCKSEAL_PIECES_H

/*
 * The array of pieces of readv(2) and its kin, as it was when the call began. The kernel reads it once, too.
 * Afterwards it may change: by another thread, or because what is received comes to lie there. No pointer may
 * be taken from it then, since the peer would have chosen it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { PIECES_FEW = 8 };

struct pieces {
    const struct iovec *iov; /* the copy, */
    size_t count;            /* and its length */
    struct iovec few[PIECES_FEW];
    uint8_t *many; /* a scratch buffer for a longer one; NULL: none */
};

/* Copies the array, which has at most IOV_MAX elements. As in the kernel, all together have at most
 * PIECES_BYTES_MAX bytes. 0; -EINVAL if a length is no ssize_t; -ENOMEM. To be ended by pieces_end(). */
int pieces_copy(struct pieces *pieces, const struct iovec *iov, size_t count);

enum { PIECES_BYTES_MAX = 0x7ffff000 };

/* Also when the thread is cancelled: for __attribute__((cleanup)). */
void pieces_end(struct pieces *pieces);

#endif
