/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOOKUP_H
#define SOCKSEAL_LOOKUP_H

/*
 * Symbols of the libraries that are loaded. dlsym itself is a door, so libc's is looked up in the tables of
 * the libraries behind this one, since there is no other dlsym to ask for it. Nothing here allocates.
 */

#include <link.h>

typedef void *lookup_symbol(void *handle, const char *name);
typedef void *lookup_version(void *handle, const char *name, const char *version);

/* libc's dlsym and dlvsym. */
lookup_symbol *lookup_dlsym(void);
lookup_version *lookup_dlvsym(void);

/* The library that an address lies in, or NULL; and this library. */
struct link_map *lookup_map(const void *address);
struct link_map *lookup_own(void);

/* The function of that name that a library defines, or NULL. */
void *lookup_defined(const struct link_map *map, const char *name);

#endif
