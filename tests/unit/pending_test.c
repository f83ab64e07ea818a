/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The marks of pending connections, when a thread comes late: it works with a connection whose descriptor was
 * closed meanwhile, and whose number is another connection's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/pending.h"
#include "sealed_entry.h"

static struct conn_handle seal(int fd)
{
    struct conn_handle handle = make_sealed(fd);
    arena_set_cookie(arena_slot_of(handle.conn), fdtable_cookie(fd));
    return handle;
}

static void unseal(const struct conn_handle *handle)
{
    bool left, last;
    pending_remove(handle->fd);
    assert_true(fdtable_hide(handle, &left, &last));
    close(handle->fd);
    fdtable_publish(handle->fd);
    if (last)
        conn_discard(handle->conn);
}

struct scene {
    struct conn_handle old, now; /* of the same descriptor */
    int peer;
};

/* The old connection has failed, as one that was closed may have; the new one is in its handshake. */
static struct scene begin(void)
{
    struct scene scene;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    scene.old = seal(ends[0]);
    struct conn *kept = scene.old.conn;
    assert_true(conn_pin(kept, scene.old.generation)); /* as the late thread has */
    pending_add(ends[0]);
    conn_fail(kept, ECONNRESET);
    unseal(&scene.old);
    close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(ends[0], scene.old.fd);
    scene.now = seal(ends[0]);
    scene.peer = ends[1];
    assert_ptr_not_equal(scene.now.conn, kept);
    pending_add(ends[0]);
    assert_true(pending_epoll() >= 0);
    return scene;
}

/* It is pending, and what comes for it is an event. */
static void expect_pending(struct scene *scene)
{
    struct pollfd polled = {.fd = pending_epoll(), .events = POLLIN};
    assert_true(fdtable_flags(scene->now.fd) & FDTABLE_PENDING);
    assert_int_equal(pending_count, 1);
    assert_true(polled.fd >= 0);
    assert_int_equal(write(scene->peer, "x", 1), 1);
    assert_int_equal(poll(&polled, 1, 1000), 1);
    unseal(&scene->now);
    conn_unpin(scene->old.conn);
    assert_int_equal(pending_count, 0);
    close(scene->peer);
}

static void test_settled_late(void **state)
{
    (void)state;
    struct scene scene = begin();
    pending_settle(&scene.old);
    expect_pending(&scene);
}

static void test_dropped_late(void **state)
{
    (void)state;
    struct scene scene = begin();
    pending_drop(&scene.old);
    expect_pending(&scene);
}

static void test_watched_late(void **state)
{
    (void)state;
    struct scene scene = begin();
    /* It would wait for room to send, which is there at once. */
    scene.old.conn->tx.to_send = 1;
    scene.old.conn->tx.can_send = 1;
    pending_watch(&scene.old);
    assert_false(fdtable_flags(scene.now.fd) & FDTABLE_WATCH_OUT);
    assert_true(fdtable_flags(scene.now.fd) & FDTABLE_WATCH_IN);
    scene.old.conn->tx.to_send = 0;
    expect_pending(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settled_late),
        cmocka_unit_test(test_dropped_late),
        cmocka_unit_test(test_watched_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
