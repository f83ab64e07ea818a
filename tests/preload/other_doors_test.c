/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The doors beside reading, writing and waiting: streams, raw system calls, closing by the range,
 * and what a program can ask about a descriptor. */

#include "support/suite.h"

#include "sockseal.h"
#include "support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the other side receives was sealed: else its record layer had refused it. */
static void expect_text(int fd, const char *text)
{
    char got[256] = "";
    assert_int_equal(net_read_all(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

static void a_stream_writes_and_reads(const struct net *net)
{
    int pair[2];
    char line[64];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "r+");
    assert_non_null(stream);
    assert_int_equal(fileno(stream), pair[0]);
    fprintf(stream, "number %d\n", 7);
    assert_int_equal(fflush(stream), 0);
    expect_text(pair[1], "number 7\n");
    assert_int_equal(write(pair[1], "answer\nmore\n", 12), 12);
    assert_string_equal(fgets(line, sizeof line, stream), "answer\n");
    assert_string_equal(fgets(line, sizeof line, stream), "more\n");
    assert_int_equal(fseek(stream, 0, SEEK_SET), -1);
    assert_int_equal(errno, ESPIPE);
    fputs("last", stream);
    assert_int_equal(fclose(stream), 0);
    expect_text(pair[1], "last");
    assert_int_equal(read(pair[1], line, 1), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    close(pair[1]);
}

static void an_unbuffered_stream(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "w");
    setvbuf(stream, NULL, _IONBF, 0);
    fputs("at once", stream);
    expect_text(pair[1], "at once");
    fclose(stream);
    close(pair[1]);
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
    expect_text(pair[1], "one-1");
    expect_text(pair[0], "00042");
    close(pair[0]), close(pair[1]);
}

static void raw_system_calls(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    assert_int_equal(syscall(SYS_write, pair[0], "raw", 3), 3);
    assert_int_equal(syscall(SYS_read, pair[1], text, sizeof text), 3);
    assert_string_equal(text, "raw");
    struct iovec iov = {(void *)"vec", 3};
    assert_int_equal(syscall(SYS_writev, pair[1], &iov, 1), 3);
    assert_int_equal(syscall(SYS_recvfrom, pair[0], text, 16, MSG_PEEK, NULL, NULL), 3);
    expect_text(pair[0], "vec");
    assert_int_equal(syscall(SYS_close, pair[0]), 0);
    assert_int_equal(read(pair[1], text, 1), 0);
    assert_int_equal(syscall(SYS_getpid), getpid());
    close(pair[1]);
}

static void raw_accept_and_connect(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    assert_int_equal(syscall(SYS_connect, one, &address, sizeof address), 0);
    int two = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(two >= 0);
    assert_int_equal(write(one, "x", 1), 1);
    expect_text(two, "x");
    close(one), close(two), close(listener);
}

static void closing_a_range(const struct net *net)
{
    int pair[2], again[2];
    char byte;
    net_warm_pair(net, pair);
    net_pair(net, again); /* its handshake is outstanding: the private epoll exists */
    int moved = fcntl(pair[0], F_DUPFD, 500);
    close(pair[0]);
    assert_int_equal(close_range(400, ~0u, 0), 0);
    assert_int_equal(fcntl(moved, F_GETFD), -1);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    assert_int_equal(write(again[0], "y", 1), 1);
    expect_text(again[1], "y");
    closefrom(300);
    assert_int_equal(write(again[1], "z", 1), 1);
    expect_text(again[0], "z");
    close(pair[1]), close(again[0]), close(again[1]);
}

/* CLOSE_RANGE_UNSHARE closes, too. */
static void closing_a_range_unshared(const struct net *net)
{
    int pair[2];
    char byte;
    net_warm_pair(net, pair);
    int first = dup2(pair[0], 200), second = dup2(pair[1], 201);
    close(pair[0]), close(pair[1]);
    assert_int_equal(close_range(200, 200, CLOSE_RANGE_UNSHARE), 0);
    assert_int_equal(fcntl(first, F_GETFD), -1);
    assert_int_equal(read(second, &byte, 1), 0);
    assert_int_equal(close_range(201, 200, CLOSE_RANGE_UNSHARE), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(close_range(201, 201, 8), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fcntl(second, F_GETFD), 0);
    close(second);
}

static void flags_of_descriptors(const struct net *net)
{
    int pair[2];
    net_pair(net, pair);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcntl(pair[i], F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(pair[i], F_SETFD, 0), 0);
        assert_int_equal(fcntl(pair[i], F_GETFD), 0);
    }
    int kept = dup(pair[0]), closing = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    assert_int_equal(fcntl(kept, F_GETFD), 0);
    assert_int_equal(fcntl(closing, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(kept, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(kept, F_SETFD, 0), 0);
    assert_int_equal(fcntl(kept, F_GETFD), 0);
    close(kept), close(closing), close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "a stream writes and reads", .run = a_stream_writes_and_reads},
    {.name = "an unbuffered stream", .run = an_unbuffered_stream},
    {.name = "dprintf and vdprintf", .run = dprintf_and_vdprintf},
    {.name = "raw system calls", .run = raw_system_calls},
    {.name = "raw accept and connect", .run = raw_accept_and_connect},
    {.name = "closing a range", .run = closing_a_range},
    {.name = "closing a range, unshared", .run = closing_a_range_unshared},
    {.name = "flags of descriptors", .run = flags_of_descriptors},
};

static void io_uring_is_not_there(void)
{
    if (!suite_has_library())
        skip();
    char parameters[256] = {0};
    assert_int_equal(syscall(SYS_io_uring_setup, 8, parameters), -1);
    assert_int_equal(errno, ENOSYS);
}

static void what_a_program_can_ask(void)
{
    int pair[2], plain[2];
    struct sockseal_info info;
    socklen_t len = sizeof info;
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    net_pair(&net_plain, plain);
    assert_int_equal(getsockopt(pair[0], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(len, sizeof info);
    assert_int_equal(info.sealed, 1);
    assert_int_equal(info.state, SOCKSEAL_ESTABLISHED);
    assert_int_equal(info.server, 0);
    assert_true(info.identity_len > 0);
    assert_true(info.suite == SOCKSEAL_SUITE_AEGIS_128L || info.suite == SOCKSEAL_SUITE_AEGIS_128X2 ||
                info.suite == SOCKSEAL_SUITE_AEGIS_128X4 || info.suite == SOCKSEAL_SUITE_CHACHA20_POLY1305);
    len = 4;
    assert_int_equal(getsockopt(pair[1], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(len, 4);
    assert_int_equal(info.server, 1);
    len = sizeof info;
    assert_int_equal(getsockopt(plain[0], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(info.sealed, 0);
    close(pair[0]), close(pair[1]), close(plain[0]), close(plain[1]);
}

static const struct suite_test tests[] = {
    {.name = "io_uring is not there", .run = io_uring_is_not_there},
    {.name = "what a program can ask", .run = what_a_program_can_ask},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
