/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_hello.h"

#include "tls/tls_message.h"

const uint8_t tls_hello_retry_random[TLS_HELLO_RANDOM] = {
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
    0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C};

/* Writing */

static void put_extension_u16(struct tls_writer *writer, enum tls_extension_type type, uint16_t value)
{
    tls_cursor_put_u16(writer, (uint16_t)type);
    tls_cursor_put_u16(writer, 2);
    tls_cursor_put_u16(writer, value);
}

static void put_groups(struct tls_writer *writer, const struct tls_hello_offer *offer)
{
    tls_cursor_put_u16(writer, TLS_EXTENSION_SUPPORTED_GROUPS);
    size_t extension = tls_cursor_begin(writer, 2);
    size_t list = tls_cursor_begin(writer, 2);
    for (size_t i = 0; i < offer->group_count; i++)
        tls_cursor_put_u16(writer, offer->groups[i]);
    tls_cursor_end(writer, list, 2);
    tls_cursor_end(writer, extension, 2);
}

/* A KeyShareEntry (RFC 8446, 4.2.8). */
static void put_share(struct tls_writer *writer, const struct tls_hello_offer *offer,
                      const struct tls_key_pair *pair, uint16_t group)
{
    uint8_t share[TLS_KEX_CLIENT_MAX];
    const size_t len = tls_kex_client_len(group);
    tls_kex_share(group, &offer->key, pair, share);
    tls_cursor_put_u16(writer, group);
    tls_cursor_put_u16(writer, (uint16_t)len);
    tls_cursor_put_bytes(writer, share, len);
}

/* A share of each group, in their order. */
static void put_shares(struct tls_writer *writer, const struct tls_hello_offer *offer,
                       const struct tls_key_pair *pair)
{
    tls_cursor_put_u16(writer, TLS_EXTENSION_KEY_SHARE);
    size_t extension = tls_cursor_begin(writer, 2);
    size_t list = tls_cursor_begin(writer, 2);
    for (size_t i = 0; i < offer->group_count; i++)
        put_share(writer, offer, pair, offer->groups[i]);
    tls_cursor_end(writer, list, 2);
    tls_cursor_end(writer, extension, 2);
}

/* supported_versions, supported_groups, key_share and psk_key_exchange_modes. */
static void put_fixed_extensions(struct tls_writer *writer, const struct tls_hello_offer *offer,
                                 const struct tls_key_pair *pair)
{
    tls_cursor_put_u16(writer, TLS_EXTENSION_SUPPORTED_VERSIONS);
    tls_cursor_put_u16(writer, 3);
    tls_cursor_put_u8(writer, 2);
    tls_cursor_put_u16(writer, TLS_VERSION_13);

    put_groups(writer, offer);
    put_shares(writer, offer, pair);

    tls_cursor_put_u16(writer, TLS_EXTENSION_PSK_KEY_EXCHANGE_MODES);
    tls_cursor_put_u16(writer, 2);
    tls_cursor_put_u8(writer, 1);
    tls_cursor_put_u8(writer, TLS_PSK_DHE_KE);
}

/* pre_shared_key (RFC 8446, 4.2.11). Gives the place where the identities end and the binders begin. */
static size_t put_psks(struct tls_writer *writer, const struct tls_hello_offer *offer)
{
    static const uint8_t zeros[TLS_HELLO_BINDER];
    tls_cursor_put_u16(writer, TLS_EXTENSION_PRE_SHARED_KEY);
    size_t extension = tls_cursor_begin(writer, 2);
    size_t list = tls_cursor_begin(writer, 2);
    for (size_t i = 0; i < offer->psk_count; i++) {
        size_t identity = tls_cursor_begin(writer, 2);
        tls_cursor_put_bytes(writer, offer->psks[i].identity, offer->psks[i].identity_len);
        tls_cursor_end(writer, identity, 2);
        tls_cursor_put_u32(writer, 0); /* RFC 8446, 4.2.11: an external identity has an age of 0 */
    }
    tls_cursor_end(writer, list, 2);
    size_t truncated_len = writer->len;
    list = tls_cursor_begin(writer, 2);
    for (size_t i = 0; i < offer->psk_count; i++) {
        tls_cursor_put_u8(writer, sizeof zeros);
        tls_cursor_put_bytes(writer, zeros, sizeof zeros);
    }
    tls_cursor_end(writer, list, 2);
    tls_cursor_end(writer, extension, 2);
    return truncated_len;
}

