/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Slots and chunks, and the regions that they are in: what is taken and given back again and again keeps its
 * pages, what many have used goes back to the kernel; and nothing that another process can reach is used
 * again.
 * emulated: no (qemu-user does not give pages back) */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shm/arena.h"
#include "shm/ownfd.h"
#include "shm/pages.h"
#include "shm/region_map.h"

enum { MANY = 200, LAYOUT = 7, OTHER_LAYOUT = 8 };

static uint8_t *take(void)
{
    const arena_ref slot = arena_slot_take(LAYOUT);
    assert_int_not_equal(slot, 0);
    assert_int_equal(arena_slot_of(arena_slot(slot)), slot);
    return arena_slot(slot);
}

static void give_all(uint8_t **slots, int count)
{
    for (int i = 0; i < count; i++)
        arena_slot_give(slots[i]);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static arena_ref take_and_touch(uint8_t *slot)
{
    arena_ref chunk = arena_chunk_take(slot);
    assert_int_not_equal(chunk, 0);
    memset(arena_chunk(slot, chunk), 0xa5, ARENA_CHUNK_SIZE);
    return chunk;
}

static long page_faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

static void single_chunks_keep_their_pages(void **state)
{
    enum { ROUNDS = 200 };
    (void)state;
    uint8_t *slot = take();
    arena_chunk_give(slot, take_and_touch(slot));
    long before = page_faults();
    for (int i = 0; i < ROUNDS; i++)
        arena_chunk_give(slot, take_and_touch(slot));
    assert_in_range(page_faults() - before, 0, ROUNDS / 4);
    arena_slot_give(slot);
}

static bool is_resident(uint8_t *at)
{
    unsigned char here = 0;
    assert_int_equal(mincore(at, 4096, &here), 0);
    return here & 1;
}

static void the_pages_of_many_free_chunks_go_back(void **state)
{
    static uint8_t *slots[MANY];
    int resident = 0;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        slots[i] = take();
        arena_chunk_give(slots[i], take_and_touch(slots[i]));
    }
    for (int i = 0; i < MANY; i++)
        resident += is_resident(arena_chunk(slots[i], 1));
    assert_in_range(resident, 1, MANY * 3 / 4);
    give_all(slots, MANY);
}

/* Pages may be larger than what chunks are a multiple of. */
static void a_chunk_given_back_leaves_its_neighbours_alone(void **state)
{
    enum { SLOTS = 3 };
    uint8_t *slots[SLOTS];
    (void)state;
    for (int i = 0; i < SLOTS; i++) {
        slots[i] = take();
        for (int chunk = 1; chunk <= ARENA_CHUNKS; chunk++)
            memset(arena_chunk(slots[i], take_and_touch(slots[i])), chunk, ARENA_CHUNK_SIZE);
    }
    for (int i = 0; i < SLOTS; i++) { /* more than keep their pages */
        for (arena_ref chunk = 1; chunk <= ARENA_CHUNKS; chunk += i == SLOTS - 1 ? 3 : 1)
            arena_chunk_give(slots[i], chunk);
    }
    for (int chunk = 1; chunk <= ARENA_CHUNKS; chunk++) {
        const uint8_t *bytes = arena_chunk(slots[SLOTS - 1], (arena_ref)chunk);
        for (int at = 0; chunk % 3 != 1 && at < ARENA_CHUNK_SIZE; at++)
            assert_int_equal(bytes[at], chunk);
    }
    give_all(slots, SLOTS);
}

static void only_whole_pages_of_a_chunk_go_back(void **state)
{
    static _Alignas(65536) uint8_t area[64 * ARENA_CHUNK_SIZE];
    (void)state;
    for (size_t page = 4096; page <= 65536; page *= 4) {
        for (uint8_t *chunk = area; chunk < area + sizeof area; chunk += ARENA_CHUNK_SIZE) {
            const struct pages pages = pages_within(chunk, ARENA_CHUNK_SIZE, page);
            if (pages.len == 0)
                continue;
            assert_int_equal((size_t)(pages.start - area) % page, 0);
            assert_int_equal(pages.len % page, 0);
            assert_true(pages.start >= chunk && pages.start + pages.len <= chunk + ARENA_CHUNK_SIZE);
        }
    }
    assert_int_equal(pages_within(area, ARENA_CHUNK_SIZE, 4096).len, ARENA_CHUNK_SIZE);
    assert_int_equal(pages_within(area, ARENA_CHUNK_SIZE, 16384).len, 16384);
    assert_int_equal(pages_within(area, ARENA_CHUNK_SIZE, 65536).len, 0);
}

/* The chunks of a connection are all different, and its own. */
static void all_chunks_of_a_slot(void **state)
{
    (void)state;
    uint8_t *slot = take(), *other = take();
    arena_ref chunks[ARENA_CHUNKS];
    for (int i = 0; i < ARENA_CHUNKS; i++) {
        chunks[i] = arena_chunk_take(slot);
        assert_int_equal(chunks[i], i + 1);
        *arena_chunk(slot, chunks[i]) = (uint8_t)i;
    }
    assert_int_equal(arena_chunk_take(slot), 0);
    for (int i = 0; i < ARENA_CHUNKS; i++)
        assert_int_equal(*arena_chunk(slot, chunks[i]), i);
    assert_int_equal(arena_chunk_take(other), 1);
    arena_chunk_give(slot, chunks[70]);
    assert_int_equal(arena_chunk_take(slot), chunks[70]);
    arena_slot_give(slot), arena_slot_give(other);
}

