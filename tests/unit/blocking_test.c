/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A reader comes back from the kernel, and his role is not his any more: a signal handler of his has taken
 * it, and after that a process that was killed. */

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

#include "config/config.h"
#include "conn/blocking.h"
#include "conn/registry.h"

struct taking {
    struct conn *conn;
    uint32_t word; /* what the role is to be while the reader is away */
    int peer;
};

static uint32_t dead_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return (uint32_t)child;
}

/* Takes the role from the reader when he is in the kernel, and lets him come back. */
static void *take_from_reader(void *context)
{
    struct taking *taking = context;
    while (!(atomic_load(&taking->conn->rx.word) & ROLE_PARKED_BIT))
        sched_yield();
    atomic_store(&taking->conn->rx.word, taking->word);
    return write(taking->peer, "x", 1) == 1 ? context : NULL;
}

static struct sealed make_sealed(int fd)
{
    config_load();
    assert_true(conn_open_arena() && registry_open());
    struct conn *conn = conn_new(TLS_CLIENT, false);
    assert_non_null(conn);
    registry_add(fd, conn, atomic_load(&conn->generation));
    return registry_find(fd);
}

/* What a reader gets whose role has become `word` meanwhile; the role is his. */
static ssize_t read_while_taken(struct sealed *sealed, uint32_t word)
{
    int ends[2];
    char byte;
    pthread_t thread;
    void *result;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    *sealed = make_sealed(ends[0]);
    struct taking taking = {sealed->conn, word, ends[1]};
    assert_true(role_try(&sealed->conn->rx));
    assert_int_equal(pthread_create(&thread, NULL, take_from_reader, &taking), 0);
    ssize_t got = blocking_receive(sealed, &byte, 1, 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &taking);
    return got;
}

static void test_taken_by_a_reader_who_died_in_the_kernel(void **state)
{
    struct sealed sealed;
    bool parked;
    (void)state;
    assert_int_equal(read_while_taken(&sealed, dead_process() | ROLE_PARKED_BIT), 1);
    assert_true(role_mine(&sealed.conn->rx, &parked) && !parked);
    role_release(&sealed.conn->rx);
    assert_false(conn_failed(sealed.conn));
}

static void test_taken_by_a_reader_who_died_at_work(void **state)
{
    struct sealed sealed;
    (void)state;
    assert_int_equal(read_while_taken(&sealed, dead_process()), -ESTALE);
    assert_true(conn_failed(sealed.conn));
    assert_true(role_try(&sealed.conn->rx));
    role_release(&sealed.conn->rx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_by_a_reader_who_died_in_the_kernel),
        cmocka_unit_test(test_taken_by_a_reader_who_died_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
