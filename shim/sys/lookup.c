/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/lookup.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link_map *lookup_map(const void *address)
{
    Dl_info info;
    struct link_map *map = NULL;
    return dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) ? map : NULL;
}

struct link_map *lookup_own(void)
{
    static const char here = 0;
    static struct link_map *_Atomic found;
    if (!atomic_load(&found))
        atomic_store(&found, lookup_map(&here));
    return atomic_load(&found);
}

/* DT_GNU_HASH: the header, filters, buckets and chains. */
struct gnu_hash {
    uint32_t buckets, first, filters, shift;
};

static const void *table_of(const struct link_map *map, Elf64_Sxword tag)
{
    const Elf64_Dyn *at = map->l_ld;
    while (at->d_tag != DT_NULL && at->d_tag != tag)
        at++;
    return at->d_tag == tag ? (const void *)(uintptr_t)at->d_un.d_ptr : NULL;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 5381;
    for (const unsigned char *at = (const unsigned char *)name; *at; at++)
        hash = hash * 33 + *at;
    return hash;
}

/* Not by strcmp(3): dlsym is looked for on behalf of a sanitizer that replaces it and is not ready itself. */
static bool is_name(const char *name, const char *other)
{
    while (*name && *name == *other) {
        name++;
        other++;
    }
    return *name == *other;
}

void *lookup_defined(const struct link_map *map, const char *name)
{
    const struct gnu_hash *table = table_of(map, DT_GNU_HASH);
    const Elf64_Sym *symbols = table_of(map, DT_SYMTAB);
    const char *names = table_of(map, DT_STRTAB);
    if ((uintptr_t)table < map->l_addr || !symbols || !names) /* the vDSO's are not relocated */
        return NULL;
    const uint32_t hash = hash_of(name);
    const uint32_t *buckets = (const uint32_t *)((const uint64_t *)(table + 1) + table->filters);
    const uint32_t *chain = buckets + table->buckets;
    uint32_t i = table->buckets ? buckets[hash % table->buckets] : 0;
    for (; i >= table->first && i; i++) {
        uint32_t other = chain[i - table->first];
        if ((other | 1) == (hash | 1) && symbols[i].st_shndx != SHN_UNDEF &&
            is_name(names + symbols[i].st_name, name))
            return (void *)(map->l_addr + symbols[i].st_value);
        if (other & 1)
            break;
    }
    return NULL;
}

/* The function of that name behind this library. */
static void *behind(const char *name)
{
    void *found = NULL;
    for (const struct link_map *at = lookup_own(); at && !found; at = at->l_next) {
        if (at != lookup_own())
            found = lookup_defined(at, name);
    }
    return found;
}

lookup_symbol *lookup_dlsym(void)
{
    static lookup_symbol *_Atomic found;
    lookup_symbol *function = atomic_load(&found);
    if (!function) {
        function = (lookup_symbol *)(uintptr_t)behind("dlsym");
        atomic_store(&found, function);
    }
    return function;
}

lookup_version *lookup_dlvsym(void)
{
    static lookup_version *_Atomic found;
    lookup_version *function = atomic_load(&found);
    if (!function) {
        function = (lookup_version *)(uintptr_t)behind("dlvsym");
        atomic_store(&found, function);
    }
    return function;
}
