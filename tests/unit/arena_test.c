/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The arena's chunks: what is taken and given back again and again keeps its pages, also when a burst has
 * left many free ones, and the pages of many free ones go back to the kernel.
 * emulated: no (qemu-user does not give pages back) */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "shm/arena.h"
#include "shm/ownfd.h"

enum { BURST = 300, LAYOUT = 1, BLOCK = 512 };

static int memory;

static int open_arena(void **state)
{
    (void)state;
    bool opened = arena_open(LAYOUT);
    memory = ownfd_get(OWNFD_ARENA);
    return opened && memory >= 0 ? 0 : -1;
}

static arena_ref take_and_touch(void)
{
    arena_ref chunk = arena_chunk_take();
    assert_int_not_equal(chunk, 0);
    memset(arena_chunk(chunk), 0xa5, ARENA_CHUNK_SIZE);
    return chunk;
}

static void burst(void)
{
    static arena_ref chunks[BURST];
    for (int i = 0; i < BURST; i++)
        chunks[i] = take_and_touch();
    for (int i = 0; i < BURST; i++)
        arena_chunk_give(chunks[i]);
}

static long page_faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

static void after_a_burst_single_chunks_keep_their_pages(void **state)
{
    enum { ROUNDS = 200 };
    (void)state;
    burst();
    long before = page_faults();
    for (int i = 0; i < ROUNDS; i++)
        arena_chunk_give(take_and_touch());
    assert_in_range(page_faults() - before, 0, ROUNDS / 4);
}

static void the_pages_of_many_free_chunks_go_back(void **state)
{
    struct stat file;
    (void)state;
    burst();
    assert_int_equal(fstat(memory, &file), 0);
    assert_in_range(file.st_blocks * BLOCK, 1, BURST / 3 * ARENA_CHUNK_SIZE);
}

static void chunks_given_back_are_used_again(void **state)
{
    arena_ref highest = 0;
    (void)state;
    burst();
    for (int round = 0; round < 3; round++) {
        arena_ref chunks[BURST];
        for (int i = 0; i < BURST; i++) {
            chunks[i] = take_and_touch();
            highest = chunks[i] > highest ? chunks[i] : highest;
        }
        for (int i = 0; i < BURST; i++)
            arena_chunk_give(chunks[i]);
    }
    assert_int_equal(highest, BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_burst_single_chunks_keep_their_pages),
        cmocka_unit_test(the_pages_of_many_free_chunks_go_back),
        cmocka_unit_test(chunks_given_back_are_used_again),
    };
    return cmocka_run_group_tests(tests, open_arena, NULL);
}
