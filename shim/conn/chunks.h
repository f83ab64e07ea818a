/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CHUNKS_H
#define SOCKSEAL_CHUNKS_H

/*
 * Queues of bytes that wait in chunks of the arena: decrypted bytes that the program has not read, or bytes
 * that the program wrote before keys were installed. Every chunk of a list that is used must be mapped in
 * this process (chunks_map()). The functions get the connection's slot, whose chunks these are.
 *
 * Another process that shares the connection may write to a list and its chunks. So `off` and `len` of a
 * chunk are read once and checked, and no walk along a list is endless. A caller of chunks_head() must expect
 * a length of 0 though `total` is not 0: the list is damaged (error_damaged()).
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shm/arena.h"

struct chunk_list {
    arena_ref first, last; /* 0: the list is empty */
    uint32_t total;        /* bytes in all chunks */
};

/* The start of a chunk in such a list; its bytes start `off` bytes behind this head. */
struct chunk_head {
    arena_ref next;
    uint32_t off, len;
};

/* Appends a whole chunk, which belongs to the list from then on. It holds `len` bytes, `off` bytes behind its
 * struct chunk_head. */
void chunks_adopt(void *slot, struct chunk_list *list, arena_ref chunk, uint32_t off, uint32_t len);

/* Appends a copy of `data`, as far as the list's total stays within `limit` and chunks are left. Gives how
 * many bytes were appended. */
size_t chunks_append(void *slot, struct chunk_list *list, const uint8_t *data, size_t len, size_t limit);

/* The bytes at the list's head that lie in one piece; *len is 0 if the list is empty. */
uint8_t *chunks_head(const void *slot, const struct chunk_list *list, size_t *len);

/* Drops `len` bytes from the list's head, or all if there are fewer. Chunks without bytes are wiped and
 * given back. */
void chunks_drop(void *slot, struct chunk_list *list, size_t len);

/* Points up to `max` elements of `iov` at the first `len` bytes of the list. Gives how many are used. */
int chunks_view(const void *slot, const struct chunk_list *list, size_t len, struct iovec *iov, int max);

/* Copies up to `len` bytes, from `skip` bytes behind the head on, without dropping them. Gives how many. */
size_t chunks_copy(const void *slot, const struct chunk_list *list, size_t skip, uint8_t *out, size_t len);

/* Maps every chunk of the list in this process. False if the kernel refuses. */
bool chunks_map(const void *slot, const struct chunk_list *list);

/* Empties the list, wipes its chunks and gives them back. If the kernel refuses to map one, it and the rest
 * of the list are lost until the connection ends. */
void chunks_free(void *slot, struct chunk_list *list);

#endif
