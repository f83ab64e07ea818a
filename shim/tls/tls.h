/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_H
#define SOCKSEAL_TLS_H

/*
 * The protocol engine: TLS 1.3 (RFC 8446, RFC 9846) with an external PSK, psk_dhe_ke over X25519, no
 * certificates.
 *
 * Sans I/O: bytes in, bytes out. No descriptor, no clock, no allocation, no global state, no libc call that
 * is not async-signal-safe. Both structures hold no pointer, so that they may lie in memory that several
 * processes share at different addresses.
 *
 * A connection has a `struct tls_session` for as long as it lives and, until both Finished messages are
 * verified, a `struct tls_handshake` too. The caller frames records (tls_record_size) and hands them over one
 * by one.
 *
 * Locking is the caller's: after the handshake, tls_session_open() touches only `rx` and the fields marked
 * (rx), tls_session_seal(), _key_update() and _alert() only `tx` and those marked (tx), so that the two
 * directions may run at once; `failure`, `reason` and `alert_out` are set once, atomically. Everything about
 * the handshake needs both directions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TLS_RECORD_HEADER = 5,
    TLS_PLAINTEXT_MAX = 16384,        /* content of a record (RFC 8446, 5.1) */
    TLS_CIPHERTEXT_MAX = 16384 + 256, /* encrypted_record of a TLSCiphertext (RFC 8446, 5.2) */
    TLS_RECORD_MAX = TLS_RECORD_HEADER + TLS_CIPHERTEXT_MAX,
    TLS_TAG_LEN = 16,                                        /* of every suite here */
    TLS_SEAL_OVERHEAD = TLS_RECORD_HEADER + 1 + TLS_TAG_LEN, /* what sealing adds to content */
    TLS_IDENTITY_MAX = 128,                                  /* bytes of a PSK identity that we accept */
    TLS_OFFERED_PSKS_MAX = 8,                                /* identities in one ClientHello of ours */
    TLS_FLIGHT_MAX = 2048,      /* no call writes more than this to its output buffer (seal apart) */
    TLS_HANDSHAKE_SIZE = 20480, /* bytes of a struct tls_handshake */
};

enum tls_suite {
    TLS_SUITE_NONE = 0,
    TLS_SUITE_CHACHA20_POLY1305_SHA256 = 0x1303,
    TLS_SUITE_AEGIS_128L_SHA256 = 0x1307,
    /* Private use (RFC 8446, 11), until numbers are registered: AEGIS-128X2 and X4 as draft-denis-tls-aegis
     * has them. Not the draft's own 0xFF01 and 0xFF03, which are reserved for tests. */
    TLS_SUITE_AEGIS_128X2_SHA256 = 0xFF52,
    TLS_SUITE_AEGIS_128X4_SHA256 = 0xFF54,
};

/* NamedGroup (RFC 8446, 4.2.7; draft-ietf-tls-ecdhe-mlkem, 6). */
enum tls_group {
    TLS_GROUP_NONE = 0,
    TLS_GROUP_X25519 = 0x001D,
    TLS_GROUP_X25519MLKEM768 = 0x11EC,
};

enum { TLS_GROUPS_MAX = 2 };

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* ContentType (RFC 8446, 5.1). */
enum tls_record_type {
    TLS_RECORD_CHANGE_CIPHER_SPEC = 20,
    TLS_RECORD_ALERT = 21,
    TLS_RECORD_HANDSHAKE = 22,
    TLS_RECORD_APPLICATION_DATA = 23,
};

/* No suite needs new keys before this many records. */
#define TLS_REKEY_RECHECK_RECORDS (UINT64_C(1) << 40)

enum { TLS_LEGACY_MAJOR = 3 }; /* the first byte of legacy_record_version */

/* AlertDescription (RFC 8446, 6). */
enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_HANDSHAKE_FAILURE = 40,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_ACCESS_DENIED = 49,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_DECRYPT_ERROR = 51,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INSUFFICIENT_SECURITY = 71,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_USER_CANCELED = 90,
    TLS_ALERT_MISSING_EXTENSION = 109,
    TLS_ALERT_UNSUPPORTED_EXTENSION = 110,
    TLS_ALERT_UNKNOWN_PSK_IDENTITY = 115,
    TLS_ALERT_NONE = 255, /* not on the wire: no alert */
};

/* What a fallible call returns. The first failure of a session is sticky: it is kept in tls_session.failure,
 * and each later call returns it again. */
