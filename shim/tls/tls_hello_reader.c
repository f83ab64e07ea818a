/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_hello_reader.h"

#include <string.h>

#include "crypto/aead.h"
#include "tls/tls_extensions.h"

/*
 * One field after the other is read into `field`. When it is complete, its step's function takes it and names
 * the next one by expect(), which takes the next field's length off what encloses it: so nothing is ever read
 * past the end of a list, an extension or the message, and each of them is used up exactly.
 */
enum step {
    STEP_START,
    STEP_SESSION_ID,
    STEP_SUITES_LEN,
    STEP_SUITE,
    STEP_COMPRESSION_LEN,
    STEP_COMPRESSION,
    STEP_EXTENSIONS_LEN,
    STEP_EXTENSION,
    STEP_IGNORED,
    STEP_WHOLE,
    STEP_GROUPS_LEN,
    STEP_GROUP,
    STEP_SHARES_LEN,
    STEP_SHARE,
    STEP_SHARE_VALUE,
    STEP_IDENTITIES_LEN,
    STEP_IDENTITY_LEN,
    STEP_IDENTITY,
    STEP_TICKET_AGE,
    STEP_BINDERS_LEN,
    STEP_BINDER_LEN,
    STEP_BINDER,
    STEP_END,
    STEP_COUNT
};

/* The next field: `len` bytes out of the `left` bytes of what encloses it. */
static enum tls_reason expect(struct tls_hello_reader *reader, enum step step, size_t len, uint32_t *left)
{
    if (len > *left)
        return TLS_REASON_MALFORMED;
    *left -= (uint32_t)len;
    reader->step = (uint8_t)step;
    reader->need = (uint32_t)len;
    reader->have = 0;
    return TLS_REASON_NONE;
}

static uint16_t field_u16(const struct tls_hello_reader *reader, size_t at)
{
    return (uint16_t)(reader->field[at] << 8 | reader->field[at + 1]);
}

/* The fixed fields */

static enum tls_reason take_start(struct tls_hello_reader *reader)
{
    struct tls_offer *offer = &reader->offer;
    offer->legacy_version = field_u16(reader, 0);
    memcpy(offer->random, reader->field + 2, sizeof offer->random);
    offer->session_id_len = reader->field[2 + TLS_HELLO_RANDOM];
    if (offer->session_id_len > TLS_HELLO_SESSION_ID_MAX)
        return TLS_REASON_MALFORMED;
    sha256_update(&reader->repeated, offer->random, sizeof offer->random);
    return expect(reader, STEP_SESSION_ID, offer->session_id_len, &reader->message_left);
}

static enum tls_reason take_session_id(struct tls_hello_reader *reader)
{
    struct tls_offer *offer = &reader->offer;
    memcpy(offer->session_id, reader->field, offer->session_id_len);
    sha256_update(&reader->repeated, offer->session_id, offer->session_id_len);
    return expect(reader, STEP_SUITES_LEN, 2, &reader->message_left);
}

static enum tls_reason next_suite(struct tls_hello_reader *reader)
{
    if (reader->list_left > 0)
        return expect(reader, STEP_SUITE, 2, &reader->list_left);
    sha256_final(&reader->repeated, reader->offer.repeated);
    return expect(reader, STEP_COMPRESSION_LEN, 1, &reader->message_left);
}

static enum tls_reason take_suites_len(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 0);
    if (len < 2 || len % 2 != 0 || len > reader->message_left)
        return TLS_REASON_MALFORMED;
    reader->message_left -= len;
    reader->list_left = len;
    return next_suite(reader);
}

static void keep_suite(struct tls_offer *offer, uint16_t suite)
{
    for (size_t i = 0; i < offer->suite_count; i++)
        if (offer->suites[i] == suite)
            return;
    if (aead_of(suite) != NULL && offer->suite_count < TLS_OFFER_SUITES_MAX)
        offer->suites[offer->suite_count++] = suite;
}

static enum tls_reason take_suite(struct tls_hello_reader *reader)
{
    keep_suite(&reader->offer, field_u16(reader, 0));
    sha256_update(&reader->repeated, reader->field, 2);
    return next_suite(reader);
}

static enum tls_reason take_compression_len(struct tls_hello_reader *reader)
{
    const uint8_t len = reader->field[0];
    return len > 0 ? expect(reader, STEP_COMPRESSION, len, &reader->message_left) : TLS_REASON_MALFORMED;
}

static enum tls_reason take_compression(struct tls_hello_reader *reader)
{
    reader->offer.null_compression = reader->need == 1 && reader->field[0] == 0;
    if (reader->message_left > 0)
        return expect(reader, STEP_EXTENSIONS_LEN, 2, &reader->message_left);
    /* A ClientHello of an older version may end here (RFC 8446, 4.1.2). */
    return expect(reader, STEP_END, 0, &reader->message_left);
}

