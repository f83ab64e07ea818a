/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_offer.h"

const uint8_t *tls_offer_share(const struct tls_offer *offer, uint16_t group)
{
    return group == TLS_GROUP_X25519 ? offer->x25519_share : offer->hybrid_share;
}

/* RFC 8446, 4.2.1: supported_versions alone decides. The fixed fields are checked after it, by the rules of
 * TLS 1.3 (4.1.2). */
static enum tls_reason check_version(const struct tls_offer *offer)
{
    if (!offer->version_13)
        return TLS_REASON_NO_TLS13_OFFERED;
    if (offer->legacy_version <= TLS_VERSION_SSL3)
        return TLS_REASON_SSL3; /* RFC 8446, D.5 */
    if (offer->legacy_version != TLS_VERSION_12)
        return TLS_REASON_LEGACY_VERSION;
    if (!offer->null_compression)
        return TLS_REASON_COMPRESSION;
    return TLS_REASON_NONE;
}

static enum tls_reason check_psk(const struct tls_offer *offer)
{
    if (!(offer->has & TLS_OFFER_HAS_PSKS))
        return TLS_REASON_NO_PSK_OFFERED;
    if (!offer->psks_last)
        return TLS_REASON_PSK_NOT_LAST; /* RFC 8446, 4.2.11 */
    if (!(offer->has & TLS_OFFER_HAS_MODES))
        return TLS_REASON_NO_PSK_MODES; /* RFC 8446, 4.2.9 */
    if (!offer->psk_dhe_ke)
        return TLS_REASON_NO_PSK_DHE;
    if (offer->identity_count != offer->binder_count)
        return TLS_REASON_PSK_BINDERS; /* RFC 8446, 4.2.11 */
    return TLS_REASON_NONE;
}

/* RFC 8446, 4.2.8: each share is of a group in supported_groups, in the order of the groups, none twice. All
 * of that holds if the groups after the last match always have the next one, so one pass through the groups
 * is enough. A server MAY check it; lists that are longer than what is kept are not checked. */
static enum tls_reason check_order_of_shares(const struct tls_offer *offer)
{
    uint32_t next = 0;
    if (offer->group_count > TLS_OFFER_GROUPS_MAX || offer->share_count > TLS_OFFER_SHARES_MAX)
        return TLS_REASON_NONE;
    for (uint32_t i = 0; i < offer->share_count; i++) {
        while (next < offer->group_count && offer->groups[next] != offer->shares[i])
            next++;
        if (next++ == offer->group_count)
            return TLS_REASON_KEY_SHARE;
    }
    return TLS_REASON_NONE;
}

/* supported_groups and key_share go together (RFC 8446, 9.2), and psk_dhe_ke needs both (4.2.9). */
static enum tls_reason check_groups(const struct tls_offer *offer)
{
    const unsigned both = TLS_OFFER_HAS_GROUPS | TLS_OFFER_HAS_SHARES;
    if ((offer->has & both) != both)
        return TLS_REASON_EXTENSION_MISSING;
    return check_order_of_shares(offer);
}

enum tls_reason tls_offer_check(const struct tls_offer *offer)
{
    enum tls_reason reason = check_version(offer);
    if (reason == TLS_REASON_NONE)
        reason = check_psk(offer);
    if (reason == TLS_REASON_NONE)
        reason = check_groups(offer);
    return reason;
}
