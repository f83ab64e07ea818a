/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of stdio. */

#include "libc/streams.h"

#include "conn/address.h"
#include "libc/door.h"

#include <fcntl.h>
#include <paths.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

FILE *_IO_fdopen(int fd, const char *mode) __THROW __attribute_malloc__;
int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

/* A socket that is not connected yet may be sealed later, under the stream. */
static bool may_be_sealed(int fd)
{
    return fdtable_has(fd) || (config_get()->active && address_is_tcp(fd));
}

DOOR FILE *fdopen(int fd, const char *mode)
{
    if (!may_be_sealed(fd))
        return real()->fdopen(fd, mode);
    FILE *stream = streams_open(fd, mode);
    if (stream && strchr(mode, 'e'))
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return stream;
}

DOOR_ALIAS("fdopen") FILE *_IO_fdopen(int fd, const char *mode) __THROW __attribute_malloc__;

/* libc's freopen(3) puts the file in the descriptor's place without passing a door, so the connection gives
 * way before. Gives the stream to go on with: for stdout, say, that is libc's own again. */
static FILE *make_way(FILE *stream, int fd)
{
    int null = open(_PATH_DEVNULL, O_RDWR | O_CLOEXEC);
    FILE **standards[] = {&stdin, &stdout, &stderr};
    bool standard = fd <= STDERR_FILENO && *standards[fd] == stream;
    fflush(stream);
    if (null >= 0)
        dup2(null, fd);
    close(null < 0 ? fd : null); /* without a descriptor to be had, freopen(3) fails, too */
    return standard ? *standards[fd] : stream;
}

typedef FILE *reopen(const char *, const char *, FILE *);

static FILE *reopen_sealed(const char *path, const char *mode, FILE *stream, reopen *call)
{
    if (path)
        return call(path, mode, make_way(stream, fileno(stream)));
    fclose(stream); /* the same file in another mode: a socket cannot be opened (open(2)) */
    errno = ENXIO;
    return NULL;
}

DOOR FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict stream)
{
    bool handle = stream && fdtable_has(stream->_fileno);
    return handle ? reopen_sealed(path, mode, stream, real()->freopen) : real()->freopen(path, mode, stream);
}

DOOR FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict stream)
{
    bool handle = stream && fdtable_has(stream->_fileno);
    return handle ? reopen_sealed(path, mode, stream, real()->freopen64)
                  : real()->freopen64(path, mode, stream);
}

DOOR int vdprintf(int fd, const char *format, va_list list)
{
    if (!fdtable_has(fd))
        return real()->vdprintf(fd, format, list);
    char *text = NULL;
    int len = vasprintf(&text, format, list), done = 0;
    while (done < len) {
        ssize_t sent = write(fd, text + done, (size_t)(len - done));
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break;
        done += (int)sent;
    }
    free(text);
    return done < len ? -1 : len;
}

DOOR int dprintf(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = vdprintf(fd, format, list);
    va_end(list);
    return result;
}

DOOR int __vdprintf_chk(int fd, int flag, const char *format, va_list list)
{
    (void)flag;
    return vdprintf(fd, format, list);
}

DOOR int __dprintf_chk(int fd, int flag, const char *format, ...)
{
    (void)flag;
    va_list list;
    va_start(list, format);
    int result = vdprintf(fd, format, list);
    va_end(list);
    return result;
}
