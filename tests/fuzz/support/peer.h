/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FUZZ_PEER_H
#define SOCKSEAL_FUZZ_PEER_H

/*
 * The engine and a toy peer that has the right key and does what a script of frames says. The peer signs and
 * encrypts what the script holds, so that a mutated message is refused for what is wrong in it, and not for
 * its binder or tag. While the peer knows what the engine has taken (`tracked`), the engine is held to:
 *   - all that it sends opens under the peer's keys, with the Finished and binder that the peer computes;
 *   - it is complete only after a right Finished, and can send only after a right binder;
 *   - what it delivers is what was sent, and all of that unless it failed, for which it needs a reason;
 *   - a failure is final.
 */

#include "frames.h"
#include "pair.h"

enum peer_frame {
    PEER_HELLO,      /* a ClientHello or ServerHello, bound or not; empty: as it should be */
    PEER_RETRY,      /* to a client: a HelloRetryRequest; empty: with a cookie. To a server: a hello without a
                        share */
    PEER_EXTENSIONS, /* EncryptedExtensions with this body */
    PEER_FINISHED,   /* the right one */
    PEER_INNER,      /* a record under the present keys, whose TLSInnerPlaintext is this */
    PEER_DATA,       /* application data: so many bytes (2), and so much padding (1) */
    PEER_PLAIN,      /* a plaintext record: type (1), content */
    PEER_RAW,        /* bytes on the wire */
    PEER_ENGINE,     /* the engine sends: what (1), data */
    PEER_STRANGER,   /* a hello whose binder is of another key */
    PEER_KINDS,
};

struct peer {
    struct pair pair;
    size_t unread_from; /* how much of pair.unread is parsed */
    bool tracked;
    bool fair;                  /* nothing was sent but data and KeyUpdates since the handshake */
    bool bound;                 /* a hello with a right binder was sent */
    bool finished;              /* the right Finished was sent */
    bool closed;                /* an alert was sent: nothing more need be delivered */
    bool own_share;             /* the last hello has the peer's share */
    bool retried;               /* a HelloRetryRequest was seen or sent */
    size_t record;              /* handshake messages are cut into records of so many bytes */
    uint64_t rx_updates;        /* KeyUpdates that the peer knows of */
    struct toy_buffer expected; /* what the engine is to deliver */
    struct toy_buffer sent;     /* what the engine was given to send */
    struct toy_buffer arrived;  /* what the peer has opened of it */
};

/* The engine's role by the options: the first byte of a script. */
static inline enum tls_role peer_engine_role(uint8_t options)
{
    return options & 0x80 ? TLS_SERVER : TLS_CLIENT;
}

/* Starts a pair; `options` chooses the engine's role, the suite and so on. */
void peer_begin(struct peer *peer, uint8_t options);

/* Carries out the rest of the script. */
void peer_run(struct peer *peer, struct input *script);

/* For the mutator: changes a hello with knowledge of its form. */
size_t peer_mutate(enum tls_role engine_role, uint8_t kind, uint8_t *content, size_t len, size_t max,
                   unsigned random);

#endif
