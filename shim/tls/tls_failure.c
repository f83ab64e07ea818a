/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_failure.h"

static const struct {
    uint8_t result; /* enum tls_result */
    uint8_t alert;  /* enum tls_alert */
    const char *text;
} failures[TLS_REASON_COUNT] = {
    [TLS_REASON_NONE] = {TLS_OK, TLS_ALERT_NONE, "no failure"},

    [TLS_REASON_NOT_TLS] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE, "the peer does not speak TLS"},
    [TLS_REASON_RECORD_TYPE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                                "the peer sent a record of a type that is not allowed here"},
    [TLS_REASON_RECORD_CLEAR] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                                 "the peer sent a record in the clear where it must be encrypted"},
    [TLS_REASON_RECORD_LONG] = {TLS_FAIL_PROTOCOL, TLS_ALERT_RECORD_OVERFLOW,
                                "the peer sent a record that is longer than TLS allows"},
    [TLS_REASON_RECORD_EMPTY] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                                 "the peer sent an empty record of a type that may not be empty"},
    [TLS_REASON_RECORD_PADDING] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                                   "the peer sent a record of padding alone"},
    [TLS_REASON_RECORD_MAC] = {TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC,
                               "a record does not authenticate: it was changed on the way"},
    [TLS_REASON_CCS] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                        "the peer sent a change_cipher_spec where none is allowed"},
    [TLS_REASON_ALERT_SIZE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR,
                               "the peer sent an alert that is not two bytes long"},
    [TLS_REASON_SEQUENCE] = {TLS_FAIL_LIMIT, TLS_ALERT_INTERNAL_ERROR,
                             "a key has protected as many records as it may"},

    [TLS_REASON_INTERLEAVED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                                "the peer put another record into the middle of a handshake message"},
    [TLS_REASON_KEY_CHANGE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                               "the peer's handshake messages go past a change of keys within one record"},
    [TLS_REASON_ORDER] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                          "the peer sent a handshake message out of its order"},
    [TLS_REASON_MESSAGE_LONG] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                 "the peer sent a handshake message of an unreasonable length"},
    [TLS_REASON_FRAGMENTS] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                              "the peer sent a handshake message in an unreasonable number of records"},
    [TLS_REASON_MALFORMED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR,
                              "the peer sent a message that does not decode"},
    [TLS_REASON_EXTENSION_TWICE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                    "the peer sent an extension twice"},
    [TLS_REASON_EXTENSION_FORBIDDEN] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                        "the peer sent an extension in a message where it is forbidden"},
    [TLS_REASON_EXTENSION_UNASKED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNSUPPORTED_EXTENSION,
                                      "the peer sent an extension that was not asked for"},
    [TLS_REASON_EXTENSION_MISSING] = {TLS_FAIL_PROTOCOL, TLS_ALERT_MISSING_EXTENSION,
                                      "the peer's ClientHello lacks supported_groups or key_share"},
    [TLS_REASON_SSL3] = {TLS_FAIL_PROTOCOL, TLS_ALERT_PROTOCOL_VERSION, "the peer speaks SSL 3.0 or older"},
    [TLS_REASON_LEGACY_VERSION] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                   "the peer's legacy_version is not 0x0303"},
    [TLS_REASON_COMPRESSION] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                "the peer wants compression, which TLS 1.3 does not have"},
    [TLS_REASON_KEY_SHARE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                              "the peer's key_share breaks the rules"},
    [TLS_REASON_SMALL_ORDER] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                "the peer's X25519 value leads to a shared secret of zeros"},
    [TLS_REASON_FINISHED] = {TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR, "the peer's Finished does not verify"},

    [TLS_REASON_NO_TLS13_OFFERED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_PROTOCOL_VERSION,
                                     "the peer does not offer TLS 1.3"},
    [TLS_REASON_NO_PSK_OFFERED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_HANDSHAKE_FAILURE,
                                   "the peer offers no pre-shared key"},
    [TLS_REASON_NO_PSK_MODES] = {TLS_FAIL_PROTOCOL, TLS_ALERT_MISSING_EXTENSION,
                                 "the peer offers a pre-shared key without psk_key_exchange_modes"},
    [TLS_REASON_NO_PSK_DHE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_HANDSHAKE_FAILURE,
                               "the peer does not offer a pre-shared key with Diffie-Hellman (psk_dhe_ke)"},
    [TLS_REASON_NO_GROUP] = {TLS_FAIL_PROTOCOL, TLS_ALERT_HANDSHAKE_FAILURE,
                             "no key exchange group in common"},
    [TLS_REASON_NO_SUITE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_HANDSHAKE_FAILURE, "no cipher suite in common"},
    [TLS_REASON_PSK_NOT_LAST] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                 "the peer's pre_shared_key is not the last extension"},
    [TLS_REASON_PSK_BINDERS] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                "the peer's pre-shared key identities and binders do not match in number"},
    /* RFC 8446, E.6, 6.2: the same alert as for a wrong binder, so that identities cannot be probed. */
    [TLS_REASON_PSK_UNKNOWN] =
        {TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR,
         "the peer offers no pre-shared key identity that is known here and may be used by it"},
    [TLS_REASON_BINDER] = {TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR,
                           "the peer has another key under this identity (the PSK binder does not verify)"},
    [TLS_REASON_SECOND_HELLO] =
        {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
         "the peer's second ClientHello does not fit the first and our HelloRetryRequest"},

    [TLS_REASON_OLD_SERVER] = {TLS_FAIL_PROTOCOL, TLS_ALERT_PROTOCOL_VERSION,
                               "the peer does not speak TLS 1.3"},
    [TLS_REASON_VERSION_CHOSEN] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                   "the peer chose a version that was not offered"},
    [TLS_REASON_SESSION_ID] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                               "the peer does not echo the session id"},
    [TLS_REASON_SUITE_CHOSEN] =
        {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
         "the peer chose a cipher suite that was not offered, or another than before"},
    [TLS_REASON_PSK_CHOSEN] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                               "the peer chose a pre-shared key that was not offered"},
    [TLS_REASON_PSK_IGNORED] = {TLS_FAIL_KEY, TLS_ALERT_HANDSHAKE_FAILURE,
                                "the peer accepts none of our pre-shared keys and goes on without"},
    [TLS_REASON_RETRY_USELESS] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                  "the peer's HelloRetryRequest would change nothing"},
    [TLS_REASON_RETRY_TWICE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE,
                                "the peer sent a second HelloRetryRequest"},
    [TLS_REASON_COOKIE_LONG] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                "the peer's HelloRetryRequest has a cookie of an unreasonable length"},

    [TLS_REASON_KEY_UPDATE_VALUE] = {TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER,
                                     "the peer sent a KeyUpdate that is neither asked for nor asking"},
    [TLS_REASON_UPDATES] = {TLS_FAIL_LIMIT, TLS_ALERT_INTERNAL_ERROR,
                            "the keys were renewed as often as they may be"},

    [TLS_REASON_KEY_REFUSED] = {TLS_FAIL_KEY, TLS_ALERT_NONE,
                                "the peer refuses our pre-shared key: its key or identity differs"},
    [TLS_REASON_VERSION_REFUSED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_NONE,
                                    "the peer does not speak TLS 1.3 (its alert says protocol_version)"},
    [TLS_REASON_HELLO_REFUSED] =
        {TLS_FAIL_PROTOCOL, TLS_ALERT_NONE,
         "the peer refuses our ClientHello: it may have another key for us, or no suite in common"},
    [TLS_REASON_HANDSHAKE_REFUSED] = {TLS_FAIL_PROTOCOL, TLS_ALERT_NONE,
                                      "the peer ended the handshake with an alert"},
    [TLS_REASON_CLOSED_EARLY] = {TLS_FAIL_PROTOCOL, TLS_ALERT_NONE,
                                 "the peer closed the connection in the middle of the handshake"},
    [TLS_REASON_PEER_ALERT] = {TLS_FAIL_PEER_ALERT, TLS_ALERT_NONE,
                               "the peer ended the connection with a fatal alert"},

    [TLS_REASON_NO_KEY] = {TLS_FAIL_INTERNAL, TLS_ALERT_NONE, "there is no usable pre-shared key"},
    [TLS_REASON_NO_RANDOM] = {TLS_FAIL_INTERNAL, TLS_ALERT_INTERNAL_ERROR,
                              "the kernel gives no random numbers (getrandom, /dev/urandom)"},
    [TLS_REASON_NO_USABLE_SUITE] = {TLS_FAIL_INTERNAL, TLS_ALERT_NONE,
                                    "none of the suites that SOCKSEAL_SUITES names is for this processor"},
    [TLS_REASON_NO_USABLE_GROUP] = {TLS_FAIL_INTERNAL, TLS_ALERT_NONE,
                                    "none of the groups that SOCKSEAL_GROUPS names is there in this build"},
    [TLS_REASON_MISUSE] = {TLS_FAIL_INTERNAL, TLS_ALERT_INTERNAL_ERROR, "internal error"},
    [TLS_REASON_DECLARED] = {TLS_OK, TLS_ALERT_NONE, "the connection was given up"},
};

