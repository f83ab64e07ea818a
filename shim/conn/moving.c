/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/moving.h"

#include <errno.h>
#include <string.h>

enum { PIECES_MAX = 64 }; /* of a list: the queue's bound, and a few */

/* Copies a list of pieces from the other arena to the end of ours, which is empty. */
static bool copy_list(const struct arena_view *view, const struct conn_bytes *from, struct conn_bytes *to)
{
    arena_ref at = from->first;
    *to = (struct conn_bytes){0};
    for (int i = 0; at && i < PIECES_MAX; i++) {
        const struct conn_piece *piece = (const struct conn_piece *)(const void *)arena_view_chunk(view, at);
        if (!piece || piece->off > ARENA_CHUNK_SIZE ||
            piece->len > ARENA_CHUNK_SIZE - sizeof *piece - piece->off)
            return false;
        const uint8_t *data = (const uint8_t *)(piece + 1) + piece->off;
        if (conn_bytes_append(to, data, piece->len, SIZE_MAX) != piece->len)
            return false;
        at = piece->next;
    }
    return at == 0 && to->total == from->total;
}

static bool copy_chunk(const struct arena_view *view, arena_ref from, arena_ref *to)
{
    const uint8_t *data = from ? arena_view_chunk(view, from) : NULL;
    *to = 0;
    if (!from)
        return true;
    if (!data || !(*to = arena_chunk_take()))
        return false;
    memcpy(arena_chunk(*to), data, ARENA_CHUNK_SIZE);
    return true;
}

/* All that a connection is, but for who holds it. False: what was copied so far is ours to give back. */
static bool copy_state(const struct arena_view *view, const struct conn *from, struct conn *to)
{
    const size_t kept = offsetof(struct conn, unheld);
    memcpy((uint8_t *)to + kept, (const uint8_t *)from + kept, sizeof *to - kept);
    to->rx_chunk = to->tx_chunk = to->handshake = 0;
    to->inbox = to->queue = to->deferred = (struct conn_bytes){0};
    return copy_chunk(view, from->rx_chunk, &to->rx_chunk) &&
           copy_chunk(view, from->tx_chunk, &to->tx_chunk) &&
           copy_chunk(view, from->handshake, &to->handshake) && copy_list(view, &from->inbox, &to->inbox) &&
           copy_list(view, &from->queue, &to->queue);
}

/* The sender's processes find a connection that has failed. Its buffers are his to give back. */
static void leave_shell(struct conn *theirs)
{
    tls_session_wipe(&theirs->session);
    theirs->established = 1;
    atomic_store(&theirs->to_send, 0);
    atomic_store(&theirs->error, ENOTCONN);
}

static struct conn *copy_held(const struct arena_view *view, struct conn *theirs)
{
    arena_ref slot = theirs->deferred.total || theirs->doomed ? 0 : arena_slot_take();
    if (!slot)
        return NULL;
    struct conn *ours = arena_slot(slot);
    if (copy_state(view, theirs, ours)) {
        leave_shell(theirs);
        return ours;
    }
    atomic_store(&ours->unheld, 1);
    conn_reap(ours);
    return NULL;
}

/* Waits while somebody computes with it; false if he is in the kernel with it, which may take any time. If he
 * has died there, no other process of the sender's tree will be told: what a dead sender has sealed must not
 * be sealed again. */
static bool take(struct conn *theirs, struct role *role)
{
    enum role_result taken = role_take(role);
    if (taken == ROLE_ABANDONED || (taken == ROLE_RESUMED && role == &theirs->tx)) {
        atomic_store(&theirs->error, EIO);
        role_release(role);
        return false;
    }
    return taken == ROLE_TAKEN || taken == ROLE_RESUMED;
}

static struct conn *move(const struct arena_view *view, struct conn *theirs)
{
    struct conn *ours = NULL;
    if (!take(theirs, &theirs->rx))
        return NULL;
    if (take(theirs, &theirs->tx)) {
        ours = copy_held(view, theirs);
        role_release(&theirs->tx);
    }
    role_release(&theirs->rx);
    return ours;
}

struct conn *moving_in(int arena, uint64_t cookie)
{
    struct arena_view view;
    if (!arena_view_open(&view, arena, conn_layout()))
        return NULL;
    struct conn *theirs = arena_view_slot(&view, arena_view_find(&view, cookie)), *ours = NULL;
    if (theirs && (ours = move(&view, theirs)))
        atomic_fetch_sub(&theirs->holders, 1); /* the message that was on its way */
    arena_view_close(&view);
    return ours;
}
