/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "diag/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag/escape.h"
#include "diag/logfile.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/text.h"

enum { LINE_MAX_LEN = 1024, STANDARD_ERROR = 2 };

static _Atomic int threshold = LOG_WARN;
static const char *_Atomic log_file;
static _Atomic int kept = -1;
static atomic_bool closed;
static void (*_Atomic diverted)(enum log_level level, const char *text);

/* The journal's stream, if the service manager has made it standard error; inode 0: it has not. */
static struct {
    dev_t device;
    _Atomic ino_t inode;
} journal;

enum { PRIORITY_LEN = 3 }; /* "<4>", which every line starts with in memory */

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    return names[level];
}

/* Of syslog(3), as the journal reads it at the start of a line (sd-daemon(3)). */
static int priority(enum log_level level)
{
    static const int priorities[] = {0, 3, 4, 6, 7};
    return priorities[level];
}

void log_name_journal(const char *stream)
{
    char *end;
    unsigned long long device = stream ? strtoull(stream, &end, 10) : 0;
    if (!stream || *end != ':')
        return;
    journal.device = (dev_t)device;
    atomic_store(&journal.inode, (ino_t)strtoull(end + 1, NULL, 10));
}

static bool is_journal(int fd)
{
    struct stat st;
    ino_t inode = atomic_load(&journal.inode);
    return inode != 0 && sys_fstat(fd, &st) == 0 && st.st_ino == inode && st.st_dev == journal.device;
}

void log_setup(enum log_level new_threshold, const char *file)
{
    atomic_store(&threshold, (int)new_threshold);
    atomic_store(&log_file, file);
}

int log_open(void)
{
    const char *file = atomic_load(&log_file), *reason;
    if (!file || atomic_load(&closed))
        return -1;
    return logfile_open(file, LOGFILE_LOG, &reason);
}

void log_divert(void (*sink)(enum log_level level, const char *text))
{
    atomic_store(&diverted, sink);
}

const char *log_error_text(int error)
{
    const char *text = text_of_error(error);
    return text ? text : "for a reason that has no name";
}

void log_keep(int fd)
{
    atomic_store(&kept, fd);
}

void log_stop_opening(void)
{
    atomic_store(&closed, true);
}

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* A program that inetd started has its connection as standard error, perhaps a sealed one: a log line
 * would be plaintext in the middle of the records there. */
static bool is_internet_socket(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    return net_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           (domain == AF_INET || domain == AF_INET6);
}

/* Without SIGPIPE and SIGXFSZ, which would end a program when its standard error has no reader, or because
 * it has set itself a limit. */
static void write_quietly(int fd, const char *line, size_t len)
{
    sigset_t raised, before, pending;
    sigemptyset(&raised);
    sigaddset(&raised, SIGPIPE);
    sigaddset(&raised, SIGXFSZ);
    sigemptyset(&pending);
    sys_sigprocmask(SIG_BLOCK, &raised, &before);
    sys_sigpending(&pending);
    long result = sys_write(fd, line, len);
    int signal = result == -EPIPE ? SIGPIPE : result == -EFBIG ? SIGXFSZ : 0;
    if (signal && !sigismember(&pending, signal)) {
        sigemptyset(&raised);
        sigaddset(&raised, signal);
        sys_sigtake(&raised);
    }
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Gives up rather than wait: a pipe that is never emptied must not stop the program. (A writable pipe has
 * room for PIPE_BUF bytes, which is more than a line.) */
static void write_to_standard_error(const char *line, size_t len)
{
    size_t skip = is_journal(STANDARD_ERROR) ? 0 : PRIORITY_LEN;
    struct pollfd writable = {.fd = STANDARD_ERROR, .events = POLLOUT};
    const struct timespec now = {0, 0};
    if (!is_internet_socket(STANDARD_ERROR) && net_ppoll(&writable, 1, &now) == 1 &&
        (writable.revents & POLLOUT))
        write_quietly(STANDARD_ERROR, line + skip, len - skip);
}

static bool write_to_file(const char *line, size_t len)
{
    int opened = log_open(), fd = opened >= 0 ? opened : atomic_load(&kept);
    if (fd < 0)
        return false;
    write_quietly(fd, line + PRIORITY_LEN, len - PRIORITY_LEN);
    if (opened >= 0)
        sys_close(opened);
    return true;
}

/* Puts the newline at the end of a line of `wanted` bytes, of which as many as fit are there. Gives the
 * length. */
static size_t end_line(char line[static LINE_MAX_LEN], size_t wanted)
{
    size_t len = wanted;
    if (len > LINE_MAX_LEN - 2) {
        len = LINE_MAX_LEN - 2;
        memcpy(line + len - 3, "...", 3);
    }
    escape_line(line, len);
    line[len++] = '\n';
    return len;
}

/* A line whose text starts behind `prefix` bytes. */
static void deliver(enum log_level level, char *line, size_t prefix, size_t len)
{
    void (*sink)(enum log_level, const char *) = atomic_load(&diverted);
    if (sink) {
        line[len - 1] = '\0';
        sink(level, line + prefix);
    } else if (!write_to_file(line, len)) {
        write_to_standard_error(line, len);
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level == LOG_QUIET || !log_enabled(level))
        return;
    int saved = errno;
    char line[LINE_MAX_LEN];
    int prefix = snprintf(line, sizeof line, "<%d>sockseal[%d]: %s: ", priority(level), sys_getpid(),
                          level_name(level));
    va_list arguments;
    va_start(arguments, format);
    int body = vsnprintf(line + prefix, sizeof line - (size_t)prefix, format, arguments);
    va_end(arguments);
    if (body >= 0)
        deliver(level, line, (size_t)prefix, end_line(line, (size_t)prefix + (size_t)body));
    errno = saved;
}
