/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of stdio. glibc's streams call the kernel directly, so a stream over a sealed descriptor is made a
 * cookie stream, whose reading and writing come back to the doors. */

#include "libc/door.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

bool door_streams;

static int fd_of(void *cookie)
{
    return (int)(intptr_t)cookie - 1;
}

static ssize_t stream_read(void *cookie, char *buffer, size_t len)
{
    return read(fd_of(cookie), buffer, len);
}

/* fopencookie(3): a write function gives 0, not -1, on error. */
static ssize_t stream_write(void *cookie, const char *buffer, size_t len)
{
    ssize_t sent = write(fd_of(cookie), buffer, len);
    return sent < 0 ? 0 : sent;
}

static int stream_seek(void *cookie, off64_t *offset, int whence)
{
    (void)cookie, (void)offset, (void)whence;
    errno = ESPIPE;
    return -1;
}

static int stream_close(void *cookie)
{
    return close(fd_of(cookie));
}

DOOR FILE *fdopen(int fd, const char *mode)
{
    if (!registry_has(fd))
        return real()->fdopen(fd, mode);
    const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    FILE *stream = fopencookie((void *)(intptr_t)(fd + 1), mode, functions);
    if (!stream)
        return NULL;
    door_streams = true;
    stream->_fileno = fd;
    stream->_wide_data = NULL; /* or freopen(3) would free what is not its own */
    if (strchr(mode, 'e'))
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return stream;
}

DOOR int vdprintf(int fd, const char *format, va_list list)
{
    if (!registry_has(fd))
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
