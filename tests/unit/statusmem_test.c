/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The memory of what a process publishes of its connections (shm/statusmem.h). Every case in a process of its
 * own.
 * emulated: no (qemu-user forks with MADV_WIPEONFORK memory as it is) */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "shm/statusmem.h"

enum { GOOD = 0 };

/* Gives the number of the first check that fails. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return __LINE__ % 250 + 1;                                                                       \
    } while (0)

static void assert_good(int (*body)(void *))
{
    struct child_result result;
    child_run(&result, body, NULL);
    assert_string_equal(result.output, "");
    assert_int_equal(result.status, GOOD);
}

static void repair(void)
{
    self_claim();
    statusmem_after_fork();
}

static void begin(void)
{
    self_begin(repair);
}

static const struct statuspage_process *header(void)
{
    static struct statuspage_process found;
    if (pread(ownfd_get(OWNFD_CONNECTIONS), &found, sizeof found, 0) != sizeof found)
        found.magic = 0;
    return &found;
}

static const struct statuspage_counters *counters(void)
{
    static struct statuspage_counters found;
    if (pread(ownfd_get(OWNFD_COUNTERS), &found, sizeof found, 0) != sizeof found)
        found.magic = 0;
    return &found;
}

static long memory_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -1 : st.st_blocks * 512;
}

static int nothing_before_it_is_needed(void *argument)
{
    (void)argument;
    begin();
    statusmem_count(STATUSPAGE_NO_RULE, 3);
    CHECK(ownfd_get(OWNFD_COUNTERS) < 0 && ownfd_get(OWNFD_CONNECTIONS) < 0);
    CHECK(statusmem_take());
    CHECK(counters()->magic == STATUSPAGE_MAGIC && counters()->counter[STATUSPAGE_NO_RULE] == 3);
    CHECK(header()->pid == (uint32_t)getpid());
    for (int kind = OWNFD_COUNTERS; kind <= OWNFD_CONNECTIONS; kind++)
        CHECK(fcntl(ownfd_get((enum ownfd_kind)kind), F_GET_SEALS) ==
              (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    return GOOD;
}

static int ten_thousand(void *argument)
{
    enum { MANY = 10000, PAGES_MORE = 16 };
    static struct statuspage_entry *entries[MANY];
    (void)argument;
    begin();
    for (int i = 0; i < MANY; i++) {
        entries[i] = statusmem_take();
        entries[i]->state = STATUSPAGE_SEALED;
    }
    const int fd = ownfd_get(OWNFD_CONNECTIONS);
    CHECK(header()->blocks == (MANY + STATUSPAGE_BLOCK_ENTRIES - 1) / STATUSPAGE_BLOCK_ENTRIES);
    CHECK(memory_of(fd) >= MANY * STATUSPAGE_ENTRY_SIZE);
    CHECK(memory_of(fd) <= (MANY + PAGES_MORE) * STATUSPAGE_ENTRY_SIZE + PAGES_MORE * 4096);
    for (int i = 0; i < MANY; i++)
        statusmem_give(entries[i]);
    for (int i = 0; i < MANY; i++)
        CHECK(statusmem_take()->state == STATUSPAGE_UNUSED);
    CHECK(header()->blocks == (MANY + STATUSPAGE_BLOCK_ENTRIES - 1) / STATUSPAGE_BLOCK_ENTRIES);
    return GOOD;
}

static int more_than_there_is_room_for(void *argument)
{
    (void)argument;
    begin();
    for (int i = 0; i < STATUSPAGE_ENTRIES; i++)
        statusmem_take();
    CHECK(header()->not_shown == 0);
    struct statuspage_entry *nowhere = statusmem_take();
    CHECK(nowhere && nowhere == statusmem_take());
    CHECK(header()->not_shown == 2);
    statusmem_give(nowhere);
    CHECK(header()->not_shown == 1);
    return GOOD;
}

static int no_memfd(void *argument)
{
    const struct rlimit none = {0, 0};
    (void)argument;
    begin();
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    struct statuspage_entry *entry = statusmem_take();
    CHECK(entry);
    entry->sent_bytes = 1;
    statusmem_count(STATUSPAGE_NO_RULE, 1);
    statusmem_give(entry);
    CHECK(ownfd_get(OWNFD_CONNECTIONS) < 0);
    return GOOD;
}

/* In the child; the parent's first entry was 7 bytes. */
static int look_from_the_child(void)
{
    statusmem_count(STATUSPAGE_NO_RULE, 1);
    self_check_fork();
    CHECK(ownfd_get(OWNFD_CONNECTIONS) < 0);
    struct statuspage_entry *own = statusmem_take();
    CHECK(own->sent_bytes == 0);
    own->sent_bytes = 9;
    CHECK(header()->pid == (uint32_t)getpid());
    return GOOD;
}

