/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The main program of a harness in `make test`, where no libFuzzer is needed: runs the seeds that are checked
 * in, then a fixed number of inputs that are mutated from them, the same in every run. The input that breaks
 * something is printed in hexadecimal, and `NAME FILE...` runs files instead. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

enum { INPUT_MAX = 4096, SEEDS_MAX = 4096 };

#pragma weak LLVMFuzzerCustomMutator
#pragma weak __sanitizer_set_death_callback
void __sanitizer_set_death_callback(void (*callback)(void));

struct seed {
    uint8_t *data;
    size_t size;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;
static const uint8_t *current;
static size_t current_size;
static uint64_t state = 0x2545f4914f6cdd1d;

static uint32_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static void print_current(void)
{
    fprintf(stderr, "the input of %zu bytes, for `xxd -r -p`:\n", current_size);
    for (size_t i = 0; i < current_size; i++)
        fprintf(stderr, "%02x%s", current[i], i % 32 == 31 ? "\n" : "");
    fprintf(stderr, "\n");
}

static void on_abort(int signal)
{
    (void)signal;
    print_current();
    _exit(1);
}

static void run(const uint8_t *data, size_t size)
{
    current = data;
    current_size = size;
    LLVMFuzzerTestOneInput(data, size);
}

static size_t insert_bytes(uint8_t *data, size_t size, size_t max)
{
    size_t at = size ? next_random() % (size + 1) : 0, len = 1 + next_random() % 8;
    if (size + len > max)
        return size;
    memmove(data + at + len, data + at, size - at);
    for (size_t i = 0; i < len; i++)
        data[at + i] = (uint8_t)next_random();
    return size + len;
}

static size_t erase_bytes(uint8_t *data, size_t size)
{
    size_t at = next_random() % size, len = 1 + next_random() % 8;
    if (len > size - at)
        len = size - at;
    memmove(data + at, data + at + len, size - at - len);
    return size - len;
}

static void copy_bytes(uint8_t *data, size_t size)
{
    size_t from = next_random() % size, to = next_random() % size, len = 1 + next_random() % 16;
    size_t room = size - (from > to ? from : to);
    memmove(data + to, data + from, len < room ? len : room);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
    static const uint8_t odd[] = {0, 1, 2, 4, 16, 22, 23, 24, 0x7f, 0x80, 0xfe, 0xff, ',', ':', '\n', '-'};
    if (size == 0)
        return insert_bytes(data, size, max);
    switch (next_random() % 6) {
    case 0:
        return insert_bytes(data, size, max);
    case 1:
        return erase_bytes(data, size);
    case 2:
        copy_bytes(data, size);
        break;
    case 3:
        data[next_random() % size] = odd[next_random() % sizeof odd];
        break;
    case 4:
        data[next_random() % size] = (uint8_t)next_random();
        break;
    default:
        data[next_random() % size] ^= (uint8_t)(1u << next_random() % 8);
    }
    return size;
}

static void read_seed(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct seed *seed = &seeds[seed_count++];
    seed->size = fread(bytes, 1, sizeof bytes, file);
    seed->data = malloc(seed->size + 1);
    assert_true(seed->data && seed_count < SEEDS_MAX);
    memcpy(seed->data, bytes, seed->size);
    fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void read_seeds(const char *program)
{
    char path[512];
    const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
    struct dirent **entries;
    int prefix = snprintf(path, sizeof path, "tests/fuzz/seeds/%.*s/", (int)strcspn(name, "_"), name);
    int count = scandir(path, &entries, is_seed, by_name);
    for (int i = 0; i < count; i++) {
        snprintf(path + prefix, sizeof path - (size_t)prefix, "%s", entries[i]->d_name);
        read_seed(path);
        free(entries[i]);
    }
    assert_true(count > 0);
    free(entries);
}

static void test_seeds(void **unused)
{
    (void)unused;
    run((const uint8_t *)"", 0);
    for (size_t i = 0; i < seed_count; i++)
        run(seeds[i].data, seeds[i].size);
}

static void test_mutated_seeds(void **unused)
{
    static uint8_t input[INPUT_MAX];
    (void)unused;
    for (unsigned i = 0; i < harness_runs; i++) {
        const struct seed *seed = &seeds[next_random() % seed_count];
        size_t size = seed->size;
        memcpy(input, seed->data, size);
        for (unsigned times = 1 + next_random() % 4; times > 0; times--)
            size = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(input, size, sizeof input, next_random())
                                           : LLVMFuzzerMutate(input, size, sizeof input);
        run(input, size);
    }
}

int main(int count, char *arguments[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_mutated_seeds),
    };
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(print_current);
    if (count == 1) {
        read_seeds(arguments[0]);
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        if (failed)
            print_current();
        return failed;
    }
    for (int i = 1; i < count; i++) {
        read_seed(arguments[i]);
        run(seeds[i - 1].data, seeds[i - 1].size);
    }
    return 0;
}
