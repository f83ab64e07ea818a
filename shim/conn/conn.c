/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/conn.h"

#include <stdatomic.h>
#include <string.h>

#include "config/config.h"
#include "conn/own.h"
#include "diag/log.h"
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
    if (!arena_open(conn_layout()))
        return false;
    int fd = arena_take_descriptor();
    if (fd >= 0)
        own_keep(OWN_ARENA, fd);
    return true;
}

bool conn_attach_arena(int fd)
{
    if (arena_attach(fd, conn_layout()))
        return own_keep(OWN_ARENA, fd) >= 0;
    sys_close(fd);
    return false;
}

static void report_no_memory(void)
{
    static _Atomic bool told;
    if (!atomic_exchange(&told, true))
        log_line(LOG_ERROR,
                 "no connection can be sealed: the kernel refuses the address space for it; check the "
                 "limit on this process's (RLIMIT_AS, ulimit -v), 3 GiB are needed, most of which is "
                 "never used");
}

struct conn *conn_new(enum tls_role role, bool connecting)
{
    if (!conn_open_arena()) {
        report_no_memory();
        return NULL;
    }
    arena_ref slot = arena_slot_take();
    arena_ref handshake = slot ? arena_chunk_take() : 0;
    if (!handshake) {
        if (slot)
            arena_slot_give(slot);
        return NULL;
    }
    struct conn *conn = arena_slot(slot);
    conn->handshake = handshake;
    conn->session.role = (uint8_t)role;
    atomic_store(&conn->connecting, connecting);
    conn->deadline_ms = net_now_ms() + config_get()->handshake_timeout_ms;
    return conn;
}

void conn_empty(struct conn *conn)
{
    conn_bytes_drop(&conn->inbox, SIZE_MAX);
    conn_bytes_drop(&conn->queue, SIZE_MAX);
    conn_bytes_drop(&conn->deferred, SIZE_MAX);
    arena_chunk_give(conn->rx_chunk);
    arena_chunk_give(conn->tx_chunk);
    if (conn->handshake) {
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
        arena_slot_give((arena_ref)(((uint8_t *)conn - (uint8_t *)arena_slot(0)) / ARENA_SLOT_SIZE));
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
