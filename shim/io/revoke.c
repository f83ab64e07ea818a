/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/revoke.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/error.h"
#include "conn/fdtable.h"
#include "diag/log.h"
#include "record/tx_flush.h"
#include "sys/file.h"
#include "sys/lookup.h"
#include "sys/net.h"

enum { CHECK_MS = 1000 };

/* The process that has the thread; 0: none. */
static _Atomic int watched_process;

/* Whether the connection's key is gone. A connection that has no key yet is checked once it has one. */
static bool is_revoked(const struct conn *conn, const struct keyring *keys)
{
    return conn_phase(conn) >= CONN_ESTABLISHED && !conn_failed(conn) && conn->key_tag != 0 &&
           keyring_tag(keys, conn->session.identity, conn->session.identity_len) != conn->key_tag;
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

static void *watch(void *unused)
{
    const struct timespec second = {CHECK_MS / 1000, 0};
    do {
        net_ppoll(NULL, 0, &second);
        /* A filter of the program's own may not allow a thread to end: it sleeps for good instead. */
        if (keyring_is_frozen())
            net_ppoll(NULL, 0, NULL);
    } while (check_all());
    atomic_store(&watched_process, 0);
    if (fdtable_bound() > 0 && check_all())
        revoke_watch(); /* a connection came after the last check */
    return unused;
}

/* pthread_create(3), which before glibc 2.34 is in libpthread: a program without it has no such thread. */
typedef int start_thread(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

void revoke_watch(void)
{
    pthread_t thread;
    pthread_attr_t detached;
    sigset_t all, before;
    start_thread *start = NULL;
    static atomic_bool reported;
    if (!config_get()->close_removed_keys)
        return;
    int self = sys_getpid(), process = atomic_load(&watched_process);
    if (process == self || !atomic_compare_exchange_strong(&watched_process, &process, self))
        return;
    void *symbol = lookup_next("pthread_create");
    memcpy(&start, &symbol, sizeof symbol);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    sys_sigprocmask(SIG_SETMASK, &all, &before);
    int error = start ? start(&thread, &detached, watch, NULL) : EAGAIN;
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    if (error && !atomic_exchange(&reported, true))
        log_line(LOG_WARN,
                 "SOCKSEAL_REMOVED_KEYS=close: no thread can be started, so connections outlive their "
                 "keys in this process: %s",
                 start ? "resources are short" : "libpthread is not there");
    if (error)
        atomic_store(&watched_process, 0);
}
