/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/ping_tls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "diag/escape.h"
#include "sys/net.h"

enum { SHOWN = 40 /* bytes of a foreign answer */ };

static const char advice_silent[] =
    "the other end takes connections and does not answer TLS: it is not sealed and waits for its own "
    "protocol, or nothing accepts there (SOCKSEAL_PORTS of the program there, and the port)";
static const char advice_closed[] =
    "the other end is not sealed and does not understand what it was sent, or its program refuses this host";
static const char advice_plain[] =
    "the other end is not sealed: SOCKSEAL_PORTS there does not name this port, "
    "or the program was started without sockseal";
static const char advice_key[] =
    "the other end has another key under this identity, or does not know the identity, or its rules do not "
    "allow this host to use it: compare `sockseal keys FILE` of both ends over the telephone";
static const char advice_none[] =
    "the rules behind the keys, or SOCKSEAL_IDENTITY, leave none for this address";
static const char advice_stock[] =
    "a TLS server that is not sealed and has no pre-shared key of ours, or one "
    "that allows none of our suites (SOCKSEAL_SUITES)";

/* What is known while the handshake goes on. */
struct shaking {
    struct ping_tls *ping;
    const struct tls_config *config;
    int fd;
    int64_t until_ms;
    struct tls_handshake handshake;
    uint8_t received[TLS_RECORD_MAX];
    size_t have;
    bool answered; /* something came */
};

static bool fail(struct shaking *shaking, const char *reason, const char *advice)
{
    snprintf(shaking->ping->reason, sizeof shaking->ping->reason, "%s", reason);
    shaking->ping->advice = advice;
    shaking->ping->about_keys = advice == advice_key;
    return false;
}

static bool wait_for(struct shaking *shaking, short events)
{
    for (;;) {
        struct pollfd ready = {.fd = shaking->fd, .events = events};
        int64_t left = shaking->until_ms - net_now_ms();
        int result = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (result > 0)
            return true;
        if (result == 0)
            return fail(shaking, "no answer in time", shaking->answered ? NULL : advice_silent);
        if (errno != EINTR)
            return fail(shaking, strerror(errno), NULL);
    }
}

static bool send_all(struct shaking *shaking, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(shaking->fd, data, len, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            return fail(shaking, strerror(errno), advice_closed);
        } else if (!wait_for(shaking, POLLOUT)) {
            return false;
        }
    }
    return true;
}

/* Something that is no TLS: the other program's own protocol, which is worth seeing. */
static bool fail_foreign(struct shaking *shaking)
{
    char shown[4 * SHOWN + 4], reason[256];
    size_t len = shaking->have < SHOWN ? shaking->have : SHOWN;
    snprintf(reason, sizeof reason, "the answer is no TLS: \"%s\"",
             escape_peer(shown, sizeof shown, shaking->received, len));
    return fail(shaking, reason, advice_plain);
}

static const char *advice_for(const struct tls_session *session)
{
    switch (session->alert_in) {
    case TLS_ALERT_UNKNOWN_PSK_IDENTITY:
    case TLS_ALERT_DECRYPT_ERROR:
        return advice_key;
    case TLS_ALERT_NONE:
        return session->failure == TLS_FAIL_KEY ? advice_key : advice_stock;
    default:
        return advice_stock;
    }
}

static bool fail_tls(struct shaking *shaking)
{
    const struct tls_session *session = &shaking->ping->session;
    char reason[256];
    if (session->alert_in == TLS_ALERT_NONE)
        snprintf(reason, sizeof reason, "%s", tls_session_reason(session));
    else
        snprintf(reason, sizeof reason, "%s (alert %s)", tls_session_reason(session),
                 tls_alert_name(session->alert_in));
    return fail(shaking, reason, advice_for(session));
}

/* Receives until a whole record is there; its size, or 0 on failure. */
static size_t receive_record(struct shaking *shaking)
{
    struct tls_session *session = &shaking->ping->session;
    for (;;) {
        size_t size;
        if (tls_record_size(session, shaking->received, shaking->have, &size) != TLS_OK)
            return shaking->answered && !session->heard ? fail_foreign(shaking) : fail_tls(shaking);
        if (size > 0 && size <= shaking->have)
            return size;
        ssize_t got =
            recv(shaking->fd, shaking->received + shaking->have, sizeof shaking->received - shaking->have, 0);
        if (got > 0) {
            shaking->have += (size_t)got;
            shaking->answered = true;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            return fail(shaking, got == 0 ? "the connection was closed" : strerror(errno), advice_closed);
        } else if (!wait_for(shaking, POLLIN)) {
            return 0;
        }
    }
}

/* Sends what the engine has written to `out`, and the rest of a long ClientHello. */
static bool send_flight(struct shaking *shaking, struct tls_buffer *out)
{
    bool sent = send_all(shaking, out->data, out->len);
    for (out->len = 0; sent && tls_handshake_more(&shaking->ping->session, &shaking->handshake, out);
         out->len = 0)
        sent = send_all(shaking, out->data, out->len);
    return sent;
}

/* Takes a record and sends what answers it. */
static bool take_record(struct shaking *shaking, size_t size)
{
    struct tls_session *session = &shaking->ping->session;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    enum tls_result result =
        tls_handshake_record(session, &shaking->handshake, shaking->config, shaking->received, size, &out);
    shaking->have -= size;
    memmove(shaking->received, shaking->received + size, shaking->have);
    bool sent = send_flight(shaking, &out);
    return result == TLS_OK ? sent : fail_tls(shaking);
}

static bool shake(struct shaking *shaking)
{
    struct tls_session *session = &shaking->ping->session;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (tls_client_begin(session, &shaking->handshake, shaking->config, &out) != TLS_OK)
        return fail(shaking, tls_session_reason(session), advice_none);
    if (!send_flight(shaking, &out))
        return false;
    while (!session->complete) {
        size_t size = receive_record(shaking);
        if (size == 0 || !take_record(shaking, size))
            return false;
    }
    out.len = 0;
    tls_session_alert(session, TLS_ALERT_CLOSE_NOTIFY, &out);
    return send_all(shaking, bytes, out.len);
}

bool ping_tls(struct ping_tls *ping, int fd, const struct tls_config *config, int64_t limit_ms)
{
    static struct shaking shaking;
    shaking = (struct shaking){.ping = ping, .config = config, .fd = fd, .until_ms = net_now_ms() + limit_ms};
    *ping = (struct ping_tls){.advice = NULL};
    bool good = shake(&shaking);
    tls_handshake_wipe(&shaking.handshake);
    tls_session_fail(&ping->session, TLS_FAIL_INTERNAL);
    return good;
}
