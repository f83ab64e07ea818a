/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_psk.h"

#include <string.h>

_Static_assert(sizeof(struct tls_schedule_psk) <= sizeof(((struct tls_psk_memo *)0)->opaque),
               "a memo holds what follows from a PSK");

bool tls_psk_usable(const struct tls_config *config, const struct tls_psk *psk)
{
    return psk->identity_len >= 1 && psk->identity_len <= TLS_IDENTITY_MAX && psk->key_len >= 16 &&
           (config->psk_allowed == NULL ||
            config->psk_allowed(config->context, (size_t)(psk - config->psks)));
}

/* Any order does that is one: by length, then by bytes. */
static int compare(const struct tls_psk *psk, const uint8_t *identity, size_t len)
{
    if (psk->identity_len != len)
        return psk->identity_len < len ? -1 : 1;
    return memcmp(psk->identity, identity, len);
}

/* One step of heapsort: order[root] sinks to its place in the heap of `count` indices. */
static void sink(const struct tls_psk *psks, uint16_t *order, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        const struct tls_psk *right = child + 1 < count ? &psks[order[child + 1]] : NULL;
        if (right != NULL && compare(&psks[order[child]], right->identity, right->identity_len) < 0)
            child++;
        const struct tls_psk *larger = &psks[order[child]];
        if (compare(&psks[order[root]], larger->identity, larger->identity_len) >= 0)
            return;
        const uint16_t swapped = order[root];
        order[root] = order[child];
        order[child] = swapped;
    }
}

/* Heapsort: libc's qsort() may allocate. */
void tls_psk_sort(const struct tls_psk *psks, size_t count, uint16_t *order)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (uint16_t)i;
    for (size_t root = count / 2; root > 0; root--)
        sink(psks, order, root - 1, count);
    for (size_t end = count; end > 1; end--) {
        const uint16_t largest = order[0];
        order[0] = order[end - 1];
        order[end - 1] = largest;
        sink(psks, order, 0, end - 1);
    }
}

/* The index, in the order if there is one, of the first key that is not below this identity; psk_count if all
 * are. */
static size_t lower_bound(const struct tls_config *config, const uint8_t *identity, size_t len)
{
    size_t low = 0;
    for (size_t high = config->psk_count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (compare(&config->psks[config->psk_order[middle]], identity, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct tls_psk *search(const struct tls_config *config, const uint8_t *identity, size_t len,
                                    const struct tls_psk **beside)
{
    *beside = config->psk_count > 0 ? &config->psks[0] : NULL;
    if (config->psk_order != NULL && config->psk_count > 0) {
        const size_t at = lower_bound(config, identity, len);
        *beside = &config->psks[config->psk_order[at < config->psk_count ? at : at - 1]];
        return compare(*beside, identity, len) == 0 ? *beside : NULL;
    }
    for (size_t i = 0; i < config->psk_count; i++)
        if (compare(&config->psks[i], identity, len) == 0)
            return &config->psks[i];
    return NULL;
}

const struct tls_psk *tls_psk_find(const struct tls_config *config, const uint8_t *identity, size_t len,
                                   const struct tls_psk **beside)
{
    const struct tls_psk *psk = search(config, identity, len, beside);
    const struct tls_psk *met = psk != NULL ? psk : *beside;
    const bool usable = met != NULL && tls_psk_usable(config, met); /* asked of either, which takes time */
    return usable ? psk : NULL;
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
