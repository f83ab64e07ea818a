/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a signal handler has written cannot be queued, since the arena has no more chunks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/hold.h"
#include "record/tx_flush.h"
#include "sealed_entry.h"

/* Its write has succeeded, so the connection fails rather than lose it in silence. */
static void test_no_memory_for_what_a_handler_wrote(void **state)
{
    int ends[2];
    struct rlimit before, none;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct conn_handle handle = make_sealed(ends[0]);
    assert_int_equal(hold_tx(&handle, HOLD_WAIT), HOLD_TAKEN);
    assert_int_equal(
        chunks_append(handle.conn, &handle.conn->tx.deferred, (const uint8_t *)"handler", 7, SIZE_MAX), 7);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    while (arena_chunk_take(handle.conn))
        ;
    tx_flush_release(&handle);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(handle.conn->status.error, ENOBUFS);
    assert_int_equal(handle.conn->tx.deferred.total, 0);
    close(ends[0]), close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory_for_what_a_handler_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