/* Extensions */

static enum tls_reason next_extension(struct tls_hello_reader *reader)
{
    if (reader->extension_left > 0)
        return TLS_REASON_MALFORMED; /* something behind the extension's content */
    if (reader->message_left > 0)
        return expect(reader, STEP_EXTENSION, 4, &reader->message_left);
    return expect(reader, STEP_END, 0, &reader->message_left);
}

static enum tls_reason take_extensions_len(struct tls_hello_reader *reader)
{
    return field_u16(reader, 0) == reader->message_left ? next_extension(reader) : TLS_REASON_MALFORMED;
}

/* RFC 8446, 4.2: no extension comes twice, whether it is known here or not. */
static enum tls_reason note_type(struct tls_hello_reader *reader, uint16_t type)
{
    const uint8_t bit = (uint8_t)(1 << type % 8);
    if (!reader->seen_ready)
        memset(reader->seen, 0, sizeof reader->seen);
    reader->seen_ready = true;
    if (reader->seen[type / 8] & bit)
        return TLS_REASON_EXTENSION_TWICE;
    reader->seen[type / 8] |= bit;
    return TLS_REASON_NONE;
}

static enum tls_reason enter_extension(struct tls_hello_reader *reader, unsigned has, enum step step,
                                       size_t len)
{
    if (reader->offer.has & has)
        return TLS_REASON_EXTENSION_TWICE; /* RFC 8446, 4.2 */
    reader->offer.has |= (uint8_t)has;
    return expect(reader, step, len, &reader->extension_left);
}

static enum tls_reason take_extension(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 2);
    reader->extension = field_u16(reader, 0);
    if (len > reader->message_left)
        return TLS_REASON_MALFORMED;
    reader->message_left -= len;
    reader->extension_left = len;
    reader->offer.psks_last = reader->extension == TLS_EXTENSION_PRE_SHARED_KEY;
    switch (reader->extension) {
    case TLS_EXTENSION_SUPPORTED_VERSIONS:
        return enter_extension(reader, TLS_OFFER_HAS_VERSIONS, STEP_WHOLE, len);
    case TLS_EXTENSION_PSK_KEY_EXCHANGE_MODES:
        return enter_extension(reader, TLS_OFFER_HAS_MODES, STEP_WHOLE, len);
    case TLS_EXTENSION_EARLY_DATA:
        return enter_extension(reader, TLS_OFFER_HAS_EARLY_DATA, STEP_WHOLE, len);
    case TLS_EXTENSION_COOKIE:
        return enter_extension(reader, TLS_OFFER_HAS_COOKIE, STEP_WHOLE, len);
    case TLS_EXTENSION_SUPPORTED_GROUPS:
        return enter_extension(reader, TLS_OFFER_HAS_GROUPS, STEP_GROUPS_LEN, 2);
    case TLS_EXTENSION_KEY_SHARE:
        return enter_extension(reader, TLS_OFFER_HAS_SHARES, STEP_SHARES_LEN, 2);
    case TLS_EXTENSION_PRE_SHARED_KEY:
        return enter_extension(reader, TLS_OFFER_HAS_PSKS, STEP_IDENTITIES_LEN, 2);
    default:;
    }
    enum tls_reason reason = note_type(reader, reader->extension);
    return reason == TLS_REASON_NONE ? expect(reader, STEP_IGNORED, len, &reader->extension_left) : reason;
}

static bool take_versions(struct tls_offer *offer, struct tls_reader body)
{
    struct tls_reader versions;
    uint16_t version;
    if (!tls_cursor_get_vector8(&body, 2, &versions) || body.left != 0 || versions.left % 2 != 0)
        return false;
    while (tls_cursor_get_u16(&versions, &version))
        offer->version_13 = offer->version_13 || version == TLS_VERSION_13;
    return true;
}

static bool take_modes(struct tls_offer *offer, struct tls_reader body)
{
    struct tls_reader modes;
    if (!tls_cursor_get_vector8(&body, 1, &modes) || body.left != 0)
        return false;
    offer->psk_dhe_ke = memchr(modes.at, TLS_PSK_DHE_KE, modes.left) != NULL;
    return true;
}

/* An extension that was read as one field. A cookie is longer than what is kept of it; the others never are.
 */
