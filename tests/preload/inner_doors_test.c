/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Functions that read and write inside libc, past read and write themselves: what they say on a sealed
 * descriptor is what they say on a plain one, and arrives sealed. */

#include "support/suite.h"

#include "support/net.h"

#include <errno.h>
#include <execinfo.h>
#include <netdb.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>
#include <utmp.h>

void __backtrace_symbols_fd(void *const *addresses, int count, int fd);
void __syslog_chk(int priority, int flag, const char *format, ...);
void __vsyslog_chk(int priority, int flag, const char *format, va_list list);

enum { SOON_MS = 3000 };

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

static void eventfd_calls(const struct net *net)
{
    int pair[2], event = eventfd(0, EFD_CLOEXEC);
    eventfd_t value = 0, bytes;
    net_warm_pair(net, pair);
    assert_int_equal(eventfd_write(pair[0], 0x1122334455667788), 0);
    assert_int_equal(net_read_all(pair[1], &bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(bytes, 0x1122334455667788);
    assert_int_equal(net_write_all(pair[0], &bytes, sizeof bytes), sizeof bytes);
    assert_true(net_wait(pair[1], POLLIN, SOON_MS) & POLLIN);
    assert_int_equal(eventfd_read(pair[1], &value), 0);
    assert_int_equal(value, bytes);
    assert_int_equal(eventfd_write(event, 5), 0);
    assert_int_equal(eventfd_read(event, &value), 0);
    assert_int_equal(value, 5);
    close(pair[0]), close(pair[1]), close(event);
}

/* As a telnet server under inetd does it: the connection is at 0, 1 and 2, and in the child a terminal. */
static void be_telnetd(int fd, int (*start)(int *master))
{
    char word[8] = "";
    int master = -1;
    for (int to = 0; to < 3; to++)
        dup2(fd, to);
    close(fd);
    int child = start(&master);
    if (child == 0) {
        ssize_t n = write(1, isatty(0) && isatty(2) ? "a terminal" : "a connection", 10);
        _exit(n == 10 ? 0 : 1);
    }
    size_t have = 0;
    char seen[16] = "";
    while (have < 10 && net_wait(master, POLLIN, SOON_MS) & POLLIN) {
        ssize_t n = read(master, seen + have, 10 - have);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    bool right = strcmp(seen, "a terminal") == 0 && suite_wait(child) == 0;
    /* The parent's connection is what it was. */
    right = right && write(1, right ? "yes" : "no!", 3) == 3 && net_read_all(0, word, 3) == 3;
    _exit(right && strcmp(word, "bye") == 0 ? 0 : 1);
}

static int start_by_forkpty(int *master)
{
    return forkpty(master, NULL, NULL, NULL);
}

static int start_by_login_tty(int *master)
{
    int slave;
    if (openpty(master, &slave, NULL, NULL, NULL) < 0)
        return -1;
    int child = fork();
    if (child == 0 && login_tty(slave) < 0)
        _exit(2);
    if (child != 0)
        close(slave);
    return child;
}

static void telnetd_by(const struct net *net, int (*start)(int *master))
{
    int pair[2];
    char word[8] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        be_telnetd(pair[0], start);
    }
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], word, 3), 3);
    assert_string_equal(word, "yes");
    assert_int_equal(write(pair[1], "bye", 3), 3);
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]);
}

static void forkpty_under_inetd(const struct net *net)
{
    telnetd_by(net, start_by_forkpty);
}

static void login_tty_under_inetd(const struct net *net)
{
    telnetd_by(net, start_by_login_tty);
}

static const struct suite_case cases[] = {
    {.name = "perror", .run = perror_speaks},
    {.name = "herror", .run = herror_speaks},
    {.name = "psiginfo", .run = psiginfo_speaks},
    {.name = "backtrace_symbols_fd", .run = backtraces_speak},
    {.name = "syslog with LOG_PERROR", .run = syslog_speaks},
    {.name = "eventfd_read and eventfd_write", .run = eventfd_calls},
    {.name = "forkpty under inetd", .run = forkpty_under_inetd},
    {.name = "login_tty under inetd", .run = login_tty_under_inetd},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
