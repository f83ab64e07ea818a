/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/chunks.h"

#include <string.h>

enum {
    PIECE_ROOM = ARENA_CHUNK_SIZE - (int)sizeof(struct chunk_head),
    /* No list of a sound connection is longer: what waits for keys, and as much from signal handlers. */
    PIECES_MAX = 256,
};

static struct chunk_head *piece_of(const void *slot, arena_ref chunk)
{
    return (struct chunk_head *)(void *)arena_chunk(slot, chunk);
}

/* What a chunk's head says, read once and checked: another process that shares the connection may write to
 * it. A piece that cannot be counts as an empty one. */
static struct chunk_head head_of(const void *slot, arena_ref chunk)
{
    const struct chunk_head *piece = piece_of(slot, chunk);
    struct chunk_head head = {.next = __atomic_load_n(&piece->next, __ATOMIC_RELAXED),
                              .off = __atomic_load_n(&piece->off, __ATOMIC_RELAXED),
                              .len = __atomic_load_n(&piece->len, __ATOMIC_RELAXED)};
    if (head.off > PIECE_ROOM || head.len > PIECE_ROOM - head.off)
        head.off = head.len = 0;
    return head;
}

static uint8_t *bytes_of(const void *slot, arena_ref chunk, const struct chunk_head *head)
{
    return (uint8_t *)(piece_of(slot, chunk) + 1) + head->off;
}

/* Wipes what a piece holds or has held. */
static void wipe(const void *slot, arena_ref chunk, const struct chunk_head *head)
{
    explicit_bzero(piece_of(slot, chunk) + 1, head->off + head->len);
}

void chunks_adopt(void *slot, struct chunk_list *list, arena_ref chunk, uint32_t off, uint32_t len)
{
    *piece_of(slot, chunk) = (struct chunk_head){.off = off, .len = len};
    if (list->last)
        piece_of(slot, list->last)->next = chunk;
    else
        list->first = chunk;
    list->last = chunk;
    list->total += len;
}

static bool add_piece(void *slot, struct chunk_list *list)
{
    arena_ref chunk = arena_chunk_take(slot);
    if (chunk)
        chunks_adopt(slot, list, chunk, 0, 0);
    return chunk != 0;
}

size_t chunks_append(void *slot, struct chunk_list *list, const uint8_t *data, size_t len, size_t limit)
{
    size_t done = 0;
    const uint32_t total = __atomic_load_n(&list->total, __ATOMIC_RELAXED);
    if (total >= limit)
        return 0;
    if (len > limit - total)
        len = limit - total;
    while (done < len) {
        const arena_ref last = list->last;
        const struct chunk_head head = last ? head_of(slot, last) : (struct chunk_head){.len = PIECE_ROOM};
        const size_t room = PIECE_ROOM - head.off - head.len;
        if (room == 0) {
            if (!add_piece(slot, list))
                break;
            continue;
        }
        size_t part = len - done < room ? len - done : room;
        memcpy(bytes_of(slot, last, &head) + head.len, data + done, part);
        piece_of(slot, last)->len = head.len + (uint32_t)part;
        list->total += (uint32_t)part;
        done += part;
    }
    return done;
}

uint8_t *chunks_head(const void *slot, const struct chunk_list *list, size_t *len)
{
    const arena_ref first = list->first;
    *len = 0;
    if (!first)
        return NULL;
    const struct chunk_head head = head_of(slot, first);
    *len = head.len;
    return bytes_of(slot, first, &head);
}

void chunks_drop(void *slot, struct chunk_list *list, size_t len)
{
    uint32_t total = __atomic_load_n(&list->total, __ATOMIC_RELAXED);
    arena_ref first = list->first;
    for (int i = 0; first && len > 0 && i < PIECES_MAX; i++) {
        struct chunk_head head = head_of(slot, first), *piece = piece_of(slot, first);
        uint32_t part = len < head.len ? (uint32_t)len : head.len;
        total -= part < total ? part : total;
        len -= part;
        piece->off = head.off + part;
        piece->len = head.len - part;
        if (part < head.len)
            break;
        wipe(slot, first, &head);
        arena_chunk_give(slot, first);
        first = head.next;
    }
    list->first = first;
    list->total = total;
    if (!first)
        list->last = 0;
}

int chunks_view(const void *slot, const struct chunk_list *list, size_t len, struct iovec *iov, int max)
{
    int count = 0;
    for (arena_ref chunk = list->first; chunk && len > 0 && count < max;) {
        const struct chunk_head head = head_of(slot, chunk);
        size_t part = head.len < len ? head.len : len;
        iov[count++] = (struct iovec){bytes_of(slot, chunk, &head), part};
        len -= part;
        chunk = head.next;
    }
    return count;
}

size_t chunks_copy(const void *slot, const struct chunk_list *list, size_t skip, uint8_t *out, size_t len)
{
    size_t done = 0;
    arena_ref chunk = list->first;
    for (int i = 0; chunk && done < len && i < PIECES_MAX; i++) {
        const struct chunk_head head = head_of(slot, chunk);
        const size_t over = skip < head.len ? skip : head.len;
        size_t part = head.len - over;
        if (part > len - done)
            part = len - done;
        memcpy(out + done, bytes_of(slot, chunk, &head) + over, part);
        done += part;
        skip -= over;
        chunk = head.next;
    }
    return done;
}

bool chunks_map(const void *slot, const struct chunk_list *list)
{
    arena_ref chunk = list->first;
    for (int i = 0; chunk && i < PIECES_MAX; i++) {
        if (!arena_chunk_map(slot, chunk))
            return false;
        chunk = head_of(slot, chunk).next;
    }
    return true;
}

void chunks_free(void *slot, struct chunk_list *list)
{
    arena_ref chunk = list->first;
    for (int i = 0; chunk && i < PIECES_MAX && arena_chunk_map(slot, chunk); i++) {
        const struct chunk_head head = head_of(slot, chunk);
        wipe(slot, chunk, &head);
        arena_chunk_give(slot, chunk);
        chunk = head.next;
    }
    *list = (struct chunk_list){0};
}
