/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/chunks.h"

#include <string.h>

enum { PIECE_ROOM = ARENA_CHUNK_SIZE - (int)sizeof(struct chunk_head) };

static struct chunk_head *piece_of(const void *slot, arena_ref chunk)
{
    return (struct chunk_head *)(void *)arena_chunk(slot, chunk);
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
    if (list->total >= limit)
        return 0;
    if (len > limit - list->total)
        len = limit - list->total;
    while (done < len) {
        struct chunk_head *piece = list->last ? piece_of(slot, list->last) : NULL;
        size_t room = piece ? PIECE_ROOM - piece->off - piece->len : 0;
        if (room == 0) {
            if (!add_piece(slot, list))
                break;
            continue;
        }
        size_t part = len - done < room ? len - done : room;
        memcpy((uint8_t *)(piece + 1) + piece->off + piece->len, data + done, part);
        piece->len += (uint32_t)part;
        list->total += (uint32_t)part;
        done += part;
    }
    return done;
}

uint8_t *chunks_head(const void *slot, const struct chunk_list *list, size_t *len)
{
    if (!list->first) {
        *len = 0;
        return NULL;
    }
    struct chunk_head *piece = piece_of(slot, list->first);
    *len = piece->len;
    return (uint8_t *)(piece + 1) + piece->off;
}

void chunks_drop(void *slot, struct chunk_list *list, size_t len)
{
    while (list->first && len > 0) {
        struct chunk_head *piece = piece_of(slot, list->first);
        uint32_t part = len < piece->len ? (uint32_t)len : piece->len;
        piece->off += part;
        piece->len -= part;
        list->total -= part;
        len -= part;
        if (piece->len == 0) {
            arena_ref next = piece->next;
            arena_chunk_give(slot, list->first);
            list->first = next;
            if (!next)
                list->last = 0;
        }
    }
}

int chunks_view(const void *slot, const struct chunk_list *list, size_t len, struct iovec *iov, int max)
{
    int count = 0;
    for (arena_ref chunk = list->first; chunk && len > 0 && count < max;
         chunk = piece_of(slot, chunk)->next) {
        struct chunk_head *piece = piece_of(slot, chunk);
        size_t part = piece->len < len ? piece->len : len;
        iov[count++] = (struct iovec){(uint8_t *)(piece + 1) + piece->off, part};
        len -= part;
    }
    return count;
}

size_t chunks_copy(const void *slot, const struct chunk_list *list, size_t skip, uint8_t *out, size_t len)
{
    size_t done = 0;
    for (arena_ref chunk = list->first; chunk && done < len; chunk = piece_of(slot, chunk)->next) {
        const struct chunk_head *piece = piece_of(slot, chunk);
        if (skip >= piece->len) {
            skip -= piece->len;
            continue;
        }
        size_t part = piece->len - skip;
        if (part > len - done)
            part = len - done;
        memcpy(out + done, (const uint8_t *)(piece + 1) + piece->off + skip, part);
        done += part;
        skip = 0;
    }
    return done;
}

bool chunks_map(const void *slot, const struct chunk_list *list)
{
    for (arena_ref chunk = list->first; chunk; chunk = piece_of(slot, chunk)->next) {
        if (!arena_chunk_map(slot, chunk))
            return false;
    }
    return true;
}

void chunks_free(void *slot, struct chunk_list *list)
{
    for (arena_ref chunk = list->first, next; chunk && arena_chunk_map(slot, chunk); chunk = next) {
        next = piece_of(slot, chunk)->next;
        arena_chunk_give(slot, chunk);
    }
    *list = (struct chunk_list){0};
}
