/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONN_H
#define SOCKSEAL_CONN_H

/*
 * What stands behind a sealed descriptor. One struct conn per TCP connection, in a slot of the arena, shared
 * by every process that holds the connection. shim/README.md tells the life of one and the locking rules; in
 * short:
 *
 *   - what is marked (rx) belongs to the holder of the role rx, (tx) to the holder of tx; the handshake needs
 * both, taken in this order: rx, then tx;
 *   - atomics may be read by anyone;
 *   - a slot is given back by whoever finds, holding both roles, that no descriptor is left (conn_reap).
 */

#include <assert.h>
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
    CONN_QUEUE_MAX = 256 * 1024, /* plaintext bytes that wait for keys (design, section 7) */
    CONN_GRACE_MS = 400,         /* how long a blocking write, or an exit, waits for a handshake */
};

struct conn {
    _Atomic uint32_t generation; /* first, since a slot keeps it over its lives */
    _Atomic uint32_t pins;       /* threads that work on it without a descriptor of their own: conn_pin() */

    struct lock rx, tx;
    arena_ref slot;           /* the one it lies in; the last that a slot keeps */
    _Atomic uint32_t holders; /* processes that have a descriptor for it */
    _Atomic int32_t holder[CONN_HOLDERS];
    _Atomic uint8_t unreferenced; /* no descriptor is left: reap it */
    _Atomic uint8_t established;  /* the handshake is over, well */
    _Atomic uint8_t can_send;     /* mirrors session.can_send */
    _Atomic uint8_t connecting;   /* TCP is not connected yet, as far as we know */
    _Atomic uint8_t write_shut;   /* shutdown(SHUT_WR) was called */
    _Atomic uint8_t read_shut;    /* shutdown(SHUT_RD) was called */
    _Atomic uint8_t lingers;      /* SO_LINGER was set, by any process that has it */
    _Atomic uint8_t
        close_pending;          /* close_notify, and a FIN if write_shut, are still to be sent (closing.h) */
    _Atomic uint8_t ended;      /* the peer's close_notify was read */
    _Atomic uint8_t plaintext;  /* SOCKSEAL_PLAINTEXT=accept, and the peer does not seal: pass through */
    _Atomic uint8_t key_update; /* the peer asked for new keys of ours */
    _Atomic uint8_t error_told; /* SO_ERROR has reported the failure */
    _Atomic uint8_t migrated;   /* it is in another tree now: an empty shell (moving.h) */
    _Atomic uint8_t looked;     /* it moved here with a message that was only looked at, and holds it */
    _Atomic uint8_t
        close_after_exec; /* its last holder is in exec(2) without it: the new program is to end it */
    _Atomic uint8_t
        edge_pending;      /* a write was refused though the kernel had room: an EPOLLOUT edge is owed */
    _Atomic int32_t error; /* sticky: the errno that every read and write gives */
    _Atomic int32_t
        so_error; /* an error of the kernel's that we met before the program did; told once, as SO_ERROR */
    _Atomic int32_t low_water;    /* SO_RCVLOWAT that the program set, 0: none */
    _Atomic uint32_t to_send;     /* bytes that we, not the program, have still to send */
    _Atomic uint32_t cipher_left; /* tx_len, for a look without the role */
    _Atomic uint32_t readable;    /* inbox.total, for a look without the role */
    _Atomic int64_t look_ms;      /* an orphan is to be looked at again then; 0: at the deadline */
    _Atomic int64_t deadline_ms;  /* of the handshake, on the monotonic clock */

    /* (rx) */
    arena_ref rx_chunk; /* the start of a record, taken out of the kernel while incomplete */
    uint32_t rx_have;
    struct chunk_list inbox; /* opened, not read */
    uintptr_t reader_frame;  /* where on its stack the parked reader is */
    uint32_t decrypted;      /* bytes at the head of the kernel's queue that are opened already: the marker */
    uint8_t bulk;            /* the last record was a full one, of data alone */
    uint8_t partial_marks;   /* the marker is the next byte of the incomplete record in rx_chunk */