static enum tls_reason take_whole(struct tls_hello_reader *reader)
{
    struct tls_offer *offer = &reader->offer;
    const bool all_there = reader->need <= sizeof reader->field;
    struct tls_reader body =
        tls_cursor_reader(reader->field, all_there ? reader->need : sizeof reader->field);
    bool well_formed;
    switch (reader->extension) {
    case TLS_EXTENSION_SUPPORTED_VERSIONS:
        well_formed = all_there && take_versions(offer, body);
        break;
    case TLS_EXTENSION_PSK_KEY_EXCHANGE_MODES:
        well_formed = all_there && take_modes(offer, body);
        break;
    case TLS_EXTENSION_COOKIE: /* RFC 8446, 4.2.2: opaque cookie<1..2^16-1>; we never ask for one */
        well_formed = reader->need > 2 && field_u16(reader, 0) == reader->need - 2;
        break;
    default: /* RFC 8446, 4.2.10: early_data is empty */
        well_formed = reader->need == 0;
    }
    return well_formed ? next_extension(reader) : TLS_REASON_MALFORMED;
}

/* supported_groups */

static enum tls_reason next_group(struct tls_hello_reader *reader)
{
    return reader->extension_left > 0 ? expect(reader, STEP_GROUP, 2, &reader->extension_left)
                                      : next_extension(reader);
}

static enum tls_reason take_groups_len(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 0);
    return len >= 2 && len == reader->extension_left ? next_group(reader) : TLS_REASON_MALFORMED;
}

static enum tls_reason take_group(struct tls_hello_reader *reader)
{
    struct tls_offer *offer = &reader->offer;
    const uint16_t group = field_u16(reader, 0);
    if (offer->group_count < TLS_OFFER_GROUPS_MAX)
        offer->groups[offer->group_count] = group;
    offer->group_count++;
    offer->known_groups |= tls_kex_bit(group);
    return next_group(reader);
}

/* key_share */

static enum tls_reason next_share(struct tls_hello_reader *reader)
{
    return reader->extension_left > 0 ? expect(reader, STEP_SHARE, 4, &reader->extension_left)
                                      : next_extension(reader);
}

static enum tls_reason take_shares_len(struct tls_hello_reader *reader)
{
    return field_u16(reader, 0) == reader->extension_left ? next_share(reader) : TLS_REASON_MALFORMED;
}

static enum tls_reason take_share(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 2);
    reader->share_group = field_u16(reader, 0);
    return len > 0 ? expect(reader, STEP_SHARE_VALUE, len, &reader->extension_left) : TLS_REASON_MALFORMED;
}

/* Of a group that is known: the length is the group's (RFC 8446, 4.2.8.2), and there is one share (4.2.8). */
static enum tls_reason keep_share(struct tls_hello_reader *reader, uint16_t group, unsigned bit)
{
    struct tls_offer *offer = &reader->offer;
    if (reader->need != tls_kex_client_len(group) || (offer->known_shares & bit))
        return TLS_REASON_KEY_SHARE;
    memcpy(group == TLS_GROUP_X25519 ? offer->x25519_share : offer->hybrid_share, reader->field,
           reader->need);
    offer->known_shares |= bit;
    return TLS_REASON_NONE;
}

static enum tls_reason take_share_value(struct tls_hello_reader *reader)
{
    struct tls_offer *offer = &reader->offer;
    const unsigned bit = tls_kex_bit(reader->share_group);
    if (offer->share_count < TLS_OFFER_SHARES_MAX)
        offer->shares[offer->share_count] = reader->share_group;
    offer->share_count++;
    enum tls_reason reason = bit != 0 ? keep_share(reader, reader->share_group, bit) : TLS_REASON_NONE;
    return reason == TLS_REASON_NONE ? next_share(reader) : reason;
}

/* pre_shared_key */

static enum tls_reason next_identity(struct tls_hello_reader *reader)
{
    return reader->list_left > 0 ? expect(reader, STEP_IDENTITY_LEN, 2, &reader->list_left)
                                 : expect(reader, STEP_BINDERS_LEN, 2, &reader->extension_left);
}

static enum tls_reason take_identities_len(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 0);
    if (len < 7 || len > reader->extension_left)
        return TLS_REASON_MALFORMED;
    reader->extension_left -= len;
    reader->list_left = len;
    return next_identity(reader);
}

static enum tls_reason take_identity_len(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 0);
    return len > 0 ? expect(reader, STEP_IDENTITY, len, &reader->list_left) : TLS_REASON_MALFORMED;
}

static enum tls_reason take_identity(struct tls_hello_reader *reader)
{
    reader->identity_len = reader->need;
    return expect(reader, STEP_TICKET_AGE, 4, &reader->list_left);
}

/* The obfuscated ticket age of an external identity is ignored (RFC 8446, 4.2.11). */
static enum tls_reason take_ticket_age(struct tls_hello_reader *reader)
{
    reader->offer.identity_count++;
    return next_identity(reader);
}

static enum tls_reason next_binder(struct tls_hello_reader *reader)
{
    return reader->extension_left > 0 ? expect(reader, STEP_BINDER_LEN, 1, &reader->extension_left)
                                      : next_extension(reader);
}

static enum tls_reason take_binders_len(struct tls_hello_reader *reader)
{
    const uint16_t len = field_u16(reader, 0);
    return len >= 33 && len == reader->extension_left ? next_binder(reader) : TLS_REASON_MALFORMED;
}

