/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_KEX_H
#define SOCKSEAL_TLS_KEX_H

/*
 * Key exchange by group (enum tls_group): X25519 (RFC 8446, 4.2.8.2), and X25519MLKEM768
 * (draft-ietf-tls-ecdhe-mlkem), which is secure as long as one of its two parts is. Of the latter's shares
 * and secrets the ML-KEM part comes first.
 */

#include "crypto/mlkem768.h"
#include "crypto/x25519.h"
#include "tls/tls.h"
#include "tls/tls_failure.h"

enum {
    TLS_KEX_CLIENT_MAX = MLKEM768_PUBLIC + X25519_LEN,     /* bytes of a client's share */
    TLS_KEX_SERVER_MAX = MLKEM768_CIPHERTEXT + X25519_LEN, /* of a server's */
};

/* What a client's key pairs are made from, all random bytes. */
struct tls_kex_seed {
    uint8_t x25519[X25519_LEN];
    uint8_t mlkem768[MLKEM768_SEED];
};

/* The X25519 key pair of a client's shares. Both groups use the same, which draft-ietf-tls-hybrid-design, 3.2
 * allows within one ClientHello. */
struct tls_kex_key {
    uint8_t x25519[X25519_LEN], x25519_share[X25519_LEN];
};

/* What a server needs for one exchange, all random bytes. */
struct tls_kex_random {
    uint8_t x25519[X25519_LEN];
    uint8_t mlkem768[MLKEM768_RANDOM];
};

/* What both sides agree on. */
struct tls_kex_secret {
    size_t len;
    uint8_t bytes[MLKEM768_SHARED + X25519_LEN];
};

/* The configured groups that are usable here, in order, each once. Gives how many. */
size_t tls_kex_groups(const struct tls_config *config, uint16_t groups[static TLS_GROUPS_MAX]);

/* A bit for each group that is known, 0 for others. */
unsigned tls_kex_bit(uint16_t group);

/* Length of a client's and of a server's share; 0 of a group that is not known. */
size_t tls_kex_client_len(uint16_t group);
size_t tls_kex_server_len(uint16_t group);

/* Makes what the shares of these groups need. `pair` may be NULL if none is hybrid, here and below. */
enum tls_reason tls_kex_make(struct tls_kex_key *key, struct tls_key_pair *pair,
                             const struct tls_kex_seed *seed, const uint16_t *groups, size_t count);

/* A client's share, of tls_kex_client_len() bytes. */
void tls_kex_share(uint16_t group, const struct tls_kex_key *key, const struct tls_key_pair *pair,
                   uint8_t *share);

/* A server's share, of tls_kex_server_len() bytes, in answer to a client's, and the secret. A value of the
 * client's that must be refused is illegal_parameter (RFC 8446, 7.4.2; draft-ietf-tls-ecdhe-mlkem, 4.2). */
enum tls_reason tls_kex_answer(uint16_t group, const struct tls_kex_random *random,
                               const uint8_t *client_share, uint8_t *share, struct tls_kex_secret *secret);

/* The secret, from the server's share. */
enum tls_reason tls_kex_finish(uint16_t group, const struct tls_kex_key *key, const struct tls_key_pair *pair,
                               const uint8_t *server_share, struct tls_kex_secret *secret);

#endif
