/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Cleanups of a cancelled thread (-fexceptions) refer to two functions of the compiler's libgcc_s. A
 * preloaded library must not bring that into every program; where a thread is cancelled, glibc has loaded it
 * (pthread_cancel(3)). So the references end here, and are passed on, as glibc does with its own.
 */

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sys/lookup.h"
#include "sys/real.h"

/* Declared here and not by <unwind.h>, which would have them exported. The types are those of the Itanium C++
 * ABI. */
struct _Unwind_Exception;
struct _Unwind_Context;
void _Unwind_Resume(struct _Unwind_Exception *exception) __attribute__((noreturn));
int __gcc_personality_v0(int version, int actions, uint64_t class, struct _Unwind_Exception *exception,
                         struct _Unwind_Context *context);

static void find(const char *name, void *function)
{
    void *symbol = lookup_next(name);
    if (!symbol && real()->dlopen && real()->dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL))
        symbol = lookup_next(name); /* the program has a copy of its own within itself */
    if (!symbol)
        abort(); /* without it no stack can be unwound */
    memcpy(function, &symbol, sizeof symbol);
}

void _Unwind_Resume(struct _Unwind_Exception *exception)
{
    void (*resume)(struct _Unwind_Exception *) __attribute__((noreturn));
    find("_Unwind_Resume", &resume);
    resume(exception);
}

int __gcc_personality_v0(int version, int actions, uint64_t class, struct _Unwind_Exception *exception,
                         struct _Unwind_Context *context)
{
    int (*personality)(int, int, uint64_t, struct _Unwind_Exception *, struct _Unwind_Context *);
    find("__gcc_personality_v0", &personality);
    return personality(version, actions, class, exception, context);
}