enum tls_result {
    TLS_OK = 0,
    TLS_FAIL_PROTOCOL,   /* the peer speaks something else, or breaks a rule of TLS 1.3 */
    TLS_FAIL_KEY,        /* the peer has other keys: binder, Finished, or its alert says so */
    TLS_FAIL_RECORD,     /* a record did not authenticate (bad_record_mac) */
    TLS_FAIL_PEER_ALERT, /* the established peer ended the connection with a fatal alert */
    TLS_FAIL_LIMIT,      /* sequence number or KeyUpdate count used up (RFC 8446, 5.3, 5.5) */
    TLS_FAIL_INTERNAL,   /* misuse or a failed primitive */
};

#define TLS_CHECKED __attribute__((warn_unused_result))

/* One pre-shared key. The memory stays the caller's and must live for the call only. A key belongs to one
 * pair of nodes, one of them always the client: the engine cannot see a reflection, in which a node that is
 * both roles under one key is made to talk to itself (RFC 9257, 4.1; "Selfie", eprint 2019/347). */
struct tls_psk {
    const uint8_t *identity;
    size_t identity_len; /* 1 to TLS_IDENTITY_MAX */
    const uint8_t *key;
    size_t key_len; /* at least 16 (RFC 9257) */
};

/* What the engine keeps of a PSK from one handshake to the next: what follows from the key alone. The memory
 * is the caller's, zeros at first, as secret as the key, and may be shared by threads. */
struct tls_psk_memo {
    uint64_t state;
    uint64_t opaque[56];
};

/* Fills `order` with the indices of `count` keys, at most 65536, in the order of their identities, so that a
 * server with many keys finds one quickly. Allocates nothing. */
void tls_psk_sort(const struct tls_psk *psks, size_t count, uint16_t *order);

/* A client's ML-KEM key pair. It is apart from the struct tls_handshake, which a chunk of the caller's holds.
 */
struct tls_key_pair {
    uint8_t mlkem768[2400];
};

/* What the handshake calls may use; lent for the duration of each call, may differ from call to call. */
struct tls_config {
    /* Client: in order of preference, the first TLS_OFFERED_PSKS_MAX are offered. Server: all that it
     * accepts. */
    const struct tls_psk *psks;
    size_t psk_count;
    const uint16_t
        *psk_order; /* their indices as tls_psk_sort() gives them; NULL: all of them are searched */
    /* Whether psks[index] may be used for this connection; NULL: each may. One that may not is as if it were
     * not there. */
    bool (*psk_allowed)(const void *context, size_t index);
    const void *context;        /* for psk_allowed */
    struct tls_psk_memo *memos; /* of the first memo_count keys, one each; may be NULL, and fewer or more */
    size_t memo_count;
    const uint16_t *suites; /* enum tls_suite, in order of preference; only the usable ones count */
    size_t suite_count;     /* 0: those that suit the processor, the best first */
    /* enum tls_group, in order of preference; only the usable ones count. A client offers a share of each.
     * None: all, X25519MLKEM768 first. */
    const uint16_t *groups;
    size_t group_count;
    /* Client: memory for its key pair. What tls_client_begin() has put there must be there at each call until
     * the handshake is over. The engine wipes it when the ServerHello has come, or tls_handshake_record()
     * fails; in other cases the caller does. A client that offers X25519 alone, and a server, need none. */
    struct tls_key_pair *pair;
    void (*random)(uint8_t *out, size_t len); /* NULL: libsodium's; tests give their own */
    /* NSS key log (label, client random, secret), or NULL. */
    void (*keylog)(const char *label, const uint8_t client_random[32], const uint8_t secret[32]);
};

/* One direction's traffic keys (RFC 8446, 7.3). */
struct tls_traffic {
    uint8_t secret[32];
    uint8_t key[32]; /* the suite's key_len bytes are used */
    uint8_t iv[16];  /* the suite's iv_len bytes are used */
    uint64_t sequence;
    uint64_t updates; /* KeyUpdates so far in this direction */
    uint64_t bytes;   /* of content protected with these keys; tx only */
    uint32_t since;   /* a second more than the time of their first use; 0: not used yet; tx only */
};

/* How far a NewSessionTicket has been read; internal. */
struct tls_ticket {
    uint8_t step;
    uint32_t need;   /* bytes that the field being read still lacks */
    uint32_t left;   /* bytes of the body behind that field */
    uint32_t recent; /* the last four bytes */
};

