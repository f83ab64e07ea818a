/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/lookup.h"

#include <elf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sys/ro_after_init.h"

/* ---- Libraries ---- */

struct place {
    uintptr_t address;
    const ElfW(Dyn) * dynamic; /* the section of the library that the address lies in */
};

static int find_place(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct place *place = argument;
    const void *dynamic = NULL;
    bool within = false;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && place->address - start < header->p_memsz)
            within = true;
        else if (header->p_type == PT_DYNAMIC)
            dynamic = (const void *)start;
    }
    if (within)
        place->dynamic = dynamic;
    return within;
}

static struct link_map *map_of(const ElfW(Dyn) * dynamic)
{
    struct link_map *map = _r_debug.r_map;
    while (map && map->l_ld != dynamic)
        map = map->l_next;
    return map;
}

struct link_map *lookup_map(const void *address)
{
    struct place place = {.address = (uintptr_t)address};
    dl_iterate_phdr(find_place, &place);
    return place.dynamic ? map_of(place.dynamic) : NULL;
}

struct link_map *lookup_own(void)
{
    static struct link_map *_Atomic found;
    if (!atomic_load(&found))
        atomic_store(&found, map_of(_DYNAMIC));
    return atomic_load(&found);
}

/* ---- Symbols: the gABI's table, GNU's hash table over it and its versions ---- */

/* DT_GNU_HASH: the header, filters, buckets and chains. */
struct gnu_hash {
    uint32_t buckets, first, filters, shift;
};

struct tables {
    const struct gnu_hash *hash;
    const ElfW(Sym) * symbols;
    const ElfW(Half) * versions;
    const char *names;
};

enum { VERSION_HIDDEN = 0x8000 }; /* not the default one of its name */

static bool read_tables(const struct link_map *map, struct tables *tables)
{
    *tables = (struct tables){0};
    for (const ElfW(Dyn) *at = map->l_ld; at && at->d_tag != DT_NULL; at++) {
        const void *table = (const void *)(uintptr_t)at->d_un.d_ptr;
        if (at->d_tag == DT_GNU_HASH)
            tables->hash = table;
        else if (at->d_tag == DT_SYMTAB)
            tables->symbols = table;
        else if (at->d_tag == DT_VERSYM)
            tables->versions = table;
        else if (at->d_tag == DT_STRTAB)
            tables->names = table;
    }
    /* The vDSO's are not relocated. */
    return (uintptr_t)tables->hash > map->l_addr && tables->symbols && tables->names && tables->hash->buckets;
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

/* The symbol of a function that is chosen at run time is its resolver's: nothing here would call that. */
static const ElfW(Sym) * usable(const ElfW(Sym) * symbol)
{
    return symbol && ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC ? symbol : NULL;
}

/* Of a name that has no default version, what is there for old programs. */
static const ElfW(Sym) * find(const struct tables *tables, const char *name)
{
    const uint32_t hash = hash_of(name), bits = 8 * sizeof(ElfW(Addr));
    const struct gnu_hash *table = tables->hash;
    const ElfW(Addr) *filters = (const ElfW(Addr) *)(table + 1);
    const uint32_t *buckets = (const uint32_t *)(filters + table->filters), *chain = buckets + table->buckets;
    const ElfW(Addr) filter = filters[hash / bits % table->filters];
    const ElfW(Sym) *old = NULL;
    if (!(filter >> hash % bits & filter >> (hash >> table->shift) % bits & 1))
        return NULL;
    for (uint32_t i = buckets[hash % table->buckets]; i && i >= table->first; i++) {
        uint32_t other = chain[i - table->first];
        const ElfW(Sym) *symbol = &tables->symbols[i];
        if ((other | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF && symbol->st_value &&
            is_name(tables->names + symbol->st_name, name)) {
            if (!tables->versions || !(tables->versions[i] & VERSION_HIDDEN))
                return usable(symbol);
            old = symbol;
        }
        if (other & 1)
            break;
    }
    return usable(old);
}

static void *find_address(const struct link_map *map, const struct tables *tables, const char *name)
{
    const ElfW(Sym) *symbol = find(tables, name);
    return symbol ? (void *)(map->l_addr + symbol->st_value) : NULL;
}

void *lookup_defined(const struct link_map *map, const char *name)
{
    struct tables tables;
    return read_tables(map, &tables) ? find_address(map, &tables, name) : NULL;
}

void lookup_bind(const struct lookup_wanted *wanted, size_t count, void *table)
{
    const struct link_map *own = lookup_own();
    struct tables tables;
    for (const struct link_map *map = own ? own->l_next : NULL; map; map = map->l_next) {
        if (!read_tables(map, &tables))
            continue;
        for (size_t i = 0; i < count; i++) {
            void **slot = (void **)(void *)((char *)table + wanted[i].offset);
            if (!*slot)
                *slot = find_address(map, &tables, wanted[i].name);
        }
    }
}

void *lookup_next(const char *name)
{
    void *found = NULL;
    lookup_bind(&(struct lookup_wanted){.name = name}, 1, &found);
    return found;
}

lookup_symbol *lookup_dlsym(void)
{
    static RO_AFTER_INIT lookup_symbol *_Atomic found;
    lookup_symbol *function = atomic_load(&found);
    if (!function && (function = (lookup_symbol *)(uintptr_t)lookup_next("dlsym")))
        atomic_store(&found, function);
    return function;
}

lookup_version *lookup_dlvsym(void)
{
    static RO_AFTER_INIT lookup_version *_Atomic found;
    lookup_version *function = atomic_load(&found);
    if (!function && (function = (lookup_version *)(uintptr_t)lookup_next("dlvsym")))
        atomic_store(&found, function);
    return function;
}