static enum tls_reason take_binder_len(struct tls_hello_reader *reader)
{
    const uint8_t len = reader->field[0];
    return len >= 32 ? expect(reader, STEP_BINDER, len, &reader->extension_left) : TLS_REASON_MALFORMED;
}

static enum tls_reason take_binder(struct tls_hello_reader *reader)
{
    struct tls_offer *offer = &reader->offer;
    if (offer->binder_count++ == offer->psk_index) {
        memcpy(offer->binder, reader->field, sizeof offer->binder);
        offer->binder_len = (uint8_t)reader->need;
    }
    return next_binder(reader);
}

/* What takes each field. */
static enum tls_reason (*const steps[STEP_COUNT])(struct tls_hello_reader *reader) = {
    [STEP_START] = take_start,
    [STEP_SESSION_ID] = take_session_id,
    [STEP_SUITES_LEN] = take_suites_len,
    [STEP_SUITE] = take_suite,
    [STEP_COMPRESSION_LEN] = take_compression_len,
    [STEP_COMPRESSION] = take_compression,
    [STEP_EXTENSIONS_LEN] = take_extensions_len,
    [STEP_EXTENSION] = take_extension,
    [STEP_IGNORED] = next_extension,
    [STEP_WHOLE] = take_whole,
    [STEP_GROUPS_LEN] = take_groups_len,
    [STEP_GROUP] = take_group,
    [STEP_SHARES_LEN] = take_shares_len,
    [STEP_SHARE] = take_share,
    [STEP_SHARE_VALUE] = take_share_value,
    [STEP_IDENTITIES_LEN] = take_identities_len,
    [STEP_IDENTITY_LEN] = take_identity_len,
    [STEP_IDENTITY] = take_identity,
    [STEP_TICKET_AGE] = take_ticket_age,
    [STEP_BINDERS_LEN] = take_binders_len,
    [STEP_BINDER_LEN] = take_binder_len,
    [STEP_BINDER] = take_binder,
};

enum tls_reason tls_hello_reader_begin(struct tls_hello_reader *reader, size_t len)
{
    memset(reader, 0, offsetof(struct tls_hello_reader, seen));
    sha256_init(&reader->repeated);
    if (len > TLS_HELLO_BODY_MAX)
        return TLS_REASON_MALFORMED;
    reader->message_left = (uint32_t)len;
    return expect(reader, STEP_START, 2 + TLS_HELLO_RANDOM + 1, &reader->message_left);
}

/* Adds bytes to the field being read; those that `field` has no room for are dropped. Whether it is complete.
 */
static bool fill_field(struct tls_hello_reader *reader, struct tls_reader *bytes)
{
    size_t take = reader->need - reader->have;
    if (take > bytes->left)
        take = bytes->left;
    if (take > 0 && reader->have < sizeof reader->field) {
        size_t room = sizeof reader->field - reader->have;
        memcpy(reader->field + reader->have, bytes->at, take < room ? take : room);
    }
    bytes->at += take;
    bytes->left -= take;
    reader->have += (uint32_t)take;
    return reader->have == reader->need;
}

/* The event that it is for the caller to have taken a field and to be at the present one. */
static enum tls_hello_event event_behind(const struct tls_hello_reader *reader, enum step taken)
{
    if (taken == STEP_IDENTITY && reader->offer.identity_count < TLS_HELLO_IDENTITIES_MAX)
        return TLS_HELLO_IDENTITY;
    return reader->step == STEP_BINDERS_LEN ? TLS_HELLO_BINDERS : TLS_HELLO_MORE;
}

enum tls_reason tls_hello_reader_next(struct tls_hello_reader *reader, struct tls_reader *bytes,
                                      enum tls_hello_event *event)
{
    *event = TLS_HELLO_MORE;
    while (*event == TLS_HELLO_MORE && reader->step != STEP_END && fill_field(reader, bytes)) {
        const enum step taken = (enum step)reader->step;
        enum tls_reason reason = steps[taken](reader);
        if (reason != TLS_REASON_NONE)
            return reason;
        *event = event_behind(reader, taken);
    }
    if (reader->step == STEP_END)
        *event = TLS_HELLO_END;
    return TLS_REASON_NONE;
}

bool tls_hello_reader_valid(const struct tls_hello_reader *reader)
{
    return reader->step < STEP_COUNT && reader->have <= reader->need &&
           reader->offer.suite_count <= TLS_OFFER_SUITES_MAX &&
           reader->offer.session_id_len <= TLS_HELLO_SESSION_ID_MAX;
}

size_t tls_hello_reader_used(const struct tls_hello_reader *reader)
{
    return reader->seen_ready ? sizeof *reader : offsetof(struct tls_hello_reader, seen);
}
