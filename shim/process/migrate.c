/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/migrate.h"

#include <errno.h>
#include <string.h>

#include "sys/net.h"

enum {
    PIECES_MAX = 64, /* of a list: the queue's bound, and a few */
    TRIES = 1000,    /* for a role, which is held for microseconds */
};

/* Copies a list of pieces from the other arena to the end of ours, which is empty. */
static bool copy_list(const struct arena_view *view, const struct chunk_list *from, struct chunk_list *to)
{
    arena_ref at = from->first;
    *to = (struct chunk_list){0};
    for (int i = 0; at && i < PIECES_MAX; i++) {
        const struct chunk_head *piece = (const struct chunk_head *)(const void *)arena_view_chunk(view, at);
        if (!piece || piece->off > ARENA_CHUNK_SIZE ||
            piece->len > ARENA_CHUNK_SIZE - sizeof *piece - piece->off)
            return false;
        const uint8_t *data = (const uint8_t *)(piece + 1) + piece->off;
        if (chunks_append(to, data, piece->len, SIZE_MAX) != piece->len)
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

/* All that a connection is, but for who holds it. False: what was copied so far is `to`'s to give back. */
static bool copy_state(const struct arena_view *view, const struct conn *from, struct conn *to)
{
    to->status = from->status;
    to->rx = from->rx;
    to->tx = from->tx;
    to->local = from->local;
    to->peer = from->peer;
    to->session = from->session;
    to->key_tag = from->key_tag;
    to->rx.chunk = to->tx.chunk = to->handshake = 0;
    to->rx.queue = to->tx.queue = to->tx.deferred = (struct chunk_list){0};
    return copy_chunk(view, from->rx.chunk, &to->rx.chunk) &&
           copy_chunk(view, from->tx.chunk, &to->tx.chunk) &&
           copy_chunk(view, from->handshake, &to->handshake) &&
           copy_list(view, &from->rx.queue, &to->rx.queue) && copy_list(view, &from->tx.queue, &to->tx.queue);
}

static void give_list(const struct arena_view *view, struct chunk_list *list)
{
    arena_ref at = list->first;
    for (int i = 0; at && i < PIECES_MAX; i++) {
        const struct chunk_head *piece = (const struct chunk_head *)(const void *)arena_view_chunk(view, at);
        arena_ref next = piece ? piece->next : 0;
        arena_view_chunk_give(view, at);
        at = next;
    }
    *list = (struct chunk_list){0};
}

/* conn_empty() in the other arena. */
static void empty(const struct arena_view *view, struct conn *theirs)
{
    uint8_t *handshake = arena_view_chunk(view, theirs->handshake);
    if (handshake)
        tls_handshake_wipe((struct tls_handshake *)(void *)handshake);
    arena_view_chunk_give(view, theirs->handshake);
    arena_view_chunk_give(view, theirs->rx.chunk);
    arena_view_chunk_give(view, theirs->tx.chunk);
    theirs->handshake = theirs->rx.chunk = theirs->tx.chunk = 0;
    give_list(view, &theirs->rx.queue);
    give_list(view, &theirs->tx.queue);
    give_list(view, &theirs->tx.deferred);
    tls_session_wipe(&theirs->session);
}

/* Of a connection that has been emptied: its processes find one that has failed, and with which nothing is
 * left to be done. */
static void become_stub(struct conn *conn)
{
    conn->rx = (struct conn_rx){0};
    conn->tx = (struct conn_tx){.close_sent = 1};
    atomic_store(&conn->status.close_pending, 0);
    atomic_store(&conn->status.error, 0);
    conn_fail(conn, ENOTCONN);
    conn_enter(conn, CONN_MIGRATED);
}

static void release_both(struct conn *conn)
{
    lock_release(&conn->tx_lock);
    lock_release(&conn->rx_lock);
}

static bool try_both(struct conn *conn)
{
    if (!lock_try(&conn->rx_lock))
        return false;
    if (lock_try(&conn->tx_lock))
        return true;
    lock_release(&conn->rx_lock);
    return false;
}

/* In a new slot a thread that looked up its earlier life may hold one for a moment. */
static bool try_long(struct conn *conn)
{
    for (int i = 0; i < TRIES; i++) {
        if (try_both(conn))
            return true;
        sys_call3(SYS_sched_yield, 0, 0, 0);
    }
    return false;
}

/* A slot of ours, counted for the message, with both roles held: the stub, or a new one. A shell that nobody
 * holds any more is about to be given back. */
static struct conn *take_slot(struct conn *stub)
{
    if (stub && atomic_fetch_add(&stub->holders.count, 1) > 0 && try_long(stub))
        return stub;
    if (stub)
        atomic_fetch_sub(&stub->holders.count, 1);
    struct conn *conn = conn_take_slot();
    if (conn && !try_long(conn)) {
        arena_slot_give(conn->slot);
        return NULL;
    }
    if (conn)
        atomic_store(&conn->holders.count, 1);
    return conn;
}

static struct conn *copy_held(const struct arena_view *view, struct conn *theirs, struct conn *stub)
{
    const bool whole = !theirs->tx.deferred.total && !theirs->holders.close_after_exec &&
                       conn_phase(theirs) != CONN_MIGRATED;
    struct conn *ours = whole ? take_slot(stub) : NULL;
    if (!ours)
        return NULL;
    const bool copied = copy_state(view, theirs, ours);
    if (copied) {
        empty(view, theirs);
        become_stub(theirs);
    } else {
        conn_empty(ours);
        become_stub(ours);
        atomic_store(&ours->holders.unreferenced, atomic_fetch_sub(&ours->holders.count, 1) == 1);
    }
    release_both(ours);
    conn_reap(ours);
    return copied ? ours : NULL;
}

/* Waits while somebody computes with it; false if he is in the kernel with it, which may take any time. If he
 * has died there, no other process of the sender's tree will be told: what a dead sender has sealed must not
 * be sealed again. */
static bool take(struct conn *theirs, struct lock *role)
{
    enum lock_result taken = lock_take(role);
    if (taken == LOCK_OWNER_DIED || (taken == LOCK_RECOVERED && role == &theirs->tx_lock)) {
        conn_fail(theirs, EIO);
        lock_release(role);
        return false;
    }
    return taken == LOCK_TAKEN || taken == LOCK_RECOVERED;
}

/* Both roles. Where a thread id tells nothing, nobody can be taken for dead, or for oneself. */
static bool take_both(const struct arena_view *view, struct conn *theirs)
{
    if (!arena_view_same_namespace(view))
        return try_long(theirs);
    if (!take(theirs, &theirs->rx_lock))
        return false;
    if (take(theirs, &theirs->tx_lock))
        return true;
    lock_release(&theirs->rx_lock);
    return false;
}

static struct conn *move(const struct arena_view *view, struct conn *theirs, struct conn *stub)
{
    if (!take_both(view, theirs))
        return NULL;
    struct conn *ours = copy_held(view, theirs, stub);
    release_both(theirs);
    return ours;
}

/* A message is not on its way any more. If the sender has closed it meanwhile, nobody there gives the slot
 * back; unless somebody works with it still, who does so when he is done. */
static void count_out(const struct arena_view *view, arena_ref slot)
{
    struct conn *theirs = arena_view_slot(view, slot);
    if (!theirs || atomic_fetch_sub(&theirs->holders.count, 1) != 1)
        return;
    atomic_store(&theirs->holders.unreferenced, 1);
    if (!try_both(theirs))
        return;
    empty(view, theirs);
    release_both(theirs);
    if (conn_retire(theirs))
        arena_view_slot_give(view, slot);
}

struct conn *migrate_in(int arena, uint64_t cookie, struct conn *here, bool peek)
{
    struct arena_view view;
    struct conn *ours = NULL;
    if (!arena_view_open(&view, arena, conn_layout()))
        return NULL;
    arena_ref slot = arena_view_find(&view, cookie);
    struct conn *theirs = arena_view_slot(&view, slot);
    if (theirs && conn_phase(theirs) != CONN_MIGRATED) {
        ours = move(&view, theirs, here);
        if (ours || !peek)
            count_out(&view, slot);
    }
    arena_view_close(&view);
    return ours;
}

void migrate_arrived(int arena, uint64_t cookie)
{
    struct arena_view view;
    if (!arena_view_open(&view, arena, conn_layout()))
        return;
    arena_ref slot = arena_view_find(&view, cookie);
    if (slot)
        count_out(&view, slot);
    arena_view_close(&view);
}