size_t tls_hello_put_client(struct tls_writer *writer, const struct tls_hello_offer *offer,
                            const struct tls_key_pair *pair, struct tls_reader cookie)
{
    tls_cursor_put_u8(writer, TLS_CLIENT_HELLO);
    size_t message = tls_cursor_begin(writer, 3);
    tls_cursor_put_u16(writer, TLS_VERSION_12);
    tls_cursor_put_bytes(writer, offer->random, sizeof offer->random);
    tls_cursor_put_u8(writer, 0); /* legacy_session_id: no compatibility mode (RFC 8446, D.4) */
    size_t suites = tls_cursor_begin(writer, 2);
    for (size_t i = 0; i < offer->suite_count; i++)
        tls_cursor_put_u16(writer, offer->suites[i]);
    tls_cursor_end(writer, suites, 2);
    tls_cursor_put_u8(writer, 1); /* legacy_compression_methods: null alone */
    tls_cursor_put_u8(writer, 0);
    size_t extensions = tls_cursor_begin(writer, 2);
    put_fixed_extensions(writer, offer, pair);
    if (cookie.left > 0) {
        tls_cursor_put_u16(writer, TLS_EXTENSION_COOKIE);
        tls_cursor_put_u16(writer, (uint16_t)(cookie.left + 2));
        tls_cursor_put_u16(writer, (uint16_t)cookie.left);
        tls_cursor_put_bytes(writer, cookie.at, cookie.left);
    }
    size_t truncated_len = put_psks(writer, offer); /* last, as RFC 8446, 4.2.11 demands */
    tls_cursor_end(writer, extensions, 2);
    tls_cursor_end(writer, message, 3);
    return truncated_len;
}

/* A ServerHello up to its extensions. */
static void put_server_start(struct tls_writer *writer, const uint8_t random[static TLS_HELLO_RANDOM],
                             struct tls_reader session_id, uint16_t suite)
{
    tls_cursor_put_u16(writer, TLS_VERSION_12);
    tls_cursor_put_bytes(writer, random, TLS_HELLO_RANDOM);
    tls_cursor_put_u8(writer, (uint8_t)session_id.left); /* echoed (RFC 8446, 4.1.3) */
    tls_cursor_put_bytes(writer, session_id.at, session_id.left);
    tls_cursor_put_u16(writer, suite);
    tls_cursor_put_u8(writer, 0); /* legacy_compression_method */
}

void tls_hello_put_server(struct tls_writer *writer, const struct tls_hello_answer *answer)
{
    const size_t share_len = tls_kex_server_len(answer->group);
    tls_cursor_put_u8(writer, TLS_SERVER_HELLO);
    size_t message = tls_cursor_begin(writer, 3);
    put_server_start(writer, answer->random, answer->session_id, answer->suite);
    size_t extensions = tls_cursor_begin(writer, 2);
    put_extension_u16(writer, TLS_EXTENSION_SUPPORTED_VERSIONS, TLS_VERSION_13);
    tls_cursor_put_u16(writer, TLS_EXTENSION_KEY_SHARE);
    tls_cursor_put_u16(writer, (uint16_t)(4 + share_len));
    tls_cursor_put_u16(writer, answer->group);
    tls_cursor_put_u16(writer, (uint16_t)share_len);
    tls_cursor_put_bytes(writer, answer->share, share_len);
    put_extension_u16(writer, TLS_EXTENSION_PRE_SHARED_KEY, answer->psk);
    tls_cursor_end(writer, extensions, 2);
    tls_cursor_end(writer, message, 3);
}

void tls_hello_put_retry(struct tls_writer *writer, struct tls_reader session_id, uint16_t suite,
                         uint16_t group)
{
    tls_cursor_put_u8(writer, TLS_SERVER_HELLO);
    size_t message = tls_cursor_begin(writer, 3);
    put_server_start(writer, tls_hello_retry_random, session_id, suite);
    size_t extensions = tls_cursor_begin(writer, 2);
    put_extension_u16(writer, TLS_EXTENSION_SUPPORTED_VERSIONS, TLS_VERSION_13);
    put_extension_u16(writer, TLS_EXTENSION_KEY_SHARE, group);
    tls_cursor_end(writer, extensions, 2);
    tls_cursor_end(writer, message, 3);
}

/* Parsing */

enum tls_reason tls_hello_parse_server(const uint8_t *message, size_t len, struct tls_server_hello *hello)
{
    struct tls_reader reader = tls_cursor_reader(message + TLS_MESSAGE_HEADER, len - TLS_MESSAGE_HEADER);
    struct tls_reader block = tls_cursor_reader(NULL, 0);
    if (!tls_cursor_get_u16(&reader, &hello->legacy_version) ||
        !tls_cursor_get_bytes(&reader, TLS_HELLO_RANDOM, &hello->random) ||
        !tls_cursor_get_vector8(&reader, 0, &hello->session_id) ||
        hello->session_id.left > TLS_HELLO_SESSION_ID_MAX || !tls_cursor_get_u16(&reader, &hello->suite) ||
        !tls_cursor_get_u8(&reader, &hello->compression))
        return TLS_REASON_MALFORMED;
    if (reader.left > 0 && (!tls_cursor_get_vector16(&reader, 0, &block) || reader.left != 0))
        return TLS_REASON_MALFORMED;
    return tls_extensions_parse(block, &hello->extensions);
}
