/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Functions of libc that write to a descriptor by themselves: what they say on a sealed descriptor is what
 * they say on a plain one, and arrives sealed. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <execinfo.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

void __backtrace_symbols_fd(void *const *addresses, int count, int fd);
void __syslog_chk(int priority, int flag, const char *format, ...);
void __vsyslog_chk(int priority, int flag, const char *format, va_list list);

/* What `speak` writes to standard error when that is a connection: all of it, up to its end. */
static void listen_to(const struct net *net, void (*speak)(void), char *heard, size_t room)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        if (dup2(pair[0], STDERR_FILENO) < 0)
            _exit(99);
        close(pair[0]);
        speak();
        close(STDERR_FILENO);
        _exit(0);
    }
    close(pair[0]);
    size_t len = net_read_all(pair[1], heard, room - 1);
    heard[len] = '\0';
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]);
}

static void expect(const struct net *net, void (*speak)(void), const char *text)
{
    char heard[4096];
    listen_to(net, speak, heard, sizeof heard);
    assert_string_equal(heard, text);
}

static void speak_perror(void)
{
    errno = ENOENT;
    perror("opening");
    if (errno != ENOENT)
        _exit(98);
    errno = EPIPE;
    perror(NULL);
    perror("");
}

static void perror_speaks(const struct net *net)
{
    expect(net, speak_perror, "opening: No such file or directory\nBroken pipe\nBroken pipe\n");
}

static void speak_herror(void)
{
    h_errno = HOST_NOT_FOUND;
    herror("asking");
    herror(NULL);
}

static void herror_speaks(const struct net *net)
{
    expect(net, speak_herror, "asking: Unknown host\nUnknown host\n");
}

static void speak_psiginfo(void)
{
    siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_USER};
    info.si_pid = 17;
    info.si_uid = 4;
    psiginfo(&info, "got");
    psiginfo(&info, NULL);
}

static void psiginfo_speaks(const struct net *net)
{
    expect(net, speak_psiginfo,
           "got: Terminated (Signal sent by kill() 17 4)\nTerminated (Signal sent by kill() 17 4)\n");
}

static void speak_backtrace(void)
{
    void *places[64];
    int count = backtrace(places, 4);
    for (int i = count; i < 64; i++)
        places[i] = places[0];
    backtrace_symbols_fd(places, 64, STDERR_FILENO);
    __backtrace_symbols_fd(places, 1, STDERR_FILENO);
}

/* A line an address, each with the address in brackets at its end. */
static void backtraces_speak(const struct net *net)
{
    char heard[64 * 256];
    int lines = 0;
    listen_to(net, speak_backtrace, heard, sizeof heard);
    for (char *line = strtok(heard, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        assert_non_null(strstr(line, "[0x"));
        assert_int_equal(line[strlen(line) - 1], ']');
    }
    assert_int_equal(lines, 65);
}

static void log_by_list(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsyslog(LOG_ERR, format, list);
    va_end(list);
    va_start(list, format);
    __vsyslog_chk(LOG_ERR, 1, format, list);
    va_end(list);
}

static void speak_syslog(void)
{
    openlog("tester", LOG_PERROR, LOG_USER);
    errno = ENOENT;
    syslog(LOG_ERR, "%d: %m", 1);
    __syslog_chk(LOG_ERR, 1, "%s\n", "with its newline");
    log_by_list("list %c", 'x');
    setlogmask(LOG_UPTO(LOG_ERR));
    syslog(LOG_DEBUG, "not wanted");
    closelog();
}

static void syslog_speaks(const struct net *net)
{
    expect(
        net, speak_syslog,
        "tester: 1: No such file or directory\ntester: with its newline\ntester: list x\ntester: list x\n");
}

static int print_list(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = vdprintf(fd, format, list);
    va_end(list);
    return result;
}

static void dprintf_and_vdprintf(const struct net *net)
{
    int pair[2];
    net_pair(net, pair);
    assert_int_equal(dprintf(pair[0], "%s-%d", "one", 1), 5);
    assert_int_equal(print_list(pair[1], "%05d", 42), 5);
    net_expect_text(pair[1], "one-1");
    net_expect_text(pair[0], "00042");
    close(pair[0]), close(pair[1]);
}

static int print_list_fortified(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = __vdprintf_chk(fd, 1, format, list);
    va_end(list);
    return result;
}

static void fortified_printing(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(__dprintf_chk(pair[0], 1, "%s-%d", "one", 1), 5);
    assert_int_equal(print_list_fortified(pair[0], "%05d", 42), 5);
    net_expect_text(pair[1], "one-100042");
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "perror", .run = perror_speaks},
    {.name = "herror", .run = herror_speaks},
    {.name = "psiginfo", .run = psiginfo_speaks},
    {.name = "backtrace_symbols_fd", .run = backtraces_speak},
    {.name = "syslog with LOG_PERROR", .run = syslog_speaks},
    {.name = "dprintf and vdprintf", .run = dprintf_and_vdprintf},
    {.name = "fortified printing", .run = fortified_printing},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
