/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A connection is to be moved whose last sender was killed: what it has sealed is not known.
 * emulated: no (qemu-user has no SO_COOKIE) */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "conn/fdtable.h"
#include "process/migrate.h"
#include "shm/ownfd.h"

/* As the owner of a lock. */
static uint64_t dead_process(void)
{
    assert_true(conn_open_arena() && fdtable_init()); /* learns the namespace */
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return (self_id() >> 32 << 32) | (uint32_t)child;
}

static struct conn *make_sealed(int fd)
{
    config_load();
    assert_true(conn_open_arena() && fdtable_init());
    struct conn *conn = conn_new(TLS_CLIENT, false);
    assert_non_null(conn);
    arena_set_cookie(conn->slot, fdtable_cookie(fd));
    fdtable_add(fd, conn, atomic_load(&conn->generation));
    conn->tx.attention = conn->rx.attention = 0; /* as of an established connection that is idle */
    return conn;
}

/* It fails, and no call takes the fast path. */
static void moved_with(uint64_t word)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct conn *conn = make_sealed(ends[0]);
    atomic_store(&conn->tx_lock.word, word);
    assert_null(migrate_in(ownfd_get(OWNFD_ARENA), fdtable_cookie(ends[0]), NULL, true));
    assert_int_equal(atomic_load(&conn->tx_lock.word), 0);
    assert_int_equal(conn->status.error, EIO);
    assert_true(conn_tx_has(conn, TX_FAILED));
    assert_true(conn->rx.attention & RX_FAILED);
    close(ends[1]);
}

static void test_its_sender_died_in_the_kernel(void **state)
{
    (void)state;
    moved_with(dead_process() | LOCK_BLOCKED_BIT);
}

static void test_its_sender_died_at_work(void **state)
{
    (void)state;
    moved_with(dead_process());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_sender_died_in_the_kernel),
        cmocka_unit_test(test_its_sender_died_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
