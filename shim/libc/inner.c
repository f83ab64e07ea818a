/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of functions that read or write inside libc, past the doors of read and write. Only for a sealed
 * descriptor, which standard error is in a server under inetd, are they more than libc's own. */

#include "libc/door.h"

#include <execinfo.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "sys/net.h"
#include "sys/text.h"

void __backtrace_symbols_fd(void *const *addresses, int count, int fd);
void __syslog_chk(int priority, int flag, const char *format, ...);
void __vsyslog_chk(int priority, int flag, const char *format, va_list list);

DOOR int eventfd_read(int fd, eventfd_t *value)
{
    return read(fd, value, sizeof *value) == sizeof *value ? 0 : -1;
}

DOOR int eventfd_write(int fd, eventfd_t value)
{
    return write(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}

DOOR void perror(const char *what)
{
    char text[256];
    int saved = errno, fd = fileno(stderr);
    if (!fdtable_concerns(fd))
        real()->perror(what);
    else
        dprintf(fd, "%s%s%s\n", what ? what : "", what && *what ? ": " : "",
                strerror_r(saved, text, sizeof text));
    errno = saved;
}

DOOR void herror(const char *what)
{
    if (!fdtable_concerns(STDERR_FILENO))
        real()->herror(what);
    else
        dprintf(STDERR_FILENO, "%s%s%s\n", what ? what : "", what && *what ? ": " : "", hstrerror(h_errno));
}

/* Says who sent the signal, or its code; libc has a sentence for every code of every signal. */
DOOR void psiginfo(const siginfo_t *info, const char *what)
{
    const char *name = text_of_signal(info->si_signo), *before = what ? what : "";
    const char *colon = *before ? ": " : "";
    if (!fdtable_concerns(STDERR_FILENO))
        real()->psiginfo(info, what);
    else if (!name)
        dprintf(STDERR_FILENO, "%s%sUnknown signal %d\n", before, colon, info->si_signo);
    else if (info->si_code == SI_USER)
        dprintf(STDERR_FILENO, "%s%s%s (Signal sent by kill() %ld %ld)\n", before, colon, name,
                (long)info->si_pid, (long)info->si_uid);
    else
        dprintf(STDERR_FILENO, "%s%s%s (%d)\n", before, colon, name, info->si_code);
}

/* Copies what stands in the pipe, whose writing end is closed. */
static void copy_out(int from, int to)
{
    char text[512];
    for (;;) {
        long len = sys_read(from, text, sizeof text);
        if (len <= 0)
            return;
        for (long done = 0; done < len;) {
            ssize_t sent = write(to, text + done, (size_t)(len - done));
            if (sent < 0 && errno != EINTR)
                return;
            done += sent > 0 ? sent : 0;
        }
    }
}

/* Async-signal-safe, as crash handlers need it: libc writes its line for one address into a pipe. */
DOOR void backtrace_symbols_fd(void *const *addresses, int count, int fd)
{
    int ends[2];
    if (!fdtable_concerns(fd)) {
        real()->backtrace_symbols_fd(addresses, count, fd);
        return;
    }
    for (int i = 0; i < count; i++) {
        if (sys_call3(SYS_pipe2, sys_ptr(ends), O_CLOEXEC, 0) < 0)
            return;
        real()->backtrace_symbols_fd(addresses + i, 1, ends[1]);
        sys_close(ends[1]);
        copy_out(ends[0], fd);
        sys_close(ends[0]);
    }
}

DOOR void __backtrace_symbols_fd(void *const *addresses, int count, int fd)
{
    backtrace_symbols_fd(addresses, count, fd);
}

/* ---- syslog with LOG_PERROR ---- */

/* What openlog(3) was told, and libc remembers too. */
static struct {
    const char *ident;
    int option, facility;
} syslog_options;

DOOR void openlog(const char *ident, int option, int facility)
{
    if (ident)
        syslog_options.ident = ident;
    syslog_options.option = option;
    syslog_options.facility = facility;
    real()->openlog(ident, option, facility);
}

DOOR void closelog(void)
{
    syslog_options.ident = NULL;
    real()->closelog();
}

static void print_error(const char *format, va_list list)
{
    char *text = NULL, number[16] = "";
    if (vasprintf(&text, format, list) < 0)
        return;
    size_t len = strlen(text);
    if (syslog_options.option & LOG_PID)
        snprintf(number, sizeof number, "[%d]", (int)getpid());
    dprintf(STDERR_FILENO, "%s%s: %s%s",
            syslog_options.ident ? syslog_options.ident : program_invocation_short_name, number, text,
            len && text[len - 1] == '\n' ? "" : "\n");
    free(text);
}

DOOR void vsyslog(int priority, const char *format, va_list list)
{
    if (!(syslog_options.option & LOG_PERROR) || !fdtable_concerns(STDERR_FILENO)) {
        real()->vsyslog(priority, format, list);
        return;
    }
    int saved = errno; /* %m */
    va_list again;
    va_copy(again, list);
    real()->openlog(syslog_options.ident, syslog_options.option & ~LOG_PERROR, syslog_options.facility);
    errno = saved;
    real()->vsyslog(priority, format, list);
    real()->openlog(syslog_options.ident, syslog_options.option, syslog_options.facility);
    errno = saved;
    if (setlogmask(0) & LOG_MASK(LOG_PRI(priority)))
        print_error(format, again);
    va_end(again);
}

DOOR void syslog(int priority, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsyslog(priority, format, list);
    va_end(list);
}

DOOR void __vsyslog_chk(int priority, int flag, const char *format, va_list list)
{
    (void)flag;
    vsyslog(priority, format, list);
}

DOOR void __syslog_chk(int priority, int flag, const char *format, ...)
{
    (void)flag;
    va_list list;
    va_start(list, format);
    vsyslog(priority, format, list);
    va_end(list);
}
