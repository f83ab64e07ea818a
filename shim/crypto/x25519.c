/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/x25519.h"

#include <sodium.h>

#include "crypto/secret.h"

void x25519_public(uint8_t public_value[static X25519_LEN], const uint8_t secret[static X25519_LEN])
{
    crypto_scalarmult_curve25519_base(public_value, secret);
}

bool x25519_shared(uint8_t shared[static X25519_LEN], const uint8_t secret[static X25519_LEN],
                   const uint8_t peer[static X25519_LEN])
{
    if (crypto_scalarmult_curve25519(shared, secret, peer) == 0 && !sodium_is_zero(shared, X25519_LEN))
        return true;
    secret_wipe(shared, X25519_LEN);
    return false;
}
