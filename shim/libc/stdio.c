/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of stdio. */

#include "libc/streams.h"

#include "libc/door.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

typedef FILE *reopen(const char *, const char *, FILE *);

/* libc's freopen(3) puts the file in the descriptor's place without passing a door. */
static FILE *reopen_sealed(const char *path, const char *mode, FILE *stream, reopen *call)
{
    if (path) {
        fflush(stream);
        streams_make_way(fileno(stream));
        return call(path, mode, stream);
    }
    fclose(stream); /* the same file in another mode: a socket cannot be opened (open(2)) */
    errno = ENXIO;
    return NULL;
}

DOOR FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict stream)
{
    bool sealed = fdtable_has(stream->_fileno);
    return sealed ? reopen_sealed(path, mode, stream, real()->freopen) : real()->freopen(path, mode, stream);
}

DOOR FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict stream)
{
    bool sealed = fdtable_has(stream->_fileno);
    return sealed ? reopen_sealed(path, mode, stream, real()->freopen64)
                  : real()->freopen64(path, mode, stream);
}

DOOR int vdprintf(int fd, const char *format, va_list list)
{
    if (!fdtable_concerns(fd))
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
