/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Connections through their whole life in one process and one thread, without any helper, so that valgrind
 * sees all of it: neither an invalid access nor a block or a descriptor that stays behind.
 *
 * valgrind: yes */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 10000, BULK = 300000 };

struct ends {
    int client, server;
};

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

/* A side is sealed when its peer's address is in 127.77.0.0/16. */
static struct ends connect_pair(const char *client_address, const char *server_address)
{
    struct sockaddr_in here = address_of(client_address), there = address_of(server_address);
    socklen_t len = sizeof there;
    struct ends ends;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&there, sizeof there), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&there, &len), 0);
    ends.client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(ends.client, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(connect(ends.client, (struct sockaddr *)&there, sizeof there), 0);
    ends.server = accept(listener, NULL, NULL);
    assert_true(ends.server >= 0);
    assert_int_equal(close(listener), 0);
    assert_int_equal(fcntl(ends.client, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends.server, F_SETFL, O_NONBLOCK), 0);
    return ends;
}

static void close_pair(const struct ends *ends)
{
    assert_int_equal(close(ends->client), 0);
    assert_int_equal(close(ends->server), 0);
}

/* Waits until one of the two can be read, or `writer` written. */
static void wait_for_either(const struct ends *ends, int writer)
{
    struct pollfd fds[] = {{.fd = ends->client, .events = POLLIN}, {.fd = ends->server, .events = POLLIN}};
    for (size_t i = 0; i < 2; i++)
        if (fds[i].fd == writer)
            fds[i].events = POLLIN | POLLOUT;
    assert_true(poll(fds, 2, WAIT_MS) > 0);
}

/* Sends `len` bytes from one end to the other, reading and writing in turn, and compares them. */
static void transfer(const struct ends *ends, int from, int to, size_t len)
{
    static uint8_t sent[BULK], received[BULK];
    size_t out = 0, in = 0;
    assert_true(len <= BULK);
    for (size_t i = 0; i < len; i++)
        sent[i] = (uint8_t)(i * 31 + len);
    while (in < len) {
        ssize_t put = out < len ? write(from, sent + out, len - out) : 0;
        ssize_t got = read(to, received + in, len - in);
        assert_true(put >= 0 || errno == EAGAIN);
        assert_true(got > 0 || (got < 0 && errno == EAGAIN));
        out += put > 0 ? (size_t)put : 0;
        in += got > 0 ? (size_t)got : 0;
        if (put <= 0 && got <= 0)
            wait_for_either(ends, out < len ? from : -1);
    }
    assert_memory_equal(sent, received, len);
}

/* The result of the first read that does not answer EAGAIN. */
static ssize_t read_patiently(const struct ends *ends, int fd, void *buffer, size_t len)
{
    for (;;) {
        ssize_t got = read(fd, buffer, len);
        if (got >= 0 || errno != EAGAIN)
            return got;
        int error = errno;
        wait_for_either(ends, -1);
        errno = error;
    }
}

static void test_bytes_both_ways_and_an_orderly_end(void **state)
{
    (void)state;
    struct ends ends = connect_pair("127.77.0.2", "127.77.0.1");
    char byte;
    transfer(&ends, ends.client, ends.server, 5);
    transfer(&ends, ends.server, ends.client, 1);
    transfer(&ends, ends.client, ends.server, BULK);
    transfer(&ends, ends.server, ends.client, BULK);
    assert_int_equal(shutdown(ends.client, SHUT_WR), 0);
    assert_int_equal(read_patiently(&ends, ends.server, &byte, 1), 0);
    transfer(&ends, ends.server, ends.client, 20000);
    assert_int_equal(shutdown(ends.server, SHUT_WR), 0);
    assert_int_equal(read_patiently(&ends, ends.client, &byte, 1), 0);
    close_pair(&ends);
}

static void test_many_connections_one_after_the_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        struct ends ends = connect_pair("127.77.0.2", "127.77.0.1");
        transfer(&ends, i % 2 ? ends.client : ends.server, i % 2 ? ends.server : ends.client, i + 1);
        close_pair(&ends);
    }
}

static void test_duplicates_share_a_connection(void **state)
{
    (void)state;
    struct ends ends = connect_pair("127.77.0.2", "127.77.0.1");
    int copy = dup(ends.client);
    assert_true(copy >= 0);
    transfer(&ends, ends.client, ends.server, 100);
    assert_int_equal(close(ends.client), 0);
    ends.client = copy;
    transfer(&ends, ends.client, ends.server, 100);
    transfer(&ends, ends.server, ends.client, 100);
    close_pair(&ends);
}

static void test_closed_in_the_middle_of_the_handshake(void **state)
{
    (void)state;
    struct ends ends = connect_pair("127.77.0.2", "127.77.0.1");
    assert_int_equal(write(ends.client, "lost", 4), 4);
    close_pair(&ends);
}

/* The client does not seal, as its peer is outside of the range, and the server does. */
static void test_a_peer_that_speaks_something_else(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    struct ends ends = connect_pair("127.77.0.3", "127.78.0.1");
    char buffer[64];
    assert_int_equal(write(ends.client, request, sizeof request - 1), sizeof request - 1);
    assert_int_equal(read_patiently(&ends, ends.server, buffer, sizeof buffer), -1);
    assert_int_equal(errno, EPROTO);
    close_pair(&ends);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *entries = opendir("/proc/self/fd");
    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

/* Counted once the shim has opened what it keeps for the life of the process. */
static void test_no_descriptor_stays_behind(void **state)
{
    size_t before = open_descriptors();
    test_bytes_both_ways_and_an_orderly_end(state);
    test_duplicates_share_a_connection(state);
    test_closed_in_the_middle_of_the_handshake(state);
    test_a_peer_that_speaks_something_else(state);
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_both_ways_and_an_orderly_end),
        cmocka_unit_test(test_many_connections_one_after_the_other),
        cmocka_unit_test(test_duplicates_share_a_connection),
        cmocka_unit_test(test_closed_in_the_middle_of_the_handshake),
        cmocka_unit_test(test_a_peer_that_speaks_something_else),
        cmocka_unit_test(test_no_descriptor_stays_behind),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