/* Whatever stands in shared memory as a reference: it leads into the same area. */
static void any_reference_stays_inside(void **state)
{
    (void)state;
    uint8_t *slot = take();
    const arena_ref wrong[] = {0, ARENA_CHUNKS + 1, 1u << 20, UINT32_MAX, UINT32_MAX - 5};
    for (int mapped = 0; mapped < 2; mapped++) {
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            const uint8_t *chunk = arena_chunk(slot, wrong[i]);
            const uint8_t *annex = region_map_annex_at(arena_slot_of(slot));
            const bool near = chunk >= slot - REGION_ROOM && chunk + ARENA_CHUNK_SIZE <= slot;
            const bool far = annex && chunk >= annex && chunk + ARENA_CHUNK_SIZE <= annex + REGION_ANNEX;
            assert_true(near || far);
            arena_chunk_give(slot, wrong[i]);
        }
        assert_true(region_map_annex(arena_slot_of(slot)));
    }
    arena_slot_give(slot);
}

static void what_was_given_back_is_empty(void **state)
{
    (void)state;
    uint8_t *slot = take(), *chunk = arena_chunk(slot, take_and_touch(slot));
    memset(slot, 0xa5, ARENA_SLOT_SIZE);
    arena_slot_give(slot);
    assert_ptr_equal(take(), slot); /* no other process has reached it */
    assert_false(is_zero(slot, ARENA_SLOT_KEPT));
    assert_true(is_zero(slot + ARENA_SLOT_KEPT, ARENA_SLOT_SIZE - ARENA_SLOT_KEPT));
    assert_true(is_zero(chunk, ARENA_CHUNK_SIZE));
    arena_slot_give(slot);
}

/* A fork comes: from then on nothing is put where the child can reach it, and what is left is gone here. */
static void what_is_shared_is_not_used_again(void **state)
{
    (void)state;
    uint8_t *slot = take();
    const arena_ref number = arena_slot_of(slot);
    memset(slot, 0xa5, ARENA_SLOT_SIZE);
    region_share_all();
    uint8_t *later = take();
    assert_false(later == slot);
    assert_false(region_is_shared(arena_slot_of(later)));
    arena_slot_give(slot);
    assert_int_equal(slot[0], 0xa5); /* others may still use it */
    arena_slot_leave(number);
    assert_true(is_zero(slot, ARENA_SLOT_SIZE));
    assert_int_equal(ownfd_get((enum ownfd_kind)(OWNFD_REGIONS + (number >> REGION_SHIFT))), -1);
    for (int i = 0; i < 4; i++) {
        uint8_t *next = take();
        assert_false(next == slot); /* a late thread may still look there */
        arena_slot_give(next);
    }
    arena_slot_give(later);
}

static void the_same_area_is_mapped_once(void **state)
{
    uint32_t area;
    (void)state;
    uint8_t *slot = take();
    memset(slot, 0x5a, 100);
    const int fd = region_export(arena_slot_of(slot), &area);
    assert_true(fd >= 0);
    assert_int_equal(region_import(fd, area, LAYOUT, false), arena_slot_of(slot));
    const int copy = dup(fd);
    arena_slot_leave(arena_slot_of(slot));
    assert_true(is_zero(slot, 100));
    const region_ref again = region_import(copy, area, LAYOUT, false);
    assert_int_not_equal(again, 0);
    assert_int_equal(region_page(again)[99], 0x5a);
    arena_slot_leave(again);
    assert_int_equal(region_import(copy, area, OTHER_LAYOUT, false), 0);
    assert_int_equal(region_import(copy, area + 1, LAYOUT, false), 0);
    close(copy);
}

/* Whose size the maker can change is not mapped: the maker could take the memory away. */
static void other_files_are_refused(void **state)
{
    (void)state;
    const size_t size = REGION_STRIDE + REGION_ANNEX;
    const int open_file = memfd_create("other", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(open_file, (off_t)size), 0);
    assert_int_equal(region_import(open_file, 0, 0, false), 0);
    assert_int_equal(fcntl(open_file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_int_equal(region_import(open_file, 1, 0, false), 0);
    close(open_file);
    const int null = open("/dev/null", O_RDWR);
    assert_int_equal(region_import(null, 0, 0, false), 0);
    close(null);
}

/* Behind region_restrict() a region of several connections cannot be opened any more, if one was left. */
static void rights_are_given_up(void **state)
{
    static uint8_t *slots[MANY];
    uint32_t area;
    (void)state;
    for (int i = 0; i < MANY; i++)
        slots[i] = take();
    const arena_ref last = arena_slot_of(slots[MANY - 1]), before = arena_slot_of(slots[MANY - 2]);
    assert_int_equal(last >> REGION_SHIFT, before >> REGION_SHIFT);
    region_share_all();
    region_restrict();
    assert_true(region_export(last, &area) >= 0);
    arena_slot_leave(before);
    assert_int_equal(region_export(last, &area), -1);
    assert_true(region_is_crowded(last));
    assert_non_null(region_map_annex_at(last));
    for (int i = 0; i < MANY; i++)
        arena_slot_leave(arena_slot_of(slots[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_chunks_keep_their_pages),
        cmocka_unit_test(the_pages_of_many_free_chunks_go_back),
        cmocka_unit_test(a_chunk_given_back_leaves_its_neighbours_alone),
        cmocka_unit_test(only_whole_pages_of_a_chunk_go_back),
        cmocka_unit_test(all_chunks_of_a_slot),
        cmocka_unit_test(any_reference_stays_inside),
        cmocka_unit_test(what_was_given_back_is_empty),
        cmocka_unit_test(what_is_shared_is_not_used_again),
        cmocka_unit_test(the_same_area_is_mapped_once),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(rights_are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
