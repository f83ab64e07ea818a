/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOOKUP_H
#define SOCKSEAL_LOOKUP_H

/*
 * Symbols of the libraries that are loaded, from their own tables. Not by dlsym(3) and dladdr(3): dlsym
 * itself is a door; before glibc 2.34 both are in a library that not every program has; and a dlsym(3) that
 * finds nothing allocates memory, for which an allocator that is about to start waits. Nothing here
 * allocates.
 */

#include <link.h>
#include <stddef.h>

typedef void *lookup_symbol(void *handle, const char *name);
typedef void *lookup_version(void *handle, const char *name, const char *version);

/* libc's dlsym and dlvsym; NULL if the program has none. */
lookup_symbol *lookup_dlsym(void);
lookup_version *lookup_dlvsym(void);

/* The library that an address lies in, or NULL; and this library. */
struct link_map *lookup_map(const void *address);
struct link_map *lookup_own(void);

/* The function or variable of that name that a library defines, or NULL: in its default version, if it has
 * one. */
void *lookup_defined(const struct link_map *map, const char *name);

/* That of the first library behind this one that has it (RTLD_NEXT), or NULL. */
void *lookup_next(const char *name);

struct lookup_wanted {
    const char *name;
    size_t offset; /* of the pointer in `table` */
};

/* lookup_next() for many at once: sets the pointers that are NULL, and leaves them if nothing is found. */
void lookup_bind(const struct lookup_wanted *wanted, size_t count, void *table);

#endif
