/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What lies between the two ends: records cut into many segments, gathered into few, or cut off; nothing in
 * the clear. */

#include "suite.h"

#include "net.h"
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void finish(const struct proxy *proxy, int pair[2])
{
    close(pair[0]);
    close(pair[1]);
    proxy_end(proxy);
}

static void exchange(const int pair[2], size_t len)
{
    static uint8_t data[100000], got[100000];
    for (int side = 0; side < 2; side++) {
        net_pattern(data, len, len + (size_t)side);
        assert_int_equal(net_write_all(pair[side], data, len), len);
        assert_int_equal(net_read_all(pair[1 - side], got, len), len);
        assert_memory_equal(data, got, len);
    }
}

static void dribbled(const struct net *net, unsigned piece, unsigned pause_us, size_t len)
{
    int pair[2];
    struct proxy_plan plan = {.piece = piece, .pause_us = pause_us};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    exchange(pair, 1);
    exchange(pair, len);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    char byte;
    assert_int_equal(read(pair[1], &byte, 1), 0);
    finish(&proxy, pair);
}

static void one_byte_a_segment(const struct net *net)
{
    dribbled(net, 1, 20, 3000);
}

static void small_segments(const struct net *net)
{
    dribbled(net, 100, 50, 50000);
    dribbled(net, 1447, 50, 100000);
}

