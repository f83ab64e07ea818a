/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* No pointer to code, and no pointer to a table of such pointers, lies where the library's memory can be
 * written to while the program runs: neither in the object's data nor in memory that processes share. */

#include "suite.h"

#include "net.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RANGES = 1024, WORDS = 4096, TABLE_WORDS = 16 };

struct range {
    uintptr_t from, to;
    bool writable, executable, shared_memory;
};

/* The address space, and where in it the library's object is. */
struct space {
    struct range ranges[RANGES];
    size_t count;
    uintptr_t object, object_end;
    int memory;
};

static int find_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct space *space = argument;
    (void)size;
    if (!strstr(info->dlpi_name, "libsockseal.so"))
        return 0;
    space->object = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && end > space->object_end)
            space->object_end = end;
    }
    return 1;
}

static void read_space(struct space *space)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        struct range *range = &space->ranges[space->count];
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &range->from, &range->to, rights) != 3)
            continue;
        range->writable = rights[1] == 'w';
        range->executable = rights[2] == 'x' && !strstr(line, "[v");
        range->shared_memory = rights[3] == 's' && strstr(line, "/memfd:");
        assert_true(++space->count < RANGES);
    }
    fclose(maps);
    space->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(space->memory >= 0 && dl_iterate_phdr(find_object, space) == 1);
}

static const struct range *range_of(const struct space *space, uintptr_t address)
{
    for (size_t i = 0; i < space->count; i++)
        if (address >= space->ranges[i].from && address < space->ranges[i].to)
            return &space->ranges[i];
    return NULL;
}

static bool is_code(const struct space *space, uintptr_t word)
{
    const struct range *range = range_of(space, word);
    return range && range->executable;
}

/* Whether code is found from here: a pointer to it, or, within the object, a table of pointers to it, or to
 * such tables. */
static bool leads_to_code(const struct space *space, uintptr_t word, int depth)
{
    uintptr_t table[TABLE_WORDS];
    if (is_code(space, word))
        return true;
    if (depth == 0 || word % sizeof word || word < space->object || word >= space->object_end)
        return false;
    const ssize_t got = pread(space->memory, table, sizeof table, (off_t)word);
    const struct range *range = range_of(space, word);
    for (ssize_t i = 0; range && !range->writable && i < got / (ssize_t)sizeof *table; i++)
        if (leads_to_code(space, table[i], depth - 1))
            return true;
    return false;
}

static size_t search(const struct space *space, const struct range *range)
{
    static uintptr_t words[WORDS];
    size_t found = 0;
    for (uintptr_t at = range->from; at < range->to; at += sizeof words) {
        const ssize_t got = pread(space->memory, words, sizeof words, (off_t)at);
        for (ssize_t i = 0; i < got / (ssize_t)sizeof *words; i++) {
            if (at + (uintptr_t)i * sizeof *words >= range->to || !leads_to_code(space, words[i], 2))
                continue;
            print_error("%s+0x%lx: 0x%lx\n", range->shared_memory ? "shared" : "object",
                        at + (uintptr_t)i * sizeof *words - space->object, words[i] - space->object);
            found++;
        }
    }
    return found;
}

static void search_all(void)
{
    static struct space space;
    size_t searched = 0, shared = 0, found = 0;
    read_space(&space);
    for (size_t i = 0; i < space.count; i++) {
        struct range range = space.ranges[i];
        if (!range.writable)
            continue;
        if (!range.shared_memory && (range.to <= space.object || range.from >= space.object_end))
            continue;
        searched++;
        shared += range.shared_memory;
        found += search(&space, &range);
    }
    close(space.memory);
    assert_true(searched > shared && shared > 0);
    assert_int_equal(found, 0);
}

/* Every group and cipher has been chosen by then, and the worker has run. */
static void after_conversations(void)
{
    int pair[2], listener;
    char byte = 'x';
    if (!suite_has_library())
        skip();
    const int unanswered = net_connect_unanswered(&net_sealed, &listener);
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(write(pair[0], &byte, 1), 1);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    search_all();
    close(unanswered);
    close(listener);
    close(pair[0]);
    close(pair[1]);
}

static void in_a_child(void)
{
    int pair[2];
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    const pid_t child = suite_fork();
    if (child == 0) {
        search_all();
        _exit(0);
    }
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
    close(pair[1]);
}

static const struct suite_test tests[] = {
    {"no pointer to code can be overwritten", after_conversations, 60},
    {"nor in a forked child", in_a_child, 60},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
