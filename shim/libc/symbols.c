/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Doors of dlsym and dlvsym: where they would give one of libc's functions that is a door, they give the
 * door. By the global order (RTLD_DEFAULT) that is so anyway; not for the handle of a library that depends on
 * libc, nor for RTLD_NEXT in a library that was loaded later.
 *
 * Another preloaded library may stand behind this one and wrap the same function: the door calls the wrapper,
 * and that calls what dlsym gave it. It must get libc's function, or the two would call each other for ever.
 * So libraries that were there at the start get it where a door's own next function is not libc's.
 *
 * libc's own dlsym is looked up in the tables of the libraries behind this one, since there is no dlsym to
 * ask for it. Nothing here allocates; the library's own calls pass at once.
 */

#include "libc/symbols.h"

#ifndef __SANITIZE_THREAD__ /* its runtime asks dlsym before it can bear to be asked */

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <string.h>

#include "config/config.h"
#include "libc/door.h"
#include "libc/jump.h"
#include "sys/lookup.h"

void *symbols_dlsym(struct jump_call *call) __attribute__((visibility("hidden"), used));
void *symbols_dlvsym(struct jump_call *call) __attribute__((visibility("hidden"), used));

static struct link_map *last_at_start;

static bool comes_after(const struct link_map *map, const struct link_map *first)
{
    for (const struct link_map *at = first ? first->l_next : NULL; at; at = at->l_next) {
        if (at == map)
            return true;
    }
    return false;
}

void symbols_begin(void)
{
    struct link_map *last = lookup_own();
    while (last && last->l_next)
        last = last->l_next;
    last_at_start = last;
    /* Where the answers are kept is read-only from now on. */
    (void)lookup_dlsym();
    (void)lookup_dlvsym();
}

/* ---- which answers are replaced ---- */

static bool is_libc(const void *address)
{
    const void *in_libc;
    const char *(*known)(void) = gnu_get_libc_version;
    memcpy(&in_libc, &known, sizeof in_libc);
    const struct link_map *libc = lookup_map(in_libc);
    return address && libc && lookup_map(address) == libc;
}

/* Functions of liburing and libaio, which make their system calls themselves. */
static bool is_of_another(const char *name)
{
    return strncmp(name, "io_uring_", 9) == 0 || strcmp(name, "io_submit") == 0;
}

/* What the door of this name calls is libc's; looked up from here, it is what stands next to this library. */
static bool is_wrapped(const char *name)
{
    return !is_of_another(name) && !is_libc(lookup_dlsym()(RTLD_NEXT, name));
}

/* A library that stands before this one finds the doors next, but for those that it asks a version of: they
 * have none. */
static bool finds_door(const struct jump_call *call, const struct link_map *caller, bool versioned)
{
    return (void *)call->arguments[0] == RTLD_NEXT && !versioned && !comes_after(caller, lookup_own());
}

/* The door to give in the place of `found`, or NULL. */
static void *replacement(const struct jump_call *call, const void *found, bool versioned)
{
    const char *name = (const char *)call->arguments[1];
    const struct link_map *caller = lookup_map(call->caller), *own = lookup_own();
    const bool later = comes_after(caller, last_at_start);
    void *door = own ? lookup_defined(own, name) : NULL;
    if (!door || !caller || !found || finds_door(call, caller, versioned))
        return NULL;
    if ((void *)call->arguments[0] == RTLD_NEXT && later)
        return door;
    if (!is_libc(found) && !is_of_another(name))
        return NULL;
    return is_wrapped(name) && comes_after(caller, own) && !later ? NULL : door;
}

/* By the global order the doors come first anyway, unless a version is asked for. Before the library's start
 * nothing is touched that needs one: a sanitizer's runtime looks up libc's functions before it is ready for
 * any code that is compiled for it. */
static bool concerns(const struct jump_call *call, bool versioned)
{
    if (!last_at_start || !call->arguments[1] || ((void *)call->arguments[0] == RTLD_DEFAULT && !versioned))
        return false;
    return lookup_defined(lookup_own(), (const char *)call->arguments[1]);
}

static void *give(void *answer)
{
    return answer;
}

/* The function to jump to: one that gives the door, or libc's. `found` was looked up by this library: for
 * RTLD_NEXT that is what comes behind it, if anything does. */
static void *decide(struct jump_call *call, const void *found, bool versioned, void *otherwise)
{
    void *(*function)(void *) = give;
    void *door = replacement(call, found, versioned);
    if (door) {
        call->arguments[0] = (long)door;
        memcpy(&otherwise, &function, sizeof otherwise);
    }
    return otherwise;
}

void *symbols_dlsym(struct jump_call *call)
{
    const long *a = call->arguments;
    lookup_symbol *function = lookup_dlsym();
    int saved = errno;
    void *target;
    memcpy(&target, &function, sizeof target);
    if (concerns(call, false))
        target = decide(call, function((void *)a[0], (const char *)a[1]), false, target);
    errno = saved;
    return target;
}

void *symbols_dlvsym(struct jump_call *call)
{
    const long *a = call->arguments;
    lookup_version *function = lookup_dlvsym();
    int saved = errno;
    void *target;
    memcpy(&target, &function, sizeof target);
    if (concerns(call, true))
        target = decide(call, function((void *)a[0], (const char *)a[1], (const char *)a[2]), true, target);
    errno = saved;
    return target;
}

JUMPING_DOOR(dlsym, symbols_dlsym);
JUMPING_DOOR(dlvsym, symbols_dlvsym);

#else

void symbols_begin(void)
{
}

#endif