static void many_records_in_one_segment(const struct net *net)
{
    int pair[2];
    char text[64] = "";
    struct proxy_plan plan = {.gather_ms = 60};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    exchange(pair, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(write(pair[0], "abcde", 5), 5);
    net_set_nonblock(pair[1], true);
    for (int i = 0; i < 50;) {
        assert_int_equal(net_wait(pair[1], POLLIN, 3000), POLLIN);
        ssize_t n = read(pair[1], text, 7);
        assert_true(n > 0);
        for (ssize_t k = 0; k < n; k++)
            assert_int_equal(text[k], 'a' + (i++ % 5));
    }
    assert_int_equal(net_wait(pair[1], POLLIN, 0), 0);
    finish(&proxy, pair);
}

/* The same while full records follow each other, whose look does not open them. */
static void poll_tells_the_truth_of_full_records(const struct net *net)
{
    static uint8_t data[96 * 1024], got[128 * 1024];
    int pair[2];
    struct proxy_plan plan = {.piece = 3000, .pause_us = 4000};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    size_t done = 0;
    exchange(pair, 1); /* what waits for the keys is not sealed in full records */
    net_pattern(data, sizeof data, 0);
    assert_int_equal(net_write_all(pair[0], data, sizeof data), sizeof data);
    while (done < sizeof data) {
        assert_int_equal(net_wait(pair[1], POLLIN, 3000), POLLIN);
        ssize_t n = recv(pair[1], got, sizeof got, MSG_DONTWAIT);
        assert_true(n > 0); /* EAGAIN: a blocking read would have waited */
        assert_true(net_is_pattern(got, (size_t)n, done));
        done += (size_t)n;
    }
    assert_int_equal(net_wait(pair[1], POLLIN, 0), 0);
    finish(&proxy, pair);
}

/* poll() called a blocking descriptor readable: then a read must not block, though only half a record has
 * come. */
static void poll_tells_the_truth_of_a_blocking_descriptor(const struct net *net)
{
    static uint8_t data[4000];
    int pair[2];
    struct proxy_plan plan = {.piece = 50, .pause_us = 2000};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    size_t done = 0;
    net_pattern(data, sizeof data, 0);
    assert_int_equal(write(pair[0], data, sizeof data), sizeof data);
    while (done < sizeof data) {
        uint8_t got[4000];
        short ready = net_wait(pair[1], POLLIN, 3000);
        assert_int_equal(ready, POLLIN);
        int64_t start = net_now_ms();
        ssize_t n = read(pair[1], got, sizeof got);
        /* Of the whole record 80 more pieces might be under way, 160 ms in all. */
        assert_in_range(net_now_ms() - start, 0, 60);
        assert_true(n > 0);
        assert_true(net_is_pattern(got, (size_t)n, done));
        done += (size_t)n;
    }
    finish(&proxy, pair);
}

/* An edge-triggered reader makes progress however the records are cut; wake-ups do not outnumber the
 * segments. */
static void edges_with_cut_records(const struct net *net)
{
    static uint8_t data[60000], got[60000];
    int pair[2], wakes = 0;
    struct proxy_plan plan = {.piece = 1000, .pause_us = 300};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t done = 0;
    net_set_nonblock(pair[1], true);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    net_pattern(data, sizeof data, 0);
    assert_int_equal(net_write_all(pair[0], data, sizeof data), sizeof data);
    while (done < sizeof data) {
        assert_int_equal(epoll_wait(epoll, &event, 1, 3000), 1);
        wakes++;
        ssize_t n;
        while ((n = read(pair[1], got, sizeof got)) > 0) {
            assert_true(net_is_pattern(got, (size_t)n, done));
            done += (size_t)n;
        }
        assert_int_equal(errno, EAGAIN);
    }
    assert_in_range(wakes, 1, 150);
    close(epoll);
    finish(&proxy, pair);
}

/* Half a record must not make a level-triggered loop spin until the other half comes. */
static void a_level_loop_does_not_spin_on_half_a_record(const struct net *net)
{
    static uint8_t data[16000], got[16000];
    int pair[2], wakes = 0;
    struct proxy_plan plan = {.piece = 2000, .pause_us = 30000};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    net_set_nonblock(pair[1], true);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    net_pattern(data, sizeof data, 0);
    assert_int_equal(net_write_all(pair[0], data, sizeof data), sizeof data);
    for (size_t done = 0; done < sizeof data; wakes++) {
        assert_int_equal(epoll_wait(epoll, &event, 1, 3000), 1);
        ssize_t n = read(pair[1], got, sizeof got);
        done += n > 0 ? (size_t)n : 0;
        assert_true(n > 0 || errno == EAGAIN);
    }
    assert_in_range(wakes, 1, 40);
    close(epoll);
    finish(&proxy, pair);
}

static bool contains(const char *file, const void *needle, size_t len)
{
    int fd = open(file, O_RDONLY);
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    uint8_t *bytes = malloc((size_t)status.st_size + 1);
    assert_non_null(bytes);
    size_t size = net_read_all(fd, bytes, (size_t)status.st_size);
    bool found = memmem(bytes, size, needle, len) != NULL;
    free(bytes);
    close(fd);
    return found;
}

/* The counterpart on plain TCP shows that the recording would have seen it. */
static void nothing_in_the_clear(const struct net *net)
{
    static uint8_t data[60000], got[60000];
    char name[] = "/tmp/sockseal-wire-XXXXXX";
    int pair[2];
    bool expected = !net->sealed || !suite_has_library();
    close(mkstemp(name));
    struct proxy_plan plan = {.record = name};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    net_pattern(data, sizeof data, 0);
    assert_int_equal(write(pair[0], "the first words go early", 24), 24);
    assert_int_equal(write(pair[1], "the answer comes at once", 24), 24);
    assert_int_equal(net_write_all(pair[0], data, sizeof data), sizeof data);
    assert_int_equal(net_read_all(pair[1], got, 24), 24);
    assert_int_equal(net_read_all(pair[1], got, sizeof got), sizeof got);
    assert_int_equal(net_read_all(pair[0], got, 24), 24);
    finish(&proxy, pair);
    assert_int_equal(contains(name, "first words", 11), expected);
    assert_int_equal(contains(name, "answer comes", 12), expected);
    for (size_t at = 0; at + 16 <= sizeof data; at += 3001)
        assert_int_equal(contains(name, data + at, 16), expected);
    unlink(name);
}

/* A FIN that somebody else sends is no end of the stream: the data that did arrive, then ECONNRESET. */
static void cut_off(const struct net *net)
{
    static uint8_t got[4096];
    int pair[2];
    struct proxy_plan plan = {.cut_after = 30000};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    static uint8_t data[60000];
    net_pattern(data, sizeof data, 0);
    exchange(pair, 1);
    assert_int_equal(write(pair[0], data, sizeof data), sizeof data);
    size_t done = 0;
    ssize_t n;
    while ((n = recv(pair[1], got, sizeof got, 0)) > 0) {
        assert_true(net_is_pattern(got, (size_t)n, done));
        done += (size_t)n;
    }
    if (net->sealed && suite_has_library()) {
        assert_int_equal(n, -1);
        assert_int_equal(errno, ECONNRESET);
        assert_true(net_wait(pair[1], POLLIN, 0) & POLLIN);
        assert_int_equal(recv(pair[1], got, sizeof got, 0), -1);
        assert_int_equal(errno, ECONNRESET);
    }
    finish(&proxy, pair);
}

static const struct suite_case cases[] = {
    {.name = "one byte a segment", .run = one_byte_a_segment},
    {.name = "small segments", .run = small_segments},
    {.name = "many records in one segment", .run = many_records_in_one_segment},
    {.name = "poll tells the truth of full records", .run = poll_tells_the_truth_of_full_records},
    {.name = "poll tells the truth of a blocking descriptor",
     .run = poll_tells_the_truth_of_a_blocking_descriptor},
    {.name = "edges with cut records", .run = edges_with_cut_records},
    {.name = "a level loop does not spin on half a record",
     .run = a_level_loop_does_not_spin_on_half_a_record},
    {.name = "nothing in the clear", .run = nothing_in_the_clear},
    {.name = "cut off", .run = cut_off},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
