/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_call.h"

#include <string.h>

#include "crypto/secret.h"

_Static_assert(sizeof(struct tls_handshake_data) <= sizeof(struct tls_handshake),
               "tls.h gives room for the layout");
_Static_assert(_Alignof(struct tls_handshake_data) <= _Alignof(struct tls_handshake), "and alignment");

struct tls_handshake_data *tls_call_data(struct tls_handshake *handshake)
{
    return (struct tls_handshake_data *)(void *)handshake->opaque;
}

void tls_call_reset(struct tls_handshake *handshake)
{
    memset(handshake, 0, offsetof(struct tls_handshake_data, message));
    sha256_init(&tls_call_data(handshake)->transcript);
}

void tls_call_wipe(struct tls_handshake *handshake)
{
    secret_wipe(handshake, sizeof *handshake);
}

void tls_call_random(const struct tls_call *call, uint8_t *out, size_t len)
{
    if (call->config->random != NULL)
        call->config->random(out, len);
    else
        secret_random(out, len);
}

void tls_call_keylog(const struct tls_call *call, const char *label, const uint8_t secret[static 32])
{
    if (call->config->keylog != NULL)
        call->config->keylog(label, call->handshake->client_random, secret);
}
