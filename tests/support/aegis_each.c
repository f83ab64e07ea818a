/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "aegis_each.h"

#include <stdio.h>
#include <string.h>

enum { PARTS_MAX = 64, AD_MAX = 600 };

static void set_kind(struct aegis_variant *variant, enum aegis_kind kind)
{
    variant->kind = kind;
    variant->lanes = 1 << kind;
    variant->block = (size_t)32 << kind;
    variant->tag_len = AEGIS_TAG_LEN;
}

bool aegis_each(struct aegis_variant *variant)
{
    const struct aegis_backend *const *backends = aegis_cpu_backends();
    if (variant->backend && variant->tag_len == AEGIS_TAG_LEN) {
        variant->tag_len = AEGIS_TAG_LONG_LEN;
        return true;
    }
    if (variant->backend && variant->kind < AEGIS_128X4) {
        set_kind(variant, variant->kind + 1);
        return true;
    }
    for (; variant->backend && *backends != variant->backend; backends++)
        ;
    if (variant->backend)
        backends++;
    variant->backend = *backends;
    set_kind(variant, AEGIS_128L);
    if (*backends)
        printf("[  AEGIS   ] with %s\n", variant->backend->name);
    return *backends != NULL;
}

uint32_t aegis_random(uint32_t below)
{
    static uint64_t state = 1; /* PCG-XSH-RR */
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint32_t mixed = (uint32_t)((state >> 18 ^ state) >> 27), turn = (uint32_t)(state >> 59);
    return (uint32_t)(((mixed >> turn | mixed << (-turn & 31)) * (uint64_t)below) >> 32);
}

void aegis_random_bytes(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)aegis_random(256);
}

struct aegis_case aegis_random_case(size_t ad_len)
{
    static uint8_t ad[AD_MAX];
    struct aegis_case made = {.ad = ad, .ad_len = ad_len};
    aegis_random_bytes(ad, ad_len);
    aegis_random_bytes(made.key, sizeof made.key);
    aegis_random_bytes(made.nonce, sizeof made.nonce);
    return made;
}

static struct aead_message message_of(const struct aegis_case *with, struct aead_part *copy,
                                      const struct aead_part *parts, size_t count)
{
    if (count > 0)
        memcpy(copy, parts, count * sizeof *parts);
    return (struct aead_message){with->key, with->nonce, with->ad, with->ad_len, copy, count};
}

void aegis_seal_parts(const struct aegis_variant *variant, const struct aegis_case *with,
                      const struct aead_part *parts, size_t count, uint8_t *tag)
{
    struct aead_part copy[PARTS_MAX];
    const struct aead_message message = message_of(with, copy, parts, count);
    aegis_seal_on(variant->backend, variant->kind, &message, tag, variant->tag_len);
}

bool aegis_open_parts(const struct aegis_variant *variant, const struct aegis_case *with,
                      const struct aead_part *parts, size_t count, const uint8_t *tag)
{
    struct aead_part copy[PARTS_MAX];
    const struct aead_message message = message_of(with, copy, parts, count);
    return aegis_open_on(variant->backend, variant->kind, &message, tag, variant->tag_len);
}

void aegis_seal_whole(const struct aegis_variant *variant, const struct aegis_case *with, const uint8_t *in,
                      size_t len, uint8_t *out, uint8_t *tag)
{
    aegis_seal_parts(variant, with, &(struct aead_part){in, out, len}, 1, tag);
}

bool aegis_open_whole(const struct aegis_variant *variant, const struct aegis_case *with, const uint8_t *in,
                      size_t len, uint8_t *out, const uint8_t *tag)
{
    return aegis_open_parts(variant, with, &(struct aead_part){in, out, len}, 1, tag);
}
