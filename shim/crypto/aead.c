/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/aead.h"

#include "crypto/aegis/aegis.h"
#include "crypto/chacha20.h"

_Static_assert((int)AEAD_TAG_LEN == CHACHA20_TAG_LEN && (int)AEAD_TAG_LEN == AEGIS_TAG_LEN,
               "all suites have tags of the same length");

bool aead_pretend_no_aes;

static bool seal_chacha20(const struct aead_message *message, uint8_t *tag)
{
    chacha20_seal(message, tag);
    return true;
}

static bool open_chacha20(const struct aead_message *message, const uint8_t *tag)
{
    return chacha20_open(message, tag);
}

static bool seal_aegis_128l(const struct aead_message *message, uint8_t *tag)
{
    return aegis_seal(AEGIS_128L, message, tag, AEGIS_TAG_LEN);
}

static bool open_aegis_128l(const struct aead_message *message, const uint8_t *tag)
{
    return aegis_open(AEGIS_128L, message, tag, AEGIS_TAG_LEN);
}

static bool seal_aegis_128x2(const struct aead_message *message, uint8_t *tag)
{
    return aegis_seal(AEGIS_128X2, message, tag, AEGIS_TAG_LEN);
}

static bool open_aegis_128x2(const struct aead_message *message, const uint8_t *tag)
{
    return aegis_open(AEGIS_128X2, message, tag, AEGIS_TAG_LEN);
}

static bool seal_aegis_128x4(const struct aead_message *message, uint8_t *tag)
{
    return aegis_seal(AEGIS_128X4, message, tag, AEGIS_TAG_LEN);
}

static bool open_aegis_128x4(const struct aead_message *message, const uint8_t *tag)
{
    return aegis_open(AEGIS_128X4, message, tag, AEGIS_TAG_LEN);
}

/* RFC 8446, 5.5 sets no limit on records below the sequence number's own. */
static const struct aead chacha20 = {
    .suite = AEAD_CHACHA20_POLY1305,
    .key_len = CHACHA20_KEY_LEN,
    .iv_len = CHACHA20_NONCE_LEN,
    .records_max = UINT64_MAX,
    .seal = seal_chacha20,
    .open = open_chacha20,
};

/* draft-denis-tls-aegis: tags of 128 bits; keys are renewed before 2^48 records. */
#define AEGIS(code_point, seal_it, open_it)                                                                  \
    {                                                                                                        \
        .suite = (code_point), .key_len = AEGIS_KEY_LEN, .iv_len = AEGIS_NONCE_LEN,                          \
        .records_max = UINT64_C(1) << 48, .seal = (seal_it), .open = (open_it)                               \
    }
static const struct aead aegis_128l = AEGIS(AEAD_AEGIS_128L, seal_aegis_128l, open_aegis_128l);
static const struct aead aegis_128x2 = AEGIS(AEAD_AEGIS_128X2, seal_aegis_128x2, open_aegis_128x2);
static const struct aead aegis_128x4 = AEGIS(AEAD_AEGIS_128X4, seal_aegis_128x4, open_aegis_128x4);
#undef AEGIS

static bool refuse_to_seal(const struct aead_message *message, uint8_t *tag)
{
    (void)message;
    (void)tag;
    return false;
}

static bool refuse_to_open(const struct aead_message *message, const uint8_t *tag)
{
    (void)message;
    (void)tag;
    return false;
}

/* As long as any key and nonce may be, so that nothing is left of them undefined. */
static const struct aead none = {
    .key_len = AEAD_KEY_MAX, .iv_len = AEAD_IV_MAX, .seal = refuse_to_seal, .open = refuse_to_open};

const struct aead *aead_or_none(uint16_t suite)
{
    const struct aead *aead = aead_of(suite);
    return aead != NULL ? aead : &none;
}

const struct aead *aead_of(uint16_t suite)
{
    switch (suite) {
    case AEAD_AEGIS_128X4:
        return &aegis_128x4;
    case AEAD_AEGIS_128X2:
        return &aegis_128x2;
    case AEAD_AEGIS_128L:
        return &aegis_128l;
    case AEAD_CHACHA20_POLY1305:
        return &chacha20;
    default:
        return NULL;
    }
}

static bool has_aes(void)
{
    return !aead_pretend_no_aes && aegis_usable();
}

bool aead_usable(uint16_t suite)
{
    return suite == AEAD_CHACHA20_POLY1305 || (aead_of(suite) != NULL && has_aes());
}

const uint16_t *aead_default_suites(size_t *count)
{
    static const uint16_t all[] = {AEAD_AEGIS_128X4, AEAD_AEGIS_128X2, AEAD_AEGIS_128L,
                                   AEAD_CHACHA20_POLY1305};
    const size_t first = !has_aes() ? 3 : (size_t)(AEGIS_128X4 - aegis_widest());
    *count = sizeof all / sizeof *all - first;
    return all + first;
}

bool aead_seal(const struct aead *aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *ad,
               size_t ad_len, const uint8_t *in, size_t len, uint8_t *out)
{
    struct aead_part part = {in, out, len};
    const struct aead_message message = {key, nonce, ad, ad_len, &part, 1};
    return aead->seal(&message, out + len);
}

bool aead_open(const struct aead *aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *ad,
               size_t ad_len, const uint8_t *in, size_t len, uint8_t *out)
{
    if (len < AEAD_TAG_LEN)
        return false;
    struct aead_part part = {in, out, len - AEAD_TAG_LEN};
    const struct aead_message message = {key, nonce, ad, ad_len, &part, 1};
    return aead->open(&message, in + len - AEAD_TAG_LEN);
}
