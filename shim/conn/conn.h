/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONN_H
#define SOCKSEAL_CONN_H

/*
 * The connection of a sealed descriptor. There is one struct conn per TCP connection, in a slot (shm/arena.h)
 * that every process which holds the connection has mapped, and no other. It has four parts: who holds it,
 * where it is in its life (status), its receiving half and its sending half.
 *
 *   - What is in struct conn_rx belongs to the holder of rx_lock, what is in struct conn_tx to the holder of
 *     tx_lock. The handshake needs both, taken in this order: rx_lock, then tx_lock.
 *   - Atomics may be read by anyone. Before a lock is held they are hints.
 *   - A slot is given back by whoever finds, holding both locks, that no descriptor is left (conn_reap).
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn/address.h"
#include "conn/chunks.h"
#include "conn/lock.h"
#include "tls/tls.h"

enum {
    CONN_HOLDERS = 16,           /* processes that are told apart; further ones are only counted */
    CONN_QUEUE_MAX = 256 * 1024, /* plaintext bytes that wait for keys: they stand in for the send buffer */
    CONN_GRACE_MS = 400,         /* how long a blocking write, or an exit, waits for a handshake */
};

/* Where a connection is in its life. Each phase is entered once, from the one before it or from
 * CONN_HANDSHAKE; the last one is final. */
enum conn_phase {
    CONN_GONE,        /* the slot is free, or not this process's any more */
    CONN_CONNECTING,  /* TCP is not connected yet, as far as is known */
    CONN_HANDSHAKE,   /* keys are not installed in both directions */
    CONN_ESTABLISHED, /* the handshake is complete */
    CONN_PEER_CLOSED, /* the same, and the peer's close_notify was read */
    CONN_PLAINTEXT,   /* SOCKSEAL_PLAINTEXT=accept, and the peer does not seal: bytes pass unchanged */
};

/* What the sending side has to do before, or instead of, encrypting and sending. No bit set: the fast path.
 */
enum conn_tx_attention {
    TX_NOT_READY = 1,  /* no handshake is complete, or there are no sending keys */
    TX_QUEUED = 2,     /* bytes are to be sent first: in tx.chunk or in tx.queue */
    TX_PARTIAL = 4,    /* the kernel has a part of a record: record/tx_record.h */
    TX_KEY_UPDATE = 8, /* the peer asked for new keys */
    TX_PUSH = 16,      /* Finished was sent without data: Nagle's algorithm would delay what follows */
    TX_SHUT = 32,      /* shutdown(SHUT_WR), or the end of a close */
    TX_SO_ERROR = 64,  /* status.so_error is set */
    TX_FAILED = 128,   /* status.error is set */
};

/* The same for the receiving side. */
enum conn_rx_attention {
    RX_NOT_READY = 1, /* the phase is not CONN_ESTABLISHED */
    RX_BUFFERED = 2,  /* bytes or a record's beginning are left from an earlier call */
    RX_LOW_WATER = 4, /* the program has set SO_RCVLOWAT */
    RX_SO_ERROR = 8,  /* as above */
    RX_FAILED = 16,
};

struct conn_holders {
    _Atomic uint32_t count; /* processes that have a descriptor for it */
    _Atomic int32_t pid[CONN_HOLDERS];
    /* Processes of more than one PID namespace have it: ids tell nothing, and nobody is taken for dead. */
    _Atomic uint8_t mixed;
    /* Its last holder is in exec(2) and will not use it: the new program is to close it. */
    _Atomic uint8_t close_after_exec;
};

struct conn_status {
    _Atomic uint8_t phase;         /* enum conn_phase; written by the functions below */
    _Atomic uint8_t connects;      /* this side is the one that connects: to be read without a lock */
    _Atomic uint8_t read_shut;     /* shutdown(SHUT_RD) was called */
    _Atomic uint8_t lingers;       /* SO_LINGER was set, by any process that has it */
    _Atomic uint8_t close_pending; /* close_notify, and a FIN if TX_SHUT, are still to be sent (io/close.h) */
    _Atomic uint8_t error_told;    /* SO_ERROR has reported the failure */
    _Atomic uint8_t wait_told;     /* the log has told that the peer has not answered yet */
    _Atomic uint8_t peer_answered; /* something of its handshake has come */
    _Atomic int32_t error;         /* sticky: the errno that every read and write gives */
    /* An errno of the kernel's that the program has not seen yet. It is reported once. */
    _Atomic int32_t so_error;
    /* The next two are times of net_now_ms(). When to check an orphan again; 0: at the deadline. */
    _Atomic int64_t recheck_ms;
    /* When the handshake, or an orphan's work, must be over. For a side that connects and has no answer yet,
     * first the time at which the log is to tell that it still waits (record/handshake_timeout.h). */
    _Atomic int64_t deadline_ms;
    int64_t opened_us; /* for conn/status.h: on the same clock in microseconds */
};

