/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "libc/streams.h"

#include "libc/door.h"
#include "shm/self.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Bits of FILE._flags, which glibc's ABI has fixed (libio.h). */
enum { STREAM_UNBUFFERED = 0x2, STREAM_LINE_BUFFERED = 0x200 };

/* A standard descriptor's two streams. */
struct standard {
    FILE **variable;
    const char *mode;
    FILE *plain;  /* what the variable pointed to before; NULL: it points there now */
    FILE *cookie; /* made when it is needed first */
};

static struct standard standards[] = {
    {&stdin, "r", NULL, NULL}, {&stdout, "w", NULL, NULL}, {&stderr, "w", NULL, NULL}};
enum { STANDARDS = sizeof standards / sizeof standards[0] };

static int fd_of(void *cookie)
{
    return (int)(intptr_t)cookie - 1;
}

/* What the plain stdin has read ahead comes first. */
static size_t read_ahead(const struct standard *standard, char *buffer, size_t len)
{
    FILE *from = standard->plain;
    size_t have = from ? (size_t)(from->_IO_read_end - from->_IO_read_ptr) : 0;
    if (have > len)
        have = len;
    if (have)
        memcpy(buffer, from->_IO_read_ptr, have);
    if (have)
        from->_IO_read_ptr += have;
    return have;
}

static ssize_t stream_read(void *cookie, char *buffer, size_t len)
{
    size_t ahead = fd_of(cookie) == STDIN_FILENO && *standards[0].variable == standards[0].cookie
                       ? read_ahead(&standards[0], buffer, len)
                       : 0;
    return ahead ? (ssize_t)ahead : read(fd_of(cookie), buffer, len);
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

/* The stream is freed, or becomes a plain one (freopen(3)). */
static int stream_close(void *cookie)
{
    int fd = fd_of(cookie);
    if (fd < STANDARDS && standards[fd].cookie && standards[fd].cookie == *standards[fd].variable) {
        standards[fd].cookie = NULL;
        standards[fd].plain = NULL;
    }
    return close(fd);
}

FILE *streams_open(int fd, const char *mode)
{
    const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    FILE *stream = fopencookie((void *)(intptr_t)(fd + 1), mode, functions);
    if (!stream)
        return NULL;
    stream->_fileno = fd;
    stream->_wide_data = NULL; /* or freopen(3) would free what is not its own */
    return stream;
}

static void move_output(FILE *from, FILE *to)
{
    size_t len =
        from->_IO_write_ptr > from->_IO_write_base ? (size_t)(from->_IO_write_ptr - from->_IO_write_base) : 0;
    if (len == 0)
        return;
    fwrite(from->_IO_write_base, 1, len, to);
    from->_IO_write_ptr = from->_IO_write_base;
}

static void copy_buffering(const FILE *from, FILE *to)
{
    if (from->_flags & STREAM_UNBUFFERED)
        setvbuf(to, NULL, _IONBF, 0);
    else if (from->_flags & STREAM_LINE_BUFFERED)
        setvbuf(to, NULL, _IOLBF, 0);
}

static void become_sealed(struct standard *standard, int fd)
{
    FILE *plain = *standard->variable;
    if (standard->plain || !plain || plain->_fileno != fd)
        return;
    if (!standard->cookie) {
        standard->cookie = streams_open(fd, standard->mode);
        if (!standard->cookie) {
            plain->_fileno = -1; /* an error rather than a byte in the clear */
            return;
        }
        copy_buffering(plain, standard->cookie);
    }
    clearerr(standard->cookie);
    standard->plain = plain;
    *standard->variable = standard->cookie;
    move_output(plain, standard->cookie);
    plain->_fileno = -1; /* who kept a pointer to it must not write in the clear */
}

static void become_plain(struct standard *standard, int fd)
{
    FILE *plain = standard->plain;
    if (!plain)
        return;
    standard->plain = NULL;
    plain->_fileno = fd;
    if (*standard->variable != standard->cookie)
        return;
    *standard->variable = plain;
    move_output(standard->cookie, plain);
}

/* glibc's list of all streams; FILE is the beginning of what stands in it. */
struct _IO_FILE_plus;
extern struct _IO_FILE_plus *_IO_list_all;
void _IO_list_lock(void);
void _IO_list_unlock(void);

static bool is_cookie(const FILE *stream)
{
    return stream->_wide_data == NULL; /* as streams_open() made it */
}

static void detach(int fd)
{
    _IO_list_lock();
    for (FILE *stream = (FILE *)(void *)_IO_list_all; stream; stream = stream->_chain) {
        if (stream->_fileno == fd && !is_cookie(stream))
            stream->_fileno = -1;
    }
    _IO_list_unlock();
}

static bool left_alone;

void streams_leave(void)
{
    left_alone = true;
}

void streams_replaced(int fd)
{
    if (left_alone)
        return;
    if (fd >= STANDARDS && self_owns_tables() && fdtable_has(fd))
        detach(fd);
    else
        streams_follow(fd);
}

void streams_follow(int fd)
{
    int saved = errno;
    if (fd < 0 || fd >= STANDARDS || left_alone || !self_owns_tables())
        return;
    if (fdtable_has(fd))
        become_sealed(&standards[fd], fd);
    else
        become_plain(&standards[fd], fd);
    errno = saved;
}

/*
 * exit(3) flushes every stream after the last destructor, from the newest to the oldest, and calls _exit()
 * within libc. So the last that can be heard of is a stream older than the program's: it gets a byte to be
 * flushed in the destructor, and its write function is called behind all others.
 */
static FILE *last_stream;
static void (*at_end)(void);

static ssize_t last_write(void *cookie, const char *buffer, size_t len)
{
    (void)cookie, (void)buffer;
    at_end();
    return (ssize_t)len;
}

bool streams_at_end(void (*last)(void))
{
    const cookie_io_functions_t functions = {.write = last_write};
    at_end = last;
    last_stream = fopencookie(NULL, "w", functions);
    return last_stream != NULL;
}

void streams_end_comes(void)
{
    if (last_stream)
        fputc(0, last_stream);
}