/* A post-handshake message that spans records; internal. */
struct tls_message {
    uint8_t header[4];
    uint8_t have;  /* header bytes so far */
    uint8_t value; /* body of a KeyUpdate */
    uint32_t left; /* body bytes still to come */
    struct tls_ticket ticket;
};

/* What is kept for the life of a connection. All-zero is not a valid session: tls_client_begin /
 * tls_server_begin. */
struct tls_session {
    struct tls_traffic rx; /* (rx) */
    struct tls_traffic tx; /* (tx) */
    uint64_t peer_updates; /* (tx) rx.updates when the tx keys were last renewed; internal */
    uint8_t peer_periods;  /* (tx) and for how many renewals it has been the same; internal */
    uint16_t suite;        /* enum tls_suite, TLS_SUITE_NONE until negotiated */
    uint16_t group;        /* enum tls_group, TLS_GROUP_NONE until negotiated */
    uint8_t role;          /* enum tls_role */
    uint8_t state;         /* of the handshake's state table; internal */
    uint8_t can_send;      /* tls_session_seal() may be called: tx has application traffic keys */
    /* Both Finished are verified or sent: tls_session_open() may be called; the struct tls_handshake can be
     * wiped and given up. */
    uint8_t complete;
    uint8_t failure;  /* enum tls_result: the sticky first failure */
    uint8_t alert_in; /* (rx) enum tls_alert received, or TLS_ALERT_NONE */
    /* The enum tls_alert that the failure calls for, or TLS_ALERT_NONE; if the failing call had an output
     * buffer, the alert is in it already. */
    uint8_t alert_out;
    uint8_t reason;     /* internal index for tls_session_reason() */
    uint8_t closed_in;  /* (rx) close_notify was received */
    uint8_t closed_out; /* (tx) an alert that ends our direction was written; nothing is sealed after it */
    uint8_t rx_keys;    /* (rx) which keys rx holds; internal */
    uint8_t tx_keys;    /* (tx) which keys tx holds; internal */
    uint8_t heard;      /* a record of the peer was taken; internal */
    uint8_t ccs_window; /* change_cipher_spec may come and is dropped (RFC 8446, 5); internal */
    uint8_t skip_early; /* early data that was not accepted may come (RFC 8446, 4.2.10); internal */
    uint8_t identity_len;
    /* Of the PSK in use, set as soon as it is chosen; of a refused client, the first one that it offered. */
    uint8_t identity[TLS_IDENTITY_MAX];
    struct tls_message message; /* (rx) */
};

/* Bytes of the session's identity, never more than there is room for, whatever its memory says. */
static inline size_t tls_session_identity_len(const struct tls_session *session)
{
    const uint8_t len = __atomic_load_n(&session->identity_len, __ATOMIC_RELAXED);
    return len <= TLS_IDENTITY_MAX ? len : 0;
}

/* What exists during the handshake only: transcript, ephemeral key, early secrets, reassembly. Opaque in
 * meaning; public in size because the caller owns its memory. Holds secrets: end with tls_handshake_wipe().
 */
struct tls_handshake {
    uint64_t opaque[TLS_HANDSHAKE_SIZE / 8]; /* a static assertion in tls_call.c ties it to the real layout */
};

/* Bytes to send, appended to by the handshake calls. The memory is the caller's. */
struct tls_buffer {
    uint8_t *data;
    size_t len; /* bytes written so far */
    size_t cap; /* at least len + TLS_FLIGHT_MAX on each call */
};

/* What an opened record held. */
enum tls_event {
    TLS_EVENT_NONE,       /* nothing for the program: ticket, part of a message, padding, user_canceled */
    TLS_EVENT_DATA,       /* application data (perhaps none: a record of length zero is legal) */
    TLS_EVENT_CLOSE,      /* close_notify: the peer will send no more */
    TLS_EVENT_KEY_UPDATE, /* the peer renewed its keys (already done for rx) */
    /* The same, and it asks for new tx keys before the next data: tls_session_key_update(). */
    TLS_EVENT_KEY_UPDATE_ASKED,
};

/* The part of tls_record_size() that is not inline. */
TLS_CHECKED enum tls_result tls_record_frame(struct tls_session *session, const uint8_t *header, size_t have,
                                             size_t *size);

/*
 * Size of the record that starts with the `have` bytes at `header` (more than 5 are ignored).
 * On TLS_OK *size is the whole record's size, header included, or 0 while fewer than 5 bytes are there and
 * all is well so far. Fails with TLS_FAIL_PROTOCOL as soon as the bytes cannot start a record that this
 * session may receive: type, version 0x03xx, length (RFC 8446, 5.1, 5.2: record_overflow). Sets the session's
 * failure, reason and alert_out.
 */