/* The fields are plain bytes in memory that both directions share, each perhaps with its own lock; the atomic
 * exchange lets exactly one of them write the reason. */
static enum tls_result set_first(struct tls_session *session, uint8_t result, enum tls_reason reason,
                                 uint8_t alert)
{
    uint8_t earlier = TLS_OK;
    if (!__atomic_compare_exchange_n(&session->failure, &earlier, result, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        return (enum tls_result)earlier;
    __atomic_store_n(&session->reason, (uint8_t)reason, __ATOMIC_RELEASE);
    __atomic_store_n(&session->alert_out, alert, __ATOMIC_RELEASE);
    return (enum tls_result)result;
}

enum tls_result tls_failure_set(struct tls_session *session, enum tls_reason reason)
{
    if (reason == TLS_REASON_NONE)
        return tls_failure_get(session);
    return set_first(session, failures[reason].result, reason, failures[reason].alert);
}

void tls_failure_declare(struct tls_session *session, enum tls_result result)
{
    if (result != TLS_OK)
        (void)set_first(session, (uint8_t)result, TLS_REASON_DECLARED, TLS_ALERT_NONE);
}

enum tls_result tls_failure_get(const struct tls_session *session)
{
    return (enum tls_result)__atomic_load_n(&session->failure, __ATOMIC_ACQUIRE);
}

const char *tls_session_reason(const struct tls_session *session)
{
    uint8_t reason = __atomic_load_n(&session->reason, __ATOMIC_ACQUIRE);
    return failures[reason < TLS_REASON_COUNT ? reason : TLS_REASON_MISUSE].text;
}