struct conn_rx {
    _Atomic uint32_t attention; /* enum conn_rx_attention */
    arena_ref chunk;            /* the start of a record, taken out of the kernel while incomplete */
    uint32_t have;              /* bytes of it */
    struct chunk_list queue;    /* decrypted, and not read by the program yet */
    /* So many bytes at the head of the kernel's queue are decrypted already. At least one is left there while
     * `queue` has bytes, so that the kernel reports the descriptor readable: the readiness byte. */
    uint32_t decrypted;
    uint8_t byte_is_next;      /* the readiness byte is the next byte of the incomplete record in `chunk` */
    uint8_t bulk;              /* the last record was a full one, of data alone */
    uint8_t answered;          /* data has come */
    _Atomic int32_t low_water; /* SO_RCVLOWAT that the program set, 0: none */
    _Atomic uint32_t readable; /* copy of queue.total, to be read without the lock */
    int64_t since_ms; /* when the call began that goes on, for SO_RCVTIMEO; 0: it is at its beginning */
    uintptr_t frame;  /* where the stack of the blocked reader is (record/sysio.h) */
};

/* A record of which the kernel has taken the first part only: see record/tx_record.h. */
struct conn_partial {
    uint32_t size; /* content bytes that its header announces */
    uint32_t have; /* of these, bytes that are on the wire; their plaintext is in tx.chunk */
    uint32_t sent; /* bytes of the record that are on the wire */
};

/* What has become of a partial record: io/partial.h. */
enum partial_left { PARTIAL_CONTINUED, PARTIAL_SEEN, PARTIAL_LEFT, PARTIAL_ROOM, PARTIAL_DUE };

struct conn_tx {
    _Atomic uint32_t attention; /* enum conn_tx_attention */
    /* `len` bytes of ciphertext to be sent next, `off` bytes behind the chunk's start. With TX_PARTIAL: the
     * partial record's content so far. */
    arena_ref chunk;
    uint32_t off, len;
    struct conn_partial partial;  /* with TX_PARTIAL */
    int64_t partial_due_ms;       /* with PARTIAL_ROOM: when it is completed, a time of net_now_ms() */
    struct chunk_list queue;      /* plaintext accepted before keys were installed */
    struct chunk_list deferred;   /* from a signal handler that interrupted the writer; goes into the queue */
    _Atomic uint32_t to_send;     /* bytes in chunk and queue, to be read without the lock */
    _Atomic uint32_t cipher_left; /* copy of `len`, for the same */
    uint8_t deferring;            /* `deferred` is being changed */
    uint8_t close_sent;           /* close_notify is sent or is in `chunk` */
    uint8_t waited;               /* a blocking write has had its brief wait for keys */
    uint8_t sent_data;            /* a record of the program's data was sent */
    _Atomic uint8_t can_send;     /* sending keys are installed; copy of session.can_send */
    /* The ClientHello waits for the program's first call, or a moment: record/handshake.h. */
    _Atomic uint8_t holds_hello;
    /* A write was refused though the kernel had room: an EPOLLOUT edge must follow. */
    _Atomic uint8_t edge_pending;
    _Atomic uint8_t partial_left; /* enum partial_left, with TX_PARTIAL */
    int64_t since_ms;             /* the same for SO_SNDTIMEO */
    uintptr_t frame;              /* where the stack of the blocked writer is (record/sysio.h) */
};

