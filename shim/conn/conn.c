/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/conn.h"

#include <stdatomic.h>
#include <string.h>

#include "config/config.h"
#include "sys/net.h"

enum { PIECE_ROOM = ARENA_CHUNK_SIZE - (int)sizeof(struct conn_piece) };

static struct conn_piece *piece_of(arena_ref chunk)
{
    return (struct conn_piece *)(void *)arena_chunk(chunk);
}

void conn_bytes_adopt(struct conn_bytes *list, arena_ref chunk, uint32_t off, uint32_t len)
{
    *piece_of(chunk) = (struct conn_piece){.off = off, .len = len};
    if (list->last)
        piece_of(list->last)->next = chunk;
    else
        list->first = chunk;
    list->last = chunk;
    list->total += len;
}

static bool add_piece(struct conn_bytes *list)
{
    arena_ref chunk = arena_chunk_take();
    if (chunk)
        conn_bytes_adopt(list, chunk, 0, 0);
    return chunk != 0;
}

size_t conn_bytes_append(struct conn_bytes *list, const uint8_t *data, size_t len, size_t limit)
{
    size_t done = 0;
    if (list->total >= limit)
        return 0;
    if (len > limit - list->total)
        len = limit - list->total;
    while (done < len) {
        struct conn_piece *piece = list->last ? piece_of(list->last) : NULL;
        size_t room = piece ? PIECE_ROOM - piece->off - piece->len : 0;
        if (room == 0) {
            if (!add_piece(list))
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

uint8_t *conn_bytes_head(const struct conn_bytes *list, size_t *len)
{
    if (!list->first) {
        *len = 0;
        return NULL;
    }
    struct conn_piece *piece = piece_of(list->first);
    *len = piece->len;
    return (uint8_t *)(piece + 1) + piece->off;
}

void conn_bytes_drop(struct conn_bytes *list, size_t len)
{
    while (list->first && len > 0) {
        struct conn_piece *piece = piece_of(list->first);
        uint32_t part = len < piece->len ? (uint32_t)len : piece->len;
        piece->off += part;
        piece->len -= part;
        list->total -= part;
        len -= part;
        if (piece->len == 0) {
            arena_ref next = piece->next;
            arena_chunk_give(list->first);
            list->first = next;
            if (!next)
                list->last = 0;
        }
    }
}

int conn_bytes_view(const struct conn_bytes *list, size_t len, struct iovec *iov, int max)
{
    int count = 0;
    for (arena_ref chunk = list->first; chunk && len > 0 && count < max; chunk = piece_of(chunk)->next) {
        struct conn_piece *piece = piece_of(chunk);
        size_t part = piece->len < len ? piece->len : len;
        iov[count++] = (struct iovec){(uint8_t *)(piece + 1) + piece->off, part};
        len -= part;
    }
    return count;
}

size_t conn_bytes_copy(const struct conn_bytes *list, size_t skip, uint8_t *out, size_t len)
{
    size_t done = 0;
    for (arena_ref chunk = list->first; chunk && done < len; chunk = piece_of(chunk)->next) {
        const struct conn_piece *piece = piece_of(chunk);
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

uint32_t conn_layout(void)
{
    return (uint32_t)(sizeof(struct conn) << 16 | offsetof(struct conn, session));
}

bool conn_open_arena(void)
{
    return arena_open(conn_layout());
}

bool conn_attach_arena(int fd)
{
    return arena_attach(fd, conn_layout());
}

struct conn *conn_take_slot(void)
{
    arena_ref slot = arena_slot_take();
    struct conn *conn = arena_slot_reach(slot);
    if (conn)
        conn->slot = slot;
    return conn;
}

struct conn *conn_new(enum tls_role role, bool connecting)
{
    struct conn *conn = conn_open_arena() ? conn_take_slot() : NULL;
    arena_ref handshake = conn ? arena_chunk_take() : 0;
    if (!handshake) {
        if (conn)
            arena_slot_give(conn->slot);
        return NULL;
    }
    conn->handshake = handshake;
    conn->session.role = (uint8_t)role;
    atomic_store(&conn->connecting, connecting);
    conn->deadline_ms = net_now_ms() + config_get()->handshake_timeout_ms;
    return conn;
}

static bool reach_list(const struct conn_bytes *list)
{
    for (arena_ref chunk = list->first; chunk; chunk = piece_of(chunk)->next) {
        if (!arena_chunk_reach(chunk))
            return false;
    }
    return true;
}

static bool reach_one(arena_ref chunk)
{
    return !chunk || arena_chunk_reach(chunk);
}

bool conn_reach_rx(struct conn *conn)
{
    return reach_one(conn->rx_chunk) && reach_one(conn->handshake) && reach_list(&conn->inbox);
}

bool conn_reach_tx(struct conn *conn)
{
    return reach_one(conn->tx_chunk) && reach_list(&conn->queue) && reach_list(&conn->deferred);
}

/* Of a list that cannot be reached the rest is lost, until the tree ends; and of a handshake the chunk, for
 * its secrets. */
static void give_list(struct conn_bytes *list)
{
    for (arena_ref chunk = list->first, next; chunk && arena_chunk_reach(chunk); chunk = next) {
        next = piece_of(chunk)->next;
        arena_chunk_give(chunk);
    }
    *list = (struct conn_bytes){0};
}

void conn_empty(struct conn *conn)
{
    give_list(&conn->inbox);
    give_list(&conn->queue);
    give_list(&conn->deferred);
    arena_chunk_give(conn->rx_chunk);
    arena_chunk_give(conn->tx_chunk);
    if (arena_chunk_reach(conn->handshake)) {
        tls_handshake_wipe((struct tls_handshake *)(void *)arena_chunk(conn->handshake));
        arena_chunk_give(conn->handshake);
    }
    conn->rx_chunk = conn->tx_chunk = conn->handshake = 0;
    tls_session_wipe(&conn->session);
}

bool conn_retire(struct conn *conn)
{
    if (!atomic_load(&conn->unheld) || !role_try(&conn->rx))
        return false;
    if (!role_try(&conn->tx)) {
        role_release(&conn->rx);
        return false;
    }
    bool ours = atomic_load(&conn->unheld);
    if (ours) {
        /* From here on a thread that looked the connection up before sees that it is another one; who pinned
         * it before reaps. */
        atomic_fetch_add(&conn->generation, 1);
        ours = atomic_load(&conn->pins) == 0;
    }
    if (ours) {
        conn_empty(conn);
        atomic_store(&conn->unheld, 0);
    }
    role_release(&conn->tx);
    role_release(&conn->rx);
    return ours;
}

void conn_reap(struct conn *conn)
{
    if (conn_retire(conn))
        arena_slot_give(conn->slot);
}

bool conn_pin(struct conn *conn, uint32_t generation)
{
    atomic_fetch_add(&conn->pins, 1);
    if (atomic_load(&conn->generation) == generation)
        return true;
    conn_unpin(conn);
    return false;
}

void conn_unpin(struct conn *conn)
{
    if (atomic_fetch_sub(&conn->pins, 1) == 1 && atomic_load(&conn->unheld))
        conn_reap(conn);
}

enum role_result conn_take_rx(struct conn *conn)
{
    bool parked;
    if (!role_mine(&conn->tx, &parked) || parked)
        return role_take(&conn->rx);
    return role_try(&conn->rx) ? ROLE_TAKEN : ROLE_REENTERED;
}
