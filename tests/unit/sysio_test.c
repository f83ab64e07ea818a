/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A reader comes back from the kernel and does not hold its lock any more: a signal handler of its thread has
 * taken it, and after that a process that was killed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/fdtable.h"
#include "record/sysio.h"
#include "sealed_entry.h"

struct taking {
    struct conn *conn;
    uint64_t word; /* what the role is to be while the reader is away */
    int peer;
};

/* As the owner of a lock. */
static uint64_t dead_process(void)
{
    assert_true(fdtable_init()); /* learns the namespace */
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return (self_id() >> 32 << 32) | (uint32_t)child;
}

/* Takes the lock from the reader while that is in the kernel, and lets it come back. */
static void *take_from_reader(void *context)
{
    struct taking *taking = context;
    while (!(atomic_load(&taking->conn->rx_lock.word) & LOCK_BLOCKED_BIT))
        sched_yield();
    atomic_store(&taking->conn->rx_lock.word, taking->word);
    return write(taking->peer, "x", 1) == 1 ? context : NULL;
}

/* What a reader gets whose role has become `word` meanwhile; the role is his. */
static struct io_result read_while_taken(struct conn_handle *handle, uint64_t word)
{
    int ends[2];
    char byte;
    pthread_t thread;
    void *result;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    *handle = make_sealed(ends[0]);
    struct taking taking = {handle->conn, word, ends[1]};
    assert_true(lock_try(&handle->conn->rx_lock));
    assert_int_equal(pthread_create(&thread, NULL, take_from_reader, &taking), 0);
    struct io_result got = sysio_recv(handle, &byte, 1, 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &taking);
    return got;
}

static void test_taken_by_a_reader_who_died_in_the_kernel(void **state)
{
    struct conn_handle handle;
    bool parked;
    (void)state;
    assert_int_equal(read_while_taken(&handle, dead_process() | LOCK_BLOCKED_BIT).value, 1);
    assert_true(lock_mine(&handle.conn->rx_lock, &parked) && !parked);
    lock_release(&handle.conn->rx_lock);
    assert_false(conn_failed(handle.conn));
}

static void test_taken_by_a_reader_who_died_at_work(void **state)
{
    struct conn_handle handle;
    (void)state;
    assert_int_equal(read_while_taken(&handle, dead_process()).status, IO_LOCK_LOST);
    assert_true(conn_failed(handle.conn));
    assert_true(lock_try(&handle.conn->rx_lock));
    lock_release(&handle.conn->rx_lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_by_a_reader_who_died_in_the_kernel),
        cmocka_unit_test(test_taken_by_a_reader_who_died_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
