/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Doors of dlopen and dlmopen. A library that is loaded with RTLD_DEEPBIND, as PHP loads its extensions,
 * finds libc's functions before the doors, and would use its sockets in the clear. So that flag is cleared. A
 * namespace of its own (LM_ID_NEWLM) has its own libc, without this library: it is refused.
 *
 * A program that loads libc by its name (torsocks, foreign function interfaces) looks functions up in it, and
 * would get them without their doors. It is given this library: dlsym finds the doors in it, and all else in
 * libc, which it depends on.
 */

#include "libc/door.h"
#include "libc/jump.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <string.h>

#include "config/config.h"
#include "diag/log.h"
#include "sys/lookup.h"

/* The arguments as the registers had them; a door changes them. */
struct loading {
    union {
        struct {
            const char *file;
            long mode;
        } dlopen;
        struct {
            Lmid_t space;
            const char *file;
            long mode;
        } dlmopen;
    };
};

/* The doors below call these, and jump to the function that these give. */
void *loading_dlopen(struct loading *call) __attribute__((visibility("hidden"), used));
void *loading_dlmopen(struct loading *call) __attribute__((visibility("hidden"), used));

static bool active(void)
{
    config_load();
    return config_get()->active;
}

static bool is_libc(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    return file && strcmp(slash ? slash + 1 : file, LIBC_SO) == 0;
}

static void load_doors_for_libc(const char **file)
{
    if (is_libc(*file) && lookup_own())
        *file = lookup_own()->l_name;
}

/* Before glibc 2.34 both are in libdl, which may come after this library. */
static void *libc_function(const void *bound, const char *name)
{
    return bound ? (void *)(uintptr_t)bound : lookup_next(name);
}

static void bind_shallow(const char *file, long *mode)
{
    if (!(*mode & RTLD_DEEPBIND))
        return;
    *mode &= ~(long)RTLD_DEEPBIND;
    log_line(LOG_DEBUG, "%s is loaded without RTLD_DEEPBIND, so that its sockets can be sealed",
             file ? file : "");
}

void *loading_dlopen(struct loading *call)
{
    int saved = errno;
    if (active()) {
        load_doors_for_libc(&call->dlopen.file);
        bind_shallow(call->dlopen.file, &call->dlopen.mode);
    }
    errno = saved;
    return libc_function((const void *)(uintptr_t)real()->dlopen, "dlopen");
}

void *loading_dlmopen(struct loading *call)
{
    int saved = errno;
    if (active() && call->dlmopen.space == LM_ID_NEWLM) {
        log_line(LOG_ERROR,
                 "%s is not loaded: in a namespace of its own (dlmopen) its sockets could not be sealed",
                 call->dlmopen.file ? call->dlmopen.file : "");
        /* No function sets what dlerror(3) says, but this does. */
        call->dlmopen.space = LM_ID_BASE;
        call->dlmopen.file = "/sockseal allows no namespace of its own";
    } else if (active()) {
        load_doors_for_libc(&call->dlmopen.file);
        bind_shallow(call->dlmopen.file, &call->dlmopen.mode);
    }
    errno = saved;
    return libc_function((const void *)(uintptr_t)real()->dlmopen, "dlmopen");
}

JUMPING_DOOR(dlopen, loading_dlopen);
JUMPING_DOOR(dlmopen, loading_dlmopen);
