/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_H
#define SOCKSEAL_H

/*
 * For programs that care: whether a TCP socket is sealed, asked with getsockopt(2). No library to link.
 *
 *     struct sockseal_info info;
 *     socklen_t len = sizeof info;
 *     if (getsockopt(fd, SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len) == 0 &&
 *         info.state == SOCKSEAL_ESTABLISHED)
 *             printf("sealed, peer %.*s\n", info.identity_len, (const char *)info.identity);
 *
 * In a program that runs without the shim the kernel answers ENOPROTOOPT (or EOPNOTSUPP), as it does for
 * every level that it does not know. Under the shim a descriptor that is not sealed gives 0 with info.sealed
 * == 0.
 */

#include <stdint.h>

#define SOCKSEAL_SOL  0x5ea1 /* level; the kernel's levels are all below 1000 */
#define SOCKSEAL_INFO 1      /* option name */

enum sockseal_state {
    SOCKSEAL_NONE = 0,        /* not sealed */
    SOCKSEAL_HANDSHAKE = 1,   /* connecting or shaking hands: the peer is not verified yet */
    SOCKSEAL_ESTABLISHED = 2, /* the peer has proved that it has the key */
    SOCKSEAL_CLOSED = 3,      /* ended in order, by close_notify in both directions */
    SOCKSEAL_FAILED = 4,      /* ended by an error; calls give it as errno */
};

enum sockseal_suite {
    SOCKSEAL_SUITE_NONE = 0,                   /* not negotiated yet */
    SOCKSEAL_SUITE_CHACHA20_POLY1305 = 0x1303, /* TLS_CHACHA20_POLY1305_SHA256 */
    SOCKSEAL_SUITE_AEGIS_128L = 0x1307,        /* TLS_AEGIS_128L_SHA256 */
    SOCKSEAL_SUITE_AEGIS_128X2 = 0xff52,       /* SOCKSEAL_AEGIS_128X2_SHA256, a private-use code point */
    SOCKSEAL_SUITE_AEGIS_128X4 = 0xff54,       /* SOCKSEAL_AEGIS_128X4_SHA256, the same */
};

/* Later versions add fields at the end; as for TCP_INFO, at most *optlen bytes are written and *optlen is set
 * to their number. All multi-byte fields are in host order. */
struct sockseal_info {
    uint8_t sealed;        /* 1: whatever is written here leaves the machine sealed or not at all */
    uint8_t state;         /* enum sockseal_state */
    uint8_t server;        /* 1: this side accepted the connection */
    uint8_t identity_len;  /* bytes of `identity`; 0 until the handshake has chosen one */
    uint16_t suite;        /* enum sockseal_suite */
    uint16_t reserved;     /* 0 */
    uint32_t error;        /* for SOCKSEAL_FAILED: the errno value, else 0 */
    uint8_t identity[128]; /* the pre-shared key's identity, not terminated */
};

#endif
