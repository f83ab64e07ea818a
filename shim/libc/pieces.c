/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "libc/pieces.h"

#include <errno.h>
#include <limits.h>

#include "shm/scratch.h"

_Static_assert(IOV_MAX * sizeof(struct iovec) <= SCRATCH_SIZE, "the longest array fits a scratch buffer");

static struct iovec *room_for(struct pieces *pieces, size_t count)
{
    pieces->many = count > PIECES_FEW ? scratch_take() : NULL;
    return count > PIECES_FEW ? (struct iovec *)(void *)pieces->many : pieces->few;
}

int pieces_copy(struct pieces *pieces, const struct iovec *iov, size_t count)
{
    struct iovec *copy = room_for(pieces, count);
    size_t left = PIECES_BYTES_MAX;
    pieces->iov = copy;
    pieces->count = count;
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const size_t len = __atomic_load_n(&iov[i].iov_len, __ATOMIC_RELAXED);
        if (len > SSIZE_MAX)
            return -EINVAL;
        copy[i] = (struct iovec){iov[i].iov_base, len < left ? len : left};
        left -= copy[i].iov_len;
    }
    return 0;
}

void pieces_end(struct pieces *pieces)
{
    scratch_give(pieces->many);
}