    /* (tx) */
    arena_ref tx_chunk; /* ciphertext that must go out next, or what the cut record has of content so far */
    uint32_t tx_off, tx_len;
    uint8_t partial;         /* the kernel has begun taking a record: see seal.h */
    uint32_t partial_size;   /* content bytes that its header stands for */
    uint32_t partial_have;   /* of these, bytes that are on the wire, and stand in tx_chunk in the clear */
    uint32_t partial_sent;   /* bytes of the record that are on the wire */
    struct chunk_list queue; /* plaintext accepted before the keys stood */
    struct chunk_list
        deferred; /* from a signal handler that interrupted the writer; goes into the queue behind him */
    uintptr_t writer_frame; /* where on its stack the parked writer is */
    uint8_t deferring;
    uint8_t close_sent; /* close_notify is sent or stands in tx_chunk */
    uint8_t waited;     /* a blocking write has had its brief wait */
    _Atomic uint8_t
        finished_alone; /* handshake bytes went out without data: Nagle would delay what follows */
    uint8_t sent_data;

    /* (rx and tx) */
    arena_ref handshake; /* chunk with the struct tls_handshake, until established */

    struct address local, peer;
    struct tls_session session;
};

static_assert(sizeof(struct conn) <= ARENA_SLOT_SIZE, "a connection fits its slot");
static_assert(offsetof(struct conn, holders) == ARENA_SLOT_KEPT,
              "generation, roles and number outlive the connection");
static_assert(sizeof(struct tls_handshake) <= ARENA_CHUNK_SIZE, "a handshake fits a chunk");

/* Where a record is collected in rx_chunk: behind the room for a chunk_head, so that a record opened in place
 * becomes a piece of the inbox as it stands. */
static inline uint8_t *conn_rx_data(const struct conn *conn)
{
    return arena_chunk(conn->rx_chunk) + sizeof(struct chunk_head);
}

/* What must be the same in two builds for one to read the other's slots. */
uint32_t conn_layout(void);

/* Makes the arena if this process has none. False if the kernel refuses the memory. */
bool conn_open_arena(void);

/* Maps the arena that another program of the process tree left in this memfd, which is kept. False, with the
 * memfd closed, if it cannot be used. */
bool conn_attach_arena(int fd);

/* Makes a connection for an fd that is to be sealed; NULL if the arena has no room. Its roles are free. */
struct conn *conn_new(enum tls_role role, bool connecting);

/* A slot whose connection knows its number; NULL if there is none. Its roles may be held for a moment by a
 * thread that looked its earlier life up. */
struct conn *conn_take_slot(void);

/* Maps the chunks that belong to the holder of a role, which the caller is. False if the kernel refuses. */
bool conn_map_rx(struct conn *conn);
bool conn_map_tx(struct conn *conn);

/* Gives back all chunks that the connection has and wipes its keys; both roles held. */
void conn_empty(struct conn *conn);

/* If no descriptor is left and nobody works with it, wipes the connection and gives its slot back. Neither
 * role may be held by the caller. */
void conn_reap(struct conn *conn);

/* No descriptor is left: marks it so, and reaps. */
void conn_discard(struct conn *conn);

/* conn_reap() without giving the slot back, which the caller gives back if this is true; for one that holds
 * no chunks it may be a slot of any arena. */
bool conn_retire(struct conn *conn);

/* Against the slot's being given to another connection in the midst of work on it. conn_pin() gives false if
 * this life of it is over. */
bool conn_pin(struct conn *conn, uint32_t generation);
void conn_unpin(struct conn *conn);

/* lock_take(&conn->rx). A signal handler above its own thread's BUSY tx does not wait, for whoever is BUSY
 * with rx may be waiting for tx: LOCK_REENTERED then. */
enum lock_result conn_take_rx(struct conn *conn);

/* Releases a role and reaps. */
static inline void conn_release(struct conn *conn, struct lock *role)
{
    lock_release(role);
    if (atomic_load_explicit(&conn->unreferenced, memory_order_acquire))
        conn_reap(conn);
}

static inline bool conn_failed(const struct conn *conn)
{
    return atomic_load_explicit(&conn->error, memory_order_acquire) != 0;
}

#endif
