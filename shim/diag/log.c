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
#include "diag/logline.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/text.h"

enum { STANDARD_ERROR = 2 };

static _Atomic int threshold = LOG_WARN;
static const char *_Atomic log_file;
static _Atomic int format = LOG_FORMAT_TEXT;
static _Atomic int kept = -1;
static atomic_bool closed;
static void (*_Atomic diverted)(enum log_level level, const char *text);

/* The journal's stream, if the service manager has made it standard error; inode 0: it has not. */
static struct {
    dev_t device;
    _Atomic ino_t inode;
} journal;

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
    logline_name_program(program_invocation_short_name);
}

void log_set_format(enum log_format new_format)
{
    atomic_store(&format, (int)new_format);
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

/* False if the kernel does not take it. Without SIGPIPE and SIGXFSZ, which would end a program when its
 * standard error has no reader, or because it has set itself a limit. */
static bool write_quietly(int fd, const char *line, size_t len)
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
    return result >= 0;
}

static enum log_format chosen_format(void)
{
    return (enum log_format)atomic_load(&format);
}

/* Gives up rather than wait: a pipe that is never emptied must not stop the program. (A writable pipe has
 * room for PIPE_BUF bytes, which is more than a line.) */
static void write_to_standard_error(enum log_level level, const char *text)
{
    char line[LOGLINE_SIZE];
    const enum logline_target target = is_journal(STANDARD_ERROR) ? LOGLINE_STDERR_JOURNAL : LOGLINE_STDERR;
    struct pollfd writable = {.fd = STANDARD_ERROR, .events = POLLOUT};
    const struct timespec now = {0, 0};
    if (!is_internet_socket(STANDARD_ERROR) && net_ppoll(&writable, 1, &now) == 1 &&
        (writable.revents & POLLOUT))
        write_quietly(STANDARD_ERROR, line, logline_make(line, target, chosen_format(), level, text));
}

static enum logline_target target_of_file(void)
{
    switch (logfile_daemon(atomic_load(&log_file))) {
    case LOGFILE_SYSLOG:
        return LOGLINE_SYSLOG;
    case LOGFILE_JOURNALD:
        return LOGLINE_JOURNALD;
    case LOGFILE_NONE:
        break;
    }
    return LOGLINE_FILE;
}

static bool write_to_file(enum log_level level, const char *text)
{
    char line[LOGLINE_SIZE];
    int opened = log_open(), fd = opened >= 0 ? opened : atomic_load(&kept);
    if (fd < 0)
        return false;
    const bool written =
        write_quietly(fd, line, logline_make(line, target_of_file(), chosen_format(), level, text));
    if (opened >= 0)
        sys_close(opened);
    return written;
}

/* Ends a text of `wanted` bytes, of which as many as fit are there. */
static void end_text(char text[static LOGLINE_TEXT], size_t wanted)
{
    size_t len = wanted;
    if (len > LOGLINE_TEXT - 1) {
        len = LOGLINE_TEXT - 1;
        memcpy(text + len - 3, "...", 3);
    }
    escape_line(text, len);
}

static void deliver(enum log_level level, const char *text)
{
    void (*sink)(enum log_level, const char *) = atomic_load(&diverted);
    if (sink)
        sink(level, text);
    else if (!write_to_file(level, text))
        write_to_standard_error(level, text);
}

void log_line(enum log_level level, const char *line, ...)
{
    if (level == LOG_QUIET || !log_enabled(level))
        return;
    int saved = errno;
    char text[LOGLINE_TEXT];
    va_list arguments;
    va_start(arguments, line);
    int wanted = vsnprintf(text, sizeof text, line, arguments);
    va_end(arguments);
    if (wanted >= 0) {
        end_text(text, (size_t)wanted);
        deliver(level, text);
    }
    errno = saved;
}
