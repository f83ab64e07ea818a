/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_STATUSPAGE_H
#define SOCKSEAL_STATUSPAGE_H

/*
 * What a process publishes of its sealed connections, for `sockseal status`: the layout of two memfds, which
 * a reader opens by /proc/PID/fd. No key and nothing that a key could be derived from is in them.
 *
 *   - "sockseal-status", a struct statuspage_counters: what has happened since the library was loaded, in the
 *     process that made it and all that it has forked since. They share it.
 *   - "sockseal-connections": a struct statuspage_process, then the entries of the process's connections.
 * Each process has its own.
 *
 * The reader trusts nothing in them: they are read with pread(2), each number is checked, and text is
 * escaped. Numbers are in the machine's byte order, since both ends are on one machine.
 */

#include <stdint.h>

#define STATUSPAGE_COUNTERS_NAME    "sockseal-status"
#define STATUSPAGE_CONNECTIONS_NAME "sockseal-connections"

enum {
    STATUSPAGE_MAGIC = 0x736c7374,
    STATUSPAGE_VERSION = 1, /* another layout has another number */
    STATUSPAGE_ENTRIES = 1 << 16,
    STATUSPAGE_ENTRY_SIZE = 256,
    STATUSPAGE_BLOCK_ENTRIES = 1024, /* are mapped at once */
    STATUSPAGE_BLOCK_SIZE = STATUSPAGE_BLOCK_ENTRIES * STATUSPAGE_ENTRY_SIZE,
    STATUSPAGE_HEADER_SIZE = 65536, /* before the first entry; the largest page size */
    STATUSPAGE_SIZE = STATUSPAGE_HEADER_SIZE + STATUSPAGE_ENTRIES * STATUSPAGE_ENTRY_SIZE,
    STATUSPAGE_IDENTITY_MAX = 128,
};

enum statuspage_state {
    STATUSPAGE_UNUSED, /* the entry describes no connection */
    STATUSPAGE_CONNECTING,
    STATUSPAGE_HANDSHAKE,
    STATUSPAGE_SEALED,
    STATUSPAGE_PEER_CLOSED,
    STATUSPAGE_PLAINTEXT,
    STATUSPAGE_FAILED,
    STATUSPAGE_STATES
};

enum statuspage_direction { STATUSPAGE_OUT, STATUSPAGE_IN };

struct statuspage_address {
    uint16_t family; /* AF_INET, AF_INET6, or 0: not known */
    uint16_t port;
    uint8_t bytes[16];
};

/* A connection. The two halves are written by the threads that send and receive. What is between `sequence`
 * and `identity` is complete if `sequence` is even, and the same before and after. */
struct statuspage_entry {
    _Atomic uint64_t sent_bytes, sent_records;
    _Atomic uint32_t sequence;
    _Atomic uint8_t state; /* enum statuspage_state */
    uint8_t direction;     /* enum statuspage_direction */
    uint8_t identity_len;
    uint8_t reserved;
    _Atomic int32_t error; /* errno of a failure, 0: none */
    uint16_t suite, group; /* as on the wire, 0: none yet */
    uint32_t handshake_us; /* how long the handshake took; 0: it is not over */
    uint64_t cookie;       /* SO_COOKIE: the same in all processes that have the connection; 0: not known */
    uint64_t apart[2];     /* the receiving half is in a cache line of its own */

    _Atomic uint64_t received_bytes, received_records;
    int64_t opened_us; /* CLOCK_MONOTONIC */
    struct statuspage_address local, peer;
    uint8_t identity[STATUSPAGE_IDENTITY_MAX];
};

_Static_assert(sizeof(struct statuspage_entry) == STATUSPAGE_ENTRY_SIZE, "the layout is as it is documented");

struct statuspage_process {
    uint32_t magic, version;
    uint64_t id;                /* another one each time */
    uint32_t pid;               /* as the process sees itself: in its innermost PID namespace */
    _Atomic uint32_t blocks;    /* of entries in use, from the first */
    _Atomic uint32_t not_shown; /* connections for which there was no room */
};

/* Why connections fail. */
enum statuspage_failure {
    STATUSPAGE_KEY_REJECTED,      /* the peer has another key */
    STATUSPAGE_PLAINTEXT_REFUSED, /* a peer spoke something that is not TLS */
    STATUSPAGE_PROTOCOL,          /* TLS that cannot be used here */
    STATUSPAGE_RECORD_DAMAGED,    /* a record that fails authentication */
    STATUSPAGE_TIMEOUT,           /* the handshake was not complete in time */
    STATUSPAGE_HANDSHAKE_ENDED,   /* the connection ended during the handshake */
    STATUSPAGE_PROBED,            /* the peer went away without sending anything */
    STATUSPAGE_TRUNCATED,         /* the stream ended without close_notify */
    STATUSPAGE_PEER_ALERT,        /* the peer ended the connection with an alert */
    STATUSPAGE_NO_KEY,            /* there was no usable key */
    STATUSPAGE_KEY_REMOVED,       /* the key was taken out of the key file */
    STATUSPAGE_INTERNAL,          /* memory, a limit, a process that died in the middle of a record */
    STATUSPAGE_FAILURES
};

enum statuspage_counter {
    STATUSPAGE_HANDSHAKES_IN, /* complete, of connections accepted */
    STATUSPAGE_HANDSHAKES_OUT,
    STATUSPAGE_PLAINTEXT_SERVED, /* SOCKSEAL_PLAINTEXT=accept */
    STATUSPAGE_NO_RULE,          /* TCP connections that no rule names: they are not sealed */
    STATUSPAGE_CLOSED_SENT,      /* bytes of connections that are closed */
    STATUSPAGE_CLOSED_RECEIVED,
    STATUSPAGE_COUNTERS
};

struct statuspage_counters {
    uint32_t magic, version;
    uint32_t pid; /* of the process that made it, as it sees itself */
    uint32_t reserved;
    _Atomic uint64_t counter[STATUSPAGE_COUNTERS];
    _Atomic uint64_t failure[STATUSPAGE_FAILURES];
};

#endif
