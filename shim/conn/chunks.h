/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CHUNKS_H
#define SOCKSEAL_CHUNKS_H

/* Lists of bytes that wait in chunks of the arena. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shm/arena.h"

/* Opened plaintext that the program has not read, or plaintext that waits to be sealed: a list of chunks. */
struct chunk_list {
    arena_ref first, last;
    uint32_t total;
};

/* The head of a chunk in such a list; the bytes start `off` bytes behind it. */
struct chunk_head {
    arena_ref next;
    uint32_t off, len;
};

/* Makes a chunk that holds `len` bytes at `off` behind its struct chunk_head the list's tail. */
void chunks_adopt(struct chunk_list *list, arena_ref chunk, uint32_t off, uint32_t len);

/* Appends to a list of chunks as much as fits `limit` bytes in all; gives how many bytes were appended. */
size_t chunks_append(struct chunk_list *list, const uint8_t *data, size_t len, size_t limit);

/* The bytes at the list's head that lie in one piece. */
uint8_t *chunks_head(const struct chunk_list *list, size_t *len);

/* Drops bytes from the list's head. */
void chunks_drop(struct chunk_list *list, size_t len);

/* Points `iov` at the first `len` bytes of the list, as far as `max` pieces go; gives how many are used. */
int chunks_view(const struct chunk_list *list, size_t len, struct iovec *iov, int max);

/* Copies up to `len` bytes from `skip` bytes behind the head without dropping them; gives how many. */
size_t chunks_copy(const struct chunk_list *list, size_t skip, uint8_t *out, size_t len);

/* Maps every chunk of the list in this process. False if the kernel refuses. */
bool chunks_map(const struct chunk_list *list);

/* Gives all chunks back. What cannot be mapped, and so the rest of the list, is lost until the process tree
 * ends. */
void chunks_free(struct chunk_list *list);

#endif