struct conn {
    /* The first five outlive the connection, since a thread that looked up an earlier connection of the slot
     * may still touch them. */
    _Atomic uint32_t generation; /* which connection of the slot this is */
    _Atomic uint32_t pins;       /* threads that work on it without a descriptor of their own: conn_pin() */
    struct lock rx_lock, tx_lock;
    _Atomic uint32_t unreferenced; /* no descriptor is left: reap it */

    uint32_t space; /* PID namespace of the process that made it: self_space; 0: not known */
    struct conn_holders holders;
    /* For conn/status.h: how long the handshake took, or before its end, how long TCP took to connect. It
     * stands where `status` would leave a gap. */
    uint32_t handshake_us;
    struct conn_status status;
    struct conn_rx rx;
    struct conn_tx tx;

    /* Belongs to the holder of both locks. */
    arena_ref handshake; /* chunk with the struct tls_handshake, until established */
    struct address local, peer;
    int32_t
        kernel_low;   /* SO_RCVLOWAT that the kernel has, 0: 1; with rx_lock alone (record/rx_low_water.h) */
    uint64_t key_tag; /* keyring_tag() of its key, with SOCKSEAL_REMOVED_KEYS=close; 0: not known */
    struct tls_session session;
    struct tls_key_pair pair; /* of a side that connects, from its ClientHello to the peer's ServerHello */
};

_Static_assert(sizeof(struct conn) <= ARENA_SLOT_SIZE, "a connection fits its slot");
_Static_assert(offsetof(struct conn, space) == ARENA_SLOT_KEPT,
               "generation, pins and locks outlive the connection");
_Static_assert(sizeof(struct tls_handshake) <= ARENA_CHUNK_SIZE, "a handshake fits a chunk");

/* What is behind conn->handshake, which is not 0. */
static inline struct tls_handshake *conn_handshake(const struct conn *conn)
{
    return (struct tls_handshake *)(void *)arena_chunk(conn, conn->handshake);
}

/* Room for a record's start in rx.chunk. */
enum { CONN_RX_ROOM = ARENA_CHUNK_SIZE - (int)sizeof(struct chunk_head) };

/* How many bytes of a record are in rx.chunk: read once, and never more than it has room for, whatever
 * another process that shares the connection has written there. */
static inline size_t conn_rx_have(const struct conn *conn)
{
    const uint32_t have = __atomic_load_n(&conn->rx.have, __ATOMIC_RELAXED);
    return have <= CONN_RX_ROOM ? have : CONN_RX_ROOM;
}

/* Where a record is collected in rx.chunk: behind room for a struct chunk_head, so that the chunk can become
 * a part of rx.queue when the record is decrypted in place. */
static inline uint8_t *conn_rx_data(const struct conn *conn)
{
    return arena_chunk(conn, conn->rx.chunk) + sizeof(struct chunk_head);
}

/* A number that differs between builds that cannot read each other's slots. */
uint32_t conn_layout(void);

/* Makes a connection for a descriptor that is to be sealed. `connecting`: TCP is not connected yet. NULL if
 * the kernel refuses the memory. Its locks are free, but for a moment in which a thread may hold one that
 * looked up an earlier connection of the slot. */
struct conn *conn_new(enum tls_role role, bool connecting);

/* The same in a slot that is the caller's: reserve_claim(). 0: in a new one. */
struct conn *conn_new_in(arena_ref slot, enum tls_role role, bool connecting);

/* The connection in an area of another process's region (shm/region.h), whose socket has this cookie. NULL if
 * it cannot be mapped here. `keep`: region_import(). The caller has the table's lock (fdtable_lock()). */
struct conn *conn_import(int fd, uint32_t area, uint64_t cookie, bool keep);

/* Maps the chunks that belong to the holder of rx_lock or tx_lock, which the caller is. False if the kernel
 * refuses. */
bool conn_map_rx(struct conn *conn);
bool conn_map_tx(struct conn *conn);

/* Gives back all chunks of the connection and wipes its keys; both locks held. */
void conn_empty(struct conn *conn);

/* If no descriptor is left and no thread works with the connection, wipes it and gives its slot back. The
 * caller holds neither lock. */
void conn_reap(struct conn *conn);

/* Marks the connection as one without descriptors, and reaps it. */
void conn_discard(struct conn *conn);

/* A pin keeps the slot from being given to another connection. conn_pin() gives false if that has happened:
 * the generation is another one. */
