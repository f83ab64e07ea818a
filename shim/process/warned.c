/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/warned.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "sys/net.h"

enum { ENTRIES = 512 }; /* a page */

/* Hashes; 0: free. */
static _Atomic uint64_t *table;

void warned_begin(void)
{
    void *page = net_mmap(ENTRIES * sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    if (page != MAP_FAILED)
        table = page;
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
    return hash ? hash : 1;
}

bool warned_first(const char *text)
{
    const uint64_t hash = hash_of(text);
    for (size_t i = 0; table && i < ENTRIES; i++) {
        _Atomic uint64_t *entry = &table[(hash + i) % ENTRIES];
        uint64_t found = 0;
        if (atomic_compare_exchange_strong(entry, &found, hash))
            return true;
        if (found == hash)
            return false;
    }
    return true;
}
