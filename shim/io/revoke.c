/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/revoke.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/error.h"
#include "conn/fdtable.h"
#include "conn/pending.h"
#include "diag/log.h"
#include "record/tx_flush.h"
#include "sys/net.h"

enum { CHECK_MS = 1000 };

/* Whether the connection's key is gone. A connection that has no key yet is checked once it has one. */
static bool is_revoked(const struct conn *conn, const struct keyring *keys)
{
    return conn_phase(conn) >= CONN_ESTABLISHED && !conn_failed(conn) && conn->key_tag != 0 &&
           keyring_tag(keys, conn->session.identity, tls_session_identity_len(&conn->session)) !=
               conn->key_tag;
}

static void end_revoked(int fd, const struct keyring *keys)
{
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn || handle.conn == &fdtable_dead || !conn_pin(handle.conn, handle.generation))
        return;
    if (is_revoked(handle.conn, keys)) {
        tx_flush_alert(&handle, TLS_ALERT_ACCESS_DENIED);
        error_set(&handle, EKEYREVOKED, "the connection's key was taken out of the key file");
    }
    conn_unpin(handle.conn);
}

/* Ends the connections whose key is gone. Whether the process has a sealed connection. */
static bool check_all(void)
{
    const struct keyring *keys = keyring_acquire();
    bool any = false;
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        if (!fdtable_has(fd))
            continue;
        any = true;
        if (keys)
            end_revoked(fd, keys);
    }
    keyring_release(keys);
    return any;
}

static _Atomic int64_t next_ms = INT64_MAX;

int64_t revoke_next(void)
{
    return atomic_load(&next_ms);
}

void revoke_check(void)
{
    if (net_now_ms() < atomic_load(&next_ms))
        return;
    const bool goes_on = !keyring_is_frozen() && check_all();
    atomic_store(&next_ms, goes_on ? net_now_ms() + CHECK_MS : INT64_MAX);
    /* A connection may have come after the last check. */
    if (!goes_on && !keyring_is_frozen() && check_all())
        atomic_store(&next_ms, net_now_ms() + CHECK_MS);
}

void revoke_watch(void)
{
    int64_t none = INT64_MAX;
    if (!config_get()->close_removed_keys || keyring_is_frozen())
        return;
    atomic_compare_exchange_strong(&next_ms, &none, net_now_ms() + CHECK_MS);
    if (pending_carry)
        pending_carry();
}

void revoke_impossible(void)
{
    static atomic_bool told;
    if (revoke_next() != INT64_MAX && !atomic_exchange(&told, true))
        log_line(LOG_WARN, "SOCKSEAL_REMOVED_KEYS=close: no thread can be started, so connections outlive "
                           "their keys in this process");
}