TLS_CHECKED static inline enum tls_result tls_record_size(struct tls_session *session, const uint8_t *header,
                                                          size_t have, size_t *size)
{
    if (have >= TLS_RECORD_HEADER && session->complete && header[0] == TLS_RECORD_APPLICATION_DATA &&
        header[1] == TLS_LEGACY_MAJOR && __atomic_load_n(&session->failure, __ATOMIC_ACQUIRE) == TLS_OK) {
        size_t len = (size_t)header[3] << 8 | header[4];
        *size = TLS_RECORD_HEADER + len;
        if (len <= TLS_CIPHERTEXT_MAX)
            return TLS_OK;
    }
    return tls_record_frame(session, header, have, size);
}

/* Starts a client: writes the ClientHello to `out`, the rest of a long one with tls_handshake_more(). Fails
 * with TLS_FAIL_INTERNAL if config has no key or no usable suite. */
TLS_CHECKED enum tls_result tls_client_begin(struct tls_session *session, struct tls_handshake *handshake,
                                             const struct tls_config *config, struct tls_buffer *out);

/* Starts a server: waits for a ClientHello. */
void tls_server_begin(struct tls_session *session, struct tls_handshake *handshake);

/*
 * Takes one whole record (as tls_record_size() framed it) while !session->complete. The record's memory is
 * overwritten. What is to be sent in answer (flight, HelloRetryRequest, change_cipher_spec, alert) is
 * appended to `out`, also on failure: send it, then close. A client's Finished is appended by the call that
 * completes its handshake. A server's session->can_send becomes true in the call that reads the ClientHello,
 * complete in the one that verifies the client's Finished. A record after the one that completed the
 * handshake belongs to tls_session_open(). close_notify during the handshake: TLS_FAIL_PROTOCOL.
 */
TLS_CHECKED enum tls_result tls_handshake_record(struct tls_session *session, struct tls_handshake *handshake,
                                                 const struct tls_config *config, uint8_t *record, size_t len,
                                                 struct tls_buffer *out);

/*
 * Appends the next part of a ClientHello that is longer than TLS_FLIGHT_MAX to `out`. To be called, with an
 * emptied `out`, after tls_client_begin() and each tls_handshake_record() that succeeded, until it gives
 * false; false: there was nothing more.
 */
bool tls_handshake_more(struct tls_session *session, struct tls_handshake *handshake, struct tls_buffer *out);

/* How many of its bytes, from the first one on, hold something: a copy of these is a copy of it. It is no
 * more than its size, whatever the memory says. */
size_t tls_handshake_used(const struct tls_handshake *handshake);

/* Copies what holds something, from memory that other processes may write to meanwhile. Gives how many bytes
 * that is, which the copy says too. */
size_t tls_handshake_copy(struct tls_handshake *to, const struct tls_handshake *from);

/* Wipes the handshake's secrets. */
void tls_handshake_wipe(struct tls_handshake *handshake);

/* Wipes a client's key pair; NULL is allowed. */
void tls_key_pair_wipe(struct tls_key_pair *pair);

/*
 * Opens one whole record of an established session. `out` needs room for len - TLS_SEAL_OVERHEAD bytes
 * (padding is written there too) and may be `record + TLS_RECORD_HEADER` for opening in
 * place; otherwise the two must not overlap. On TLS_OK *event says what it held and, for TLS_EVENT_DATA,
 * *out_len how many bytes of content. On failure nothing of the record is left in `out`.
 */
TLS_CHECKED enum tls_result tls_session_open(struct tls_session *session, uint8_t *record, size_t len,
                                             uint8_t *out, size_t *out_len, enum tls_event *event);

/*
 * Seals `len` (0 to TLS_PLAINTEXT_MAX) bytes of application data as one record at `out`, which needs room for
 * len + TLS_SEAL_OVERHEAD, and may not overlap `content` unless content == out + TLS_RECORD_HEADER.
 * Gives the record's size in *out_len. TLS_FAIL_LIMIT when the sequence number is used up.
 *
 * Undoing: a caller that has sent no byte of the record may restore session->tx.sequence to what it was
 * before.
 */
TLS_CHECKED enum tls_result tls_session_seal(struct tls_session *session, const uint8_t *content, size_t len,
                                             uint8_t *out, size_t *out_len);