bool conn_pin(struct conn *conn, uint32_t generation);
void conn_unpin(struct conn *conn);

/* Sets or clears bits of the attention masks; conn_tx_set() returns what was set before. */
static inline uint32_t conn_tx_set(struct conn *conn, uint32_t bits)
{
    return atomic_fetch_or_explicit(&conn->tx.attention, bits, memory_order_acq_rel);
}

static inline void conn_tx_clear(struct conn *conn, uint32_t bits)
{
    if (atomic_load_explicit(&conn->tx.attention, memory_order_relaxed) & bits)
        atomic_fetch_and_explicit(&conn->tx.attention, ~bits, memory_order_acq_rel);
}

static inline bool conn_tx_has(const struct conn *conn, uint32_t bits)
{
    return atomic_load_explicit(&conn->tx.attention, memory_order_acquire) & bits;
}

static inline void conn_rx_set(struct conn *conn, uint32_t bits)
{
    atomic_fetch_or_explicit(&conn->rx.attention, bits, memory_order_acq_rel);
}

static inline void conn_rx_clear(struct conn *conn, uint32_t bits)
{
    if (atomic_load_explicit(&conn->rx.attention, memory_order_relaxed) & bits)
        atomic_fetch_and_explicit(&conn->rx.attention, ~bits, memory_order_acq_rel);
}

/* Whether the program has left a partial record to the library. */
static inline bool conn_partial_is_left(const struct conn *conn)
{
    return conn_tx_has(conn, TX_PARTIAL) &&
           atomic_load_explicit(&conn->tx.partial_left, memory_order_relaxed) >= PARTIAL_LEFT;
}

static inline enum conn_phase conn_phase(const struct conn *conn)
{
    return (enum conn_phase)atomic_load_explicit(&conn->status.phase, memory_order_acquire);
}

static inline bool conn_is_connecting(const struct conn *conn)
{
    return conn_phase(conn) == CONN_CONNECTING;
}

/* There is no handshake to wait for: it is complete, or the phase has none. */
static inline bool conn_is_established(const struct conn *conn)
{
    return conn_phase(conn) >= CONN_ESTABLISHED;
}

/* Whether its bytes pass unchanged. Only where SOCKSEAL_PLAINTEXT=accept allows that: the phase is in memory
 * that another process may write to. */
bool conn_is_plaintext(const struct conn *conn);

static inline bool conn_peer_closed(const struct conn *conn)
{
    return conn_phase(conn) == CONN_PEER_CLOSED;
}

/* Enters CONN_HANDSHAKE from CONN_CONNECTING, and sets the deadline; any thread, without a lock. */
void conn_connected(struct conn *conn);

/* Enters a later phase; rx_lock held. Brings the attention masks up to date. */
void conn_enter(struct conn *conn, enum conn_phase phase);

/* Says whether sending keys are installed; both locks held. */
void conn_set_can_send(struct conn *conn, bool can_send);

/* Makes `error` (an errno) the sticky one; false if there is one already. */
bool conn_fail(struct conn *conn, int error);

/* Keeps an errno that the kernel has reported, which it does once. */
void conn_save_so_error(struct conn *conn, int error);

/* Takes the errno that is kept; 0: none. */
int conn_take_so_error(struct conn *conn);

/* Releases a lock. If no descriptor is left, reaps the connection. */
static inline void conn_release_tx(struct conn *conn)
{
    lock_release(&conn->tx_lock);
    if (atomic_load_explicit(&conn->unreferenced, memory_order_acquire))
        conn_reap(conn);
}

static inline void conn_release_rx(struct conn *conn)
{
    const struct conn_rx *rx = &conn->rx;
    const bool left = rx->queue.total | rx->decrypted | rx->have | rx->chunk | rx->byte_is_next;
    if (left)
        conn_rx_set(conn, RX_BUFFERED);
    else
        conn_rx_clear(conn, RX_BUFFERED);
    lock_release(&conn->rx_lock);
    if (atomic_load_explicit(&conn->unreferenced, memory_order_acquire))
        conn_reap(conn);
}

static inline bool conn_failed(const struct conn *conn)
{
    return atomic_load_explicit(&conn->status.error, memory_order_acquire) != 0;
}

#endif
