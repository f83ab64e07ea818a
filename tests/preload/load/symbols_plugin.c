/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A library for symbols_test.c: loaded later it looks functions up behind itself, and preloaded behind the
 * library under test it wraps one of them, as a tracer does. */

#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

SHOWN void *plugin_next(const char *name, const char *version);
SHOWN extern int plugin_calls;
int plugin_calls;

void *plugin_next(const char *name, const char *version)
{
    /* No tail call: the return address tells which library asks. */
    void *volatile found = version ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
    return found;
}

/* What libc has; asked for each time. */
SHOWN ssize_t send(int fd, const void *data, size_t len, int flags)
{
    ssize_t (*next)(int, const void *, size_t, int) = NULL;
    void *symbol = plugin_next("send", NULL);
    memcpy(&next, &symbol, sizeof next);
    plugin_calls++;
    return next(fd, data, len, flags);
}