static int fork_shares_counts_alone(void *argument)
{
    (void)argument;
    begin();
    struct statuspage_entry *entry = statusmem_take();
    entry->sent_bytes = 7;
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(look_from_the_child());
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0)
        return WEXITSTATUS(status);
    CHECK(entry->sent_bytes == 7);
    CHECK(counters()->counter[STATUSPAGE_NO_RULE] == 1);
    return GOOD;
}

static int nobody_makes_it_shorter(void *argument)
{
    (void)argument;
    begin();
    statusmem_publish();
    CHECK(ftruncate(ownfd_get(OWNFD_CONNECTIONS), 0) < 0);
    CHECK(ftruncate(ownfd_get(OWNFD_COUNTERS), 0) < 0);
    return GOOD;
}

/* The program has closed the memfd by a raw system call, and its number is another file's: nothing may be
 * written there. */
static int another_file_at_its_number(void *argument)
{
    char name[] = "/tmp/sockseal-statusmem-XXXXXX";
    (void)argument;
    begin();
    statusmem_publish();
    const int file = mkstemp(name);
    CHECK(file >= 0 && unlink(name) == 0 && ftruncate(file, STATUSPAGE_SIZE) == 0);
    CHECK(dup2(file, ownfd_get(OWNFD_CONNECTIONS)) >= 0);
    struct statuspage_entry *entry = statusmem_take();
    CHECK(entry);
    entry->sent_bytes = 1;
    CHECK(memory_of(file) == 0);
    return GOOD;
}

static int an_entry_is_used_again(void *argument)
{
    (void)argument;
    begin();
    struct statuspage_entry *entry = statusmem_take();
    CHECK(statusmem_begin_change(entry));
    CHECK(entry->sequence == 1 && !statusmem_begin_change(entry));
    statusmem_end_change(entry);
    entry->identity_len = 5;
    statusmem_give(entry);
    CHECK(entry->identity_len == 0 && entry->sequence > 2 && !(entry->sequence & 1));
    CHECK(statusmem_take() == entry);
    return GOOD;
}

#define CASE(name)                                                                                           \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        assert_good(name);                                                                                   \
    }
CASE(nothing_before_it_is_needed)
CASE(ten_thousand)
CASE(more_than_there_is_room_for)
CASE(no_memfd)
CASE(fork_shares_counts_alone)
CASE(nobody_makes_it_shorter)
CASE(another_file_at_its_number)
CASE(an_entry_is_used_again)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_before_it_is_needed), cmocka_unit_test(test_ten_thousand),
        cmocka_unit_test(test_more_than_there_is_room_for), cmocka_unit_test(test_no_memfd),
        cmocka_unit_test(test_fork_shares_counts_alone),    cmocka_unit_test(test_nobody_makes_it_shorter),
        cmocka_unit_test(test_another_file_at_its_number),  cmocka_unit_test(test_an_entry_is_used_again),
    };
    return cmocka_run_group_tests_name("statusmem", tests, NULL, NULL);
}
