/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A descriptor is closed while another thread works on its connection: the one who closes waits for a thread
 * that computes with a lock, which must wait for nothing of the closer's, and what is left of the connection
 * stays to be done. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/hold.h"
#include "conn/pending.h"
#include "io/ending.h"
#include "sealed_entry.h"

enum { LIMIT_S = 20 };

/* What close(2) does to the table, and dup2(2), which has its lock meanwhile. */
struct closer {
    struct conn_handle handle;
    bool by_dup2;
};

static void *end_descriptor(void *context)
{
    struct closer *closer = context;
    bool left, last, locked = closer->by_dup2 && fdtable_lock();
    bool hidden = fdtable_hide(&closer->handle, &left, &last);
    hold_drain(&closer->handle);
    fdtable_publish(closer->handle.fd);
    fdtable_unlock(locked);
    return hidden ? context : NULL;
}

static pthread_t start(struct closer *closer)
{
    pthread_t thread;
    alarm(LIMIT_S);
    assert_int_equal(pthread_create(&thread, NULL, end_descriptor, closer), 0);
    while (fdtable_current(&closer->handle))
        sched_yield();
    return thread;
}

static void finish(pthread_t thread, struct closer *closer)
{
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, closer);
    alarm(0);
}

static void test_a_writer_leaves_work(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct closer closer = {.handle = make_sealed(ends[0])};
    assert_int_equal(hold_tx(&closer.handle, HOLD_WAIT), HOLD_TAKEN);
    pthread_t thread = start(&closer);
    pending_add(ends[0]);
    assert_false(pending_any());
    conn_release_tx(closer.handle.conn);
    finish(thread, &closer);
    close(ends[0]), close(ends[1]);
}

/* By a descriptor that is being replaced, and by another one of the same connection. */
static void test_a_reader_shuts_the_socket_down(void **state)
{
    int ends[2];
    char byte;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct closer closer = {.handle = make_sealed(ends[0]), .by_dup2 = true};
    int copy = dup(ends[0]);
    fdtable_add(copy, closer.handle.conn, closer.handle.generation);
    struct conn_handle other = fdtable_find(copy);
    assert_int_equal(hold_rx(&other, HOLD_WAIT), HOLD_TAKEN);
    pthread_t thread = start(&closer);
    assert_int_equal(fdtable_shutdown(&closer.handle, SHUT_RDWR), -ENOTCONN);
    assert_int_equal(fdtable_shutdown(&other, SHUT_RDWR), 0);
    assert_int_equal(read(ends[1], &byte, 1), 0);
    conn_release_rx(closer.handle.conn);
    finish(thread, &closer);
    close(ends[0]), close(ends[1]), close(copy);
}

/* A thread has looked the descriptor up, and comes to end the connection when an orphan has taken its place:
 * the close_notify is still to be sent. */
static void test_a_late_thread_leaves_the_end_to_the_orphan(void **state)
{
    int ends[2];
    bool left, last;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct conn_handle late = make_sealed(ends[0]);
    struct conn *conn = late.conn;
    int copy = dup(ends[0]);
    fdtable_add(copy, conn, late.generation);
    conn_enter(conn, CONN_ESTABLISHED);
    conn->tx.can_send = 1;
    conn->status.close_pending = 1;
    assert_true(fdtable_hide(&late, &left, &last));
    ending_step(&late);
    assert_true(conn->status.close_pending);
    assert_false(conn->tx.close_sent);
    fdtable_publish(ends[0]);
    close(ends[0]), close(ends[1]), close(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_writer_leaves_work),
        cmocka_unit_test(test_a_reader_shuts_the_socket_down),
        cmocka_unit_test(test_a_late_thread_leaves_the_end_to_the_orphan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
