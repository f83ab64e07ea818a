/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_offer.h"

bool tls_offer_has_u16(struct tls_reader list, uint16_t value)
{
    uint16_t entry;
    while (tls_cursor_get_u16(&list, &entry))
        if (entry == value)
            return true;
    return false;
}

static bool has_u8(struct tls_reader list, uint8_t value)
{
    uint8_t entry;
    while (tls_cursor_get_u8(&list, &entry))
        if (entry == value)
            return true;
    return false;
}

/* RFC 8446, 4.2.1: supported_versions alone decides. The fixed fields are checked after it, by the
 * rules of TLS 1.3 (4.1.2). */
static enum tls_reason check_version(const struct tls_client_hello *hello)
{
    struct tls_reader body;
    struct tls_reader versions;
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_SUPPORTED_VERSIONS, &body))
        return TLS_REASON_NO_TLS13_OFFERED;
    if (!tls_cursor_get_vector8(&body, 2, &versions) || body.left != 0 || versions.left % 2 != 0)
        return TLS_REASON_MALFORMED;
    if (!tls_offer_has_u16(versions, TLS_VERSION_13))
        return TLS_REASON_NO_TLS13_OFFERED;
    if (hello->legacy_version <= TLS_VERSION_SSL3)
        return TLS_REASON_SSL3; /* RFC 8446, D.5 */
    if (hello->legacy_version != TLS_VERSION_12)
        return TLS_REASON_LEGACY_VERSION;
    if (hello->compression.left != 1 || hello->compression.at[0] != 0)
        return TLS_REASON_COMPRESSION;
    return TLS_REASON_NONE;
}

/* The lists of pre_shared_key (RFC 8446, 4.2.11): well-formed to the end, and of one length. */
static enum tls_reason check_psk_lists(const struct tls_client_hello *hello)
{
    struct tls_reader identities = hello->identities;
    struct tls_reader binders = hello->binders;
    struct tls_reader identity;
    struct tls_reader binder;
    while (identities.left > 0 && binders.left > 0)
        if (!tls_offer_next_psk(&identities, &binders, &identity, &binder))
            return TLS_REASON_MALFORMED;
    return identities.left == 0 && binders.left == 0 ? TLS_REASON_NONE : TLS_REASON_PSK_BINDERS;
}

static enum tls_reason check_psk(const struct tls_client_hello *hello)
{
    const struct tls_extensions *extensions = &hello->extensions;
    struct tls_reader body;
    struct tls_reader modes;
    if (!tls_extensions_find(extensions, TLS_EXTENSION_PRE_SHARED_KEY, &body))
        return TLS_REASON_NO_PSK_OFFERED;
    if (extensions->at[extensions->count - 1].type != TLS_EXTENSION_PRE_SHARED_KEY)
        return TLS_REASON_PSK_NOT_LAST; /* RFC 8446, 4.2.11 */
    if (!tls_extensions_find(extensions, TLS_EXTENSION_PSK_KEY_EXCHANGE_MODES, &body))
        return TLS_REASON_NO_PSK_MODES; /* RFC 8446, 4.2.9 */
    if (!tls_cursor_get_vector8(&body, 1, &modes) || body.left != 0)
        return TLS_REASON_MALFORMED;
    if (!has_u8(modes, TLS_PSK_DHE_KE))
        return TLS_REASON_NO_PSK_DHE;
    if (tls_extensions_find(extensions, TLS_EXTENSION_EARLY_DATA, &body) && body.left != 0)
        return TLS_REASON_MALFORMED; /* RFC 8446, 4.2.10: Empty */
    return check_psk_lists(hello);
}

/* supported_groups and key_share go together (RFC 8446, 9.2), and psk_dhe_ke needs both (4.2.9). */
static enum tls_reason check_groups(const struct tls_client_hello *hello)
{
    struct tls_reader body;
    struct tls_reader groups;
    struct tls_reader shares;
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_SUPPORTED_GROUPS, &body) ||
        !tls_extensions_find(&hello->extensions, TLS_EXTENSION_KEY_SHARE, &shares))
        return TLS_REASON_EXTENSION_MISSING;
    if (!tls_cursor_get_vector16(&body, 2, &groups) || body.left != 0 || groups.left % 2 != 0)
        return TLS_REASON_MALFORMED;
    return tls_offer_has_u16(groups, TLS_GROUP_X25519) ? TLS_REASON_NONE : TLS_REASON_NO_X25519;
}

enum tls_reason tls_offer_check(const struct tls_client_hello *hello)
{
    enum tls_reason reason = check_version(hello);
    if (reason == TLS_REASON_NONE)
        reason = check_psk(hello);
    if (reason == TLS_REASON_NONE)
        reason = check_groups(hello);
    return reason;
}

/* The two lists, which tls_offer_check() has found there. */
static bool get_groups_and_shares(const struct tls_client_hello *hello, struct tls_reader *groups,
                                  struct tls_reader *shares)
{
    struct tls_reader body;
    (void)tls_extensions_find(&hello->extensions, TLS_EXTENSION_SUPPORTED_GROUPS, &body);
    if (!tls_cursor_get_vector16(&body, 2, groups))
        return false;
    (void)tls_extensions_find(&hello->extensions, TLS_EXTENSION_KEY_SHARE, &body);
    return tls_cursor_get_vector16(&body, 0, shares) && body.left == 0;
}

static bool get_share(struct tls_reader *shares, uint16_t *group, struct tls_reader *value)
{
    return tls_cursor_get_u16(shares, group) && tls_cursor_get_vector16(shares, 1, value);
}

/* RFC 8446, 4.2.8: each share is of a group in supported_groups, in the order of the groups, none twice. All
 * of that holds if the groups after the last match always have the next one, so one pass through the groups
 * is enough. */
enum tls_reason tls_offer_find_share(const struct tls_client_hello *hello, struct tls_reader *share)
{
    struct tls_reader groups;
    struct tls_reader shares;
    *share = tls_cursor_reader(NULL, 0);
    if (!get_groups_and_shares(hello, &groups, &shares))
        return TLS_REASON_MALFORMED;
    while (shares.left > 0) {
        uint16_t group;
        uint16_t supported;
        struct tls_reader value;
        if (!get_share(&shares, &group, &value))
            return TLS_REASON_MALFORMED;
        do {
            if (!tls_cursor_get_u16(&groups, &supported))
                return TLS_REASON_KEY_SHARE;
        } while (supported != group);
        if (group == TLS_GROUP_X25519 && value.left != X25519_LEN)
            return TLS_REASON_KEY_SHARE; /* RFC 8446, 4.2.8.2 */
        if (group == TLS_GROUP_X25519)
            *share = value;
    }
    return TLS_REASON_NONE;
}

bool tls_offer_has_one_share(const struct tls_client_hello *hello)
{
    struct tls_reader groups;
    struct tls_reader shares;
    struct tls_reader value;
    uint16_t group;
    return get_groups_and_shares(hello, &groups, &shares) && get_share(&shares, &group, &value) &&
           shares.left == 0;
}

bool tls_offer_next_psk(struct tls_reader *identities, struct tls_reader *binders,
                        struct tls_reader *identity, struct tls_reader *binder)
{
    struct tls_reader age; /* obfuscated_ticket_age, ignored for external identities (RFC 8446, 4.2.11) */
    return tls_cursor_get_vector16(identities, 1, identity) && tls_cursor_get_bytes(identities, 4, &age) &&
           tls_cursor_get_vector8(binders, 32, binder);
}
