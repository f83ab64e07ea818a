/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PING_TLS_H
#define SOCKSEAL_PING_TLS_H

/* One handshake as a client on a connected socket, and what is probably wrong when it does not succeed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/tls.h"

struct ping_tls {
    struct tls_session session; /* wiped but for its names when the call returns */
    char reason[512];           /* what happened; "" when the peer has proved that it has the key */
    const char *advice;         /* what is probably wrong, or NULL */
    bool about_keys;            /* the keys of both ends are to be compared */
};

/* Shakes hands on a non-blocking socket and says close_notify. False with reason and advice if that failed or
 * took longer than `limit_ms`. */
bool ping_tls(struct ping_tls *ping, int fd, const struct tls_config *config, int64_t limit_ms);

#endif
