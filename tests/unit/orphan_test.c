/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The end of a connection that the program has closed (io/orphan.h), while other threads use it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/fdtable.h"
#include "conn/pending.h"
#include "io/orphan.h"
#include "sealed_entry.h"

/* An orphan whose time is over. */
static struct conn_handle new_orphan(int fd)
{
    struct conn_handle handle = make_sealed(fd);
    arena_set_cookie(arena_slot_of(handle.conn), fdtable_cookie(fd));
    fdtable_set_flags(fd, FDTABLE_ORPHAN);
    pending_add(fd);
    handle.conn->status.deadline_ms = 0;
    return handle;
}

struct owner {
    struct lock *lock;
    bool blocked;
    _Atomic int state; /* 1: it has the lock; 2: it is to release it */
};

static void *own(void *argument)
{
    struct owner *owner = argument;
    lock_take(owner->lock);
    if (owner->blocked)
        lock_block(owner->lock);
    atomic_store(&owner->state, 1);
    while (atomic_load(&owner->state) != 2)
        usleep(1000);
    if (!owner->blocked || lock_unblock(owner->lock))
        lock_release(owner->lock);
    return NULL;
}

/* What a thread holds by `lock` while the orphan is to be closed: it is, or not before the thread is done. */
static void closed_beside(bool sending, bool blocked)
{
    int ends[2];
    pthread_t thread;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct conn_handle handle = new_orphan(ends[0]);
    struct owner owner = {.lock = sending ? &handle.conn->tx_lock : &handle.conn->rx_lock,
                          .blocked = blocked};
    const uint32_t pending = atomic_load(&pending_count);
    assert_int_equal(pthread_create(&thread, NULL, own, &owner), 0);
    while (atomic_load(&owner.state) != 1)
        usleep(1000);
    const bool stays = !blocked || sending; /* a send goes on with the orphan's number */
    if (stays) {
        assert_false(orphan_step(&handle, false));
        assert_true(fcntl(ends[0], F_GETFD) >= 0);
        assert_true(fdtable_current(&handle));
        assert_int_equal(atomic_load(&pending_count), pending);
        atomic_store(&owner.state, 2);
        pthread_join(thread, NULL);
        handle.conn->status.deadline_ms = 0;
    }
    assert_true(orphan_step(&handle, false));
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    assert_int_equal(atomic_load(&pending_count), pending - 1);
    if (!stays) {
        atomic_store(&owner.state, 2);
        pthread_join(thread, NULL);
    }
    close(ends[1]);
}

static void test_a_thread_computes_with_the_receiving_lock(void **state)
{
    (void)state;
    closed_beside(false, false);
}

static void test_a_thread_computes_with_the_sending_lock(void **state)
{
    (void)state;
    closed_beside(true, false);
}

/* The program puts another file in the orphan's place. */
static void test_the_number_is_wanted(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct conn_handle handle = new_orphan(ends[0]);
    struct owner owner = {.lock = &handle.conn->tx_lock};
    pthread_t thread;
    const uint32_t pending = atomic_load(&pending_count);
    assert_int_equal(pthread_create(&thread, NULL, own, &owner), 0);
    while (atomic_load(&owner.state) != 1)
        usleep(1000);
    assert_false(orphan_make_way(ends[0]));
    assert_true(fdtable_current(&handle));
    assert_int_equal(fdtable_descriptors(handle.conn), 1);
    atomic_store(&owner.state, 2);
    pthread_join(thread, NULL);
    assert_true(orphan_make_way(ends[0]));
    assert_false(fdtable_has(ends[0]));
    assert_int_equal(fdtable_descriptors(handle.conn), 1);
    assert_int_equal(atomic_load(&pending_count), pending);
    handle.fd = fdtable_any(handle.conn, -1);
    assert_true(orphan_step(&handle, false));
    close(ends[0]), close(ends[1]);
}

static void test_a_thread_is_in_a_system_call(void **state)
{
    (void)state;
    closed_beside(false, true);
    closed_beside(true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_computes_with_the_receiving_lock),
        cmocka_unit_test(test_a_thread_computes_with_the_sending_lock),
        cmocka_unit_test(test_the_number_is_wanted),
        cmocka_unit_test(test_a_thread_is_in_a_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
