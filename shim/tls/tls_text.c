/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
/* Names for log lines. */

#include "tls/tls.h"

const char *tls_suite_name(uint16_t suite)
{
    switch (suite) {
    case TLS_SUITE_NONE:
        return "none";
    case TLS_SUITE_CHACHA20_POLY1305_SHA256:
        return "TLS_CHACHA20_POLY1305_SHA256";
    case TLS_SUITE_AEGIS_128L_SHA256:
        return "TLS_AEGIS_128L_SHA256";
    case TLS_SUITE_AEGIS_128X2_SHA256:
        return "SOCKSEAL_AEGIS_128X2_SHA256";
    case TLS_SUITE_AEGIS_128X4_SHA256:
        return "SOCKSEAL_AEGIS_128X4_SHA256";
    default:
        return "unknown";
    }
}

const char *tls_group_name(uint16_t group)
{
    switch (group) {
    case TLS_GROUP_NONE:
        return "none";
    case TLS_GROUP_X25519:
        return "X25519";
    case TLS_GROUP_X25519MLKEM768:
        return "X25519MLKEM768";
    default:
        return "unknown";
    }
}

/* All of RFC 8446, 6 and of the registry's TLS 1.3 rows: a peer may send any of them. */
const char *tls_alert_name(uint8_t alert)
{
    static const char *const names[] = {
        [0] = "close_notify",
        [10] = "unexpected_message",
        [20] = "bad_record_mac",
        [22] = "record_overflow",
        [40] = "handshake_failure",
        [42] = "bad_certificate",
        [43] = "unsupported_certificate",
        [44] = "certificate_revoked",
        [45] = "certificate_expired",
        [46] = "certificate_unknown",
        [47] = "illegal_parameter",
        [48] = "unknown_ca",
        [49] = "access_denied",
        [50] = "decode_error",
        [51] = "decrypt_error",
        [70] = "protocol_version",
        [71] = "insufficient_security",
        [80] = "internal_error",
        [86] = "inappropriate_fallback",
        [90] = "user_canceled",
        [109] = "missing_extension",
        [110] = "unsupported_extension",
        [112] = "unrecognized_name",
        [113] = "bad_certificate_status_response",
        [115] = "unknown_psk_identity",
        [116] = "certificate_required",
        [120] = "no_application_protocol",
    };
    if (alert < sizeof names / sizeof names[0] && names[alert] != NULL)
        return names[alert];
    return "unknown";
}
