/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONN_STATUS_H
#define SOCKSEAL_CONN_STATUS_H

/*
 * What this process publishes of its connections (diag/statuspage.h). A connection's entry is made when the
 * process gets a descriptor for it, and given back with the last one. In a forked child it is made when the
 * child first sends or receives on it. Bytes and records are those of this process.
 */

#include "conn/conn.h"
#include "diag/probes.h"
#include "diag/statuspage.h"

/* Per slot, the entry of its connection; NULL: none yet. Exists when there is a connection (status_begin()).
 */
extern _Atomic(struct statuspage_entry *) *status_entries;

/* Makes the table. False if there is no memory. */
bool status_begin(void);

/* This process has its first descriptor for the connection. */
void status_open(struct conn *conn);

/* It has no descriptor for it any more. Logs, at level info, what was sent and received, and how it ended. */
void status_close(struct conn *conn);

/* The connection has entered a phase: counts handshakes, and plaintext served. */
void status_phase(struct conn *conn, enum conn_phase phase);

/* The connection has failed; `error` is the errno, `not_tls`: the peer spoke something else. */
void status_failed(struct conn *conn, int error, bool not_tls);

/* In a forked child. */
void status_after_fork(void);

/* status_open() for a connection that was inherited. Gives its entry. */
struct statuspage_entry *status_attach(const struct conn *conn);

static inline struct statuspage_entry *status_entry(const struct conn *conn, arena_ref slot)
{
    struct statuspage_entry *entry = atomic_load_explicit(&status_entries[slot], memory_order_relaxed);
    return __builtin_expect(entry != NULL, 1) ? entry : status_attach(conn);
}

/* Adds to what only the holder of a direction's lock writes: no atomic read-modify-write is needed. */
static inline void status_add(_Atomic uint64_t *count, uint64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* The kernel has taken `records` records with `bytes` bytes of the program's; tx_lock held. */
static inline void status_sent(const struct conn *conn, arena_ref slot, size_t bytes, size_t records)
{
    struct statuspage_entry *entry = status_entry(conn, slot);
    status_add(&entry->sent_bytes, bytes);
    status_add(&entry->sent_records, records);
    PROBE3(seal, slot, bytes, records);
}

/* A record with `bytes` bytes was decrypted; rx_lock held. */
static inline void status_received(const struct conn *conn, arena_ref slot, size_t bytes)
{
    struct statuspage_entry *entry = status_entry(conn, slot);
    status_add(&entry->received_bytes, bytes);
    status_add(&entry->received_records, 1);
    PROBE2(open, slot, bytes);
}

#endif
