/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PAGES_H
#define SOCKSEAL_PAGES_H

/* Pages have 4, 16 or 64 KiB: what is a whole number of small ones may share a large one with its neighbours.
 */

#include <stddef.h>
#include <stdint.h>

struct pages {
    uint8_t *start;
    size_t len; /* bytes; 0: no page lies within */
};

/* The pages of `page` bytes, a power of two, that lie within `len` bytes as a whole. madvise(2) itself would
 * round the end up. */
static inline struct pages pages_within(uint8_t *bytes, size_t len, size_t page)
{
    const size_t before = (size_t)(-(uintptr_t)bytes & (page - 1));
    return before > len ? (struct pages){bytes, 0}
                        : (struct pages){bytes + before, (len - before) & ~(page - 1)};
}

#endif
