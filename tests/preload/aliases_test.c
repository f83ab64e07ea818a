/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Other names of doors: with underscores, fortified, for large files, without handlers. Reading and writing
 * ones are in support/doors_io.c, which every scenario of doors_test.c goes through. */

#include "support/suite.h"

#include "support/net.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

FILE *_IO_popen(const char *command, const char *mode);
int __dup2(int from, int to);
int __fcntl(int fd, int command, ...);
pid_t __fork(void);
pid_t _Fork(void);
int __nanosleep(const struct timespec *time, struct timespec *left);
int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

enum { PLACE = 90 };

static void expect_text(int fd, const char *text)
{
    char got[64] = "";
    assert_int_equal(net_read_all(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

static void copies_and_flags(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(__dup2(pair[0], PLACE), PLACE);
    assert_int_equal(__fcntl(PLACE, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl64(PLACE, F_GETFD), FD_CLOEXEC);
    int copy = fcntl64(PLACE, F_DUPFD, PLACE), other = __fcntl(PLACE, F_DUPFD_CLOEXEC, PLACE);
    close(pair[0]);
    assert_int_equal(write(PLACE, "one", 3), 3);
    assert_int_equal(write(copy, "two", 3), 3);
    assert_int_equal(write(other, "six", 3), 3);
    expect_text(pair[1], "onetwosix");
    close(PLACE), close(copy), close(other), close(pair[1]);
}

/* A child by each name writes, ends by each name, and leaves the connection to its parent. */
static void children(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    for (int form = 0; form < 4; form++) {
        pid_t child = form % 2 ? __fork() : _Fork();
        assert_true(child >= 0);
        if (child == 0) {
            ssize_t sent = write(pair[0], "child", 5);
            if (form < 2)
                _Exit(sent == 5 ? 0 : 1);
            _exit(sent == 5 ? 0 : 1);
        }
        assert_int_equal(suite_wait(child), 0);
        expect_text(pair[1], "child");
        assert_int_equal(write(pair[0], "parent", 6), 6);
        expect_text(pair[1], "parent");
    }
    close(pair[0]), close(pair[1]);
}

/* Ends with bytes that wait for the handshake. */
static void be_quick(const struct net *net, const struct sockaddr_in *address, bool alias)
{
    int fd = net_client(net, SOCK_NONBLOCK);
    net_connect_to(fd, address);
    net_wait(fd, POLLOUT, 3000);
    int status = write(fd, "hello", 5) == 5 ? 0 : 1;
    if (alias)
        _Exit(status);
    _exit(status);
}

static void ends(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    for (int alias = 0; alias < 2; alias++) {
        pid_t child = suite_fork();
        if (child == 0)
            be_quick(net, &address, alias);
        int peer = accept(listener, NULL, NULL);
        expect_text(peer, "hello");
        assert_int_equal(suite_wait(child), 0);
        close(peer);
    }
    close(listener);
}

static void sleeping(const struct net *net)
{
    struct sockaddr_in address;
    struct timespec long_time = {.tv_sec = 100};
    int listener = net_listen(net, 4, &address);
    for (int form = 0; form < 5; form++) {
        pid_t child = suite_fork();
        if (child == 0) {
            int fd = net_client(net, SOCK_NONBLOCK);
            net_connect_to(fd, &address);
            net_wait(fd, POLLOUT, 3000);
            ssize_t sent = write(fd, "hello", 5);
            if (sent == 5 && form == 0)
                nanosleep(&long_time, NULL);
            else if (sent == 5 && form == 1)
                __nanosleep(&long_time, NULL);
            else if (sent == 5 && form == 2)
                clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, NULL);
            else if (sent == 5 && form == 3)
                sleep(100);
            else if (sent == 5)
                usleep(100000000);
            _exit(1);
        }
        int peer = accept(listener, NULL, NULL);
        expect_text(peer, "hello");
        kill(child, SIGKILL);
        suite_wait(child);
        close(peer);
    }
    close(listener);
}

/* The name under which programs of the nineties have it. */
static void old_name_of_popen(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    int kept = dup(STDOUT_FILENO);
    assert_int_equal(dup2(pair[0], STDOUT_FILENO), STDOUT_FILENO);
    FILE *stream = _IO_popen("cat", "w");
    assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
    assert_non_null(stream);
    fputs("command", stream);
    assert_int_equal(pclose(stream), 0);
    expect_text(pair[1], "command");
    close(kept), close(pair[0]), close(pair[1]);
}

static int print_list(int fd, const char *format, ...)
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
    assert_int_equal(print_list(pair[0], "%05d", 42), 5);
    expect_text(pair[1], "one-100042");
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "__dup2, __fcntl and fcntl64", .run = copies_and_flags},
    {.name = "__fork and _Fork", .run = children},
    {.name = "_exit and _Exit", .run = ends},
    {.name = "every sleep drives", .run = sleeping},
    {.name = "_IO_popen", .run = old_name_of_popen},
    {.name = "fortified printing", .run = fortified_printing},
};

static void large_file_aio(void)
{
    int pair[2];
    char bytes[4] = "abc";
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    struct aiocb64 block = {.aio_fildes = pair[0], .aio_buf = bytes, .aio_nbytes = 3};
    struct aiocb64 *list[] = {&block};
    block.aio_lio_opcode = LIO_WRITE;
    assert_int_equal(aio_read64(&block), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(aio_write64(&block), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(lio_listio64(LIO_WAIT, list, 1, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(net_wait(pair[1], POLLIN, 20), 0);
    close(pair[0]), close(pair[1]);
}

/* A server may give up the right to read its key file once it listens. */
static int listening_role(int argc, char **argv)
{
    struct sockaddr_in address;
    (void)argc, (void)argv;
    int listener = net_listen(&net_sealed, 4, &address), one = net_client(&net_sealed, 0);
    unlink(getenv("SOCKSEAL_KEY_FILE"));
    if (net_connect_to(one, &address) < 0)
        return 10;
    int two = accept(listener, NULL, NULL);
    char text[3];
    if (two < 0)
        return 11;
    return write(one, "hey", 3) == 3 && net_read_all(two, text, 3) == 3 ? 0 : 12;
}

static void listen_reads_the_keys(void)
{
    char path[] = "/tmp/sockseal-keys-XXXXXX", change[64];
    static const char keys[] = "alpha:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n";
    if (!suite_has_library())
        skip();
    int file = mkstemp(path);
    assert_int_equal(write(file, keys, sizeof keys - 1), sizeof keys - 1);
    close(file);
    snprintf(change, sizeof change, "SOCKSEAL_KEY_FILE=%s", path);
    const char *changes[] = {change, NULL};
    int status = suite_wait(suite_spawn("listening", NULL, changes, -1, -1));
    unlink(path);
    assert_int_equal(status, 0);
}

static const struct suite_test tests[] = {
    {.name = "aio for large files is refused", .run = large_file_aio},
    {.name = "listen reads the keys", .run = listen_reads_the_keys},
};

static const struct suite_role roles[] = {{"listening", listening_role}};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