/*
 * The same with `padding` zeros behind the content (RFC 8446, 5.4); len + padding is at most
 * TLS_PLAINTEXT_MAX.
 *
 * Sealing again: a caller that has sent only the first m bytes of a record may restore session->tx.sequence,
 * seal a record of the same size whose content has the same first m - TLS_RECORD_HEADER bytes, and send it
 * from byte m on. All suites are stream ciphers within a record, so what was sent is the beginning of the
 * new record too, and one ciphertext leaves.
 */
TLS_CHECKED enum tls_result tls_session_seal_padded(struct tls_session *session, const uint8_t *content,
                                                    size_t len, size_t padding, uint8_t *out,
                                                    size_t *out_len);

/*
 * What a record of ours says: its `len` bytes of content go to `out`. The record is whole, without padding,
 * and tls_session_seal() made it under the sequence number that session->tx.sequence was restored to. So the
 * content is known even if the memory that it was sealed from has changed since.
 */
TLS_CHECKED enum tls_result tls_session_recover(struct tls_session *session, const uint8_t *record,
                                                size_t len, uint8_t *out);

/* The part of tls_session_wants_key_update() that is not inline. */
bool tls_session_needs_rekey(const struct tls_session *session, bool used);

/* When the keys that a session sends under are renewed, besides what the suite demands: whoever reads the
 * memory of a process learns what was sent under the present keys, and nothing from before. */
struct tls_renewal {
    uint64_t bytes;   /* of content sealed under one key */
    uint32_t seconds; /* since the key was first used */
};

/*
 * Whether the tx keys are to be renewed with tls_session_renew() before more is sealed: their use has reached
 * what `limits` allow, or half of what the suite allows (RFC 8446, 5.5), so that no call between needs to
 * check. To be asked before each sending. The engine has no clock: `now` is any clock's seconds that goes on
 * evenly, the same in each call.
 */
static inline bool tls_session_wants_key_update(struct tls_session *session, const struct tls_renewal *limits,
                                                uint32_t now)
{
    if (session->tx.since == 0)
        session->tx.since = now + 1;
    const bool used = session->tx.bytes >= limits->bytes || now + 1 - session->tx.since >= limits->seconds;
    return session->complete && (used || session->tx.sequence >= TLS_REKEY_RECHECK_RECORDS) &&
           tls_session_needs_rekey(session, used);
}

/* Appends a KeyUpdate (sealed under the old key) to `out` and renews the tx keys. `request`: ask the peer to
 * renew its own too. TLS_FAIL_LIMIT once 2^48 - 1 of them were sent (RFC 9846); from then on a request of the
 * peer is reported as TLS_EVENT_KEY_UPDATE, so that it is not answered. TLS_FAIL_INTERNAL before the
 * handshake is complete (RFC 8446, 4.6.3). Does nothing after our close_notify: no data follows it. */
TLS_CHECKED enum tls_result tls_session_key_update(struct tls_session *session, bool request,
                                                   struct tls_buffer *out);

/* The same, asking the peer for new keys too if it has gone on sending under the same ones for longer than we
 * would. */
TLS_CHECKED enum tls_result tls_session_renew(struct tls_session *session, struct tls_buffer *out);

/* Appends an alert to `out`, sealed if there are keys for it, in the clear before. close_notify goes at level
 * warning, the rest fatal (RFC 8446, 6). Works on a session that failed by itself too, and wipes its tx keys
 * then. At most one alert that ends our direction is ever written, and none after tls_session_fail(): a
 * second call, or one for TLS_ALERT_NONE, appends nothing. */
void tls_session_alert(struct tls_session *session, enum tls_alert alert, struct tls_buffer *out);

/* Declares the session failed from outside (truncation, time-out) and wipes its secrets. Keeps an earlier
 * failure. */
void tls_session_fail(struct tls_session *session, enum tls_result result);

/* A static string for a log line, such as "the peer's Finished does not verify", for the session's failure.
 */
const char *tls_session_reason(const struct tls_session *session);

/* "TLS_CHACHA20_POLY1305_SHA256" and so on; static. */
const char *tls_suite_name(uint16_t suite);

/* "X25519" and so on; static. */
const char *tls_group_name(uint16_t group);

/* "bad_record_mac" and so on, "unknown" for others; static. */
const char *tls_alert_name(uint8_t alert);

/* Wipes everything. */
void tls_session_wipe(struct tls_session *session);

#endif
