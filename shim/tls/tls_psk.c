/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_psk.h"

#include <string.h>

_Static_assert(sizeof(struct tls_schedule_psk) <= sizeof(((struct tls_psk_memo *)0)->opaque),
               "a memo holds what follows from a PSK");

bool tls_psk_usable(const struct tls_psk *psk)
{
    return psk->identity_len >= 1 && psk->identity_len <= TLS_IDENTITY_MAX && psk->key_len >= 16;
}

/* tls_psk_memo.state. A thread that finds a memo claimed does not wait for it: the thread that fills it may
 * be interrupted by a signal handler, or may not exist in a forked child. */
enum { MEMO_EMPTY, MEMO_CLAIMED, MEMO_FILLED };

void tls_psk_prepare(const struct tls_config *config, const struct tls_psk *psk,
                     struct tls_schedule_psk *prepared)
{
    size_t index = (size_t)(psk - config->psks);
    struct tls_psk_memo *memo = index < config->memo_count ? &config->memos[index] : NULL;
    uint64_t state = MEMO_EMPTY;
    if (memo != NULL && __atomic_load_n(&memo->state, __ATOMIC_ACQUIRE) == MEMO_FILLED) {
        memcpy(prepared, memo->opaque, sizeof *prepared);
        return;
    }
    tls_schedule_prepare_psk(psk->key, psk->key_len, prepared);
    if (memo != NULL && __atomic_compare_exchange_n(&memo->state, &state, MEMO_CLAIMED, false,
                                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        memcpy(memo->opaque, prepared, sizeof *prepared);
        __atomic_store_n(&memo->state, MEMO_FILLED, __ATOMIC_RELEASE);
    }
}
