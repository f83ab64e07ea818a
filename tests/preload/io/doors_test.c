/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Each entry point does on sealed TCP what it does on plain TCP: the doors themselves, one scenario or case
 * each. */

#include "suite.h"

#include "calls.h"
#include "doors.h"
#include "net.h"
#include "scene.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags);

static void every_writer_to_every_reader(struct scene *s)
{
    uint8_t data[1000];
    for (size_t w = 0; w < writer_door_count; w++) {
        for (size_t r = 0; r < reader_door_count; r++) {
            net_pattern(data, sizeof data, w * 1000 + r);
            t_put(s, A, &writer_doors[w], data, 300 + w);
            t_settle(s, B, 300 + w);
            t_get(s, B, &reader_doors[r], sizeof data);
            t_put(s, B, &writer_doors[w], data, 2);
            t_settle(s, A, 2);
            t_get(s, A, &reader_doors[r], 1);
            t_get(s, A, &reader_doors[r], 1);
        }
    }
}

/* A writer door with more than a record holds, a reader door with less. */
static void large_through_every_door(struct scene *s)
{
    static uint8_t data[50000];
    net_pattern(data, sizeof data, 0);
    for (size_t w = 0; w < writer_door_count; w++) {
        t_put(s, A, &writer_doors[w], data, sizeof data);
        s->received[B] = 0;
        t_take(s, B, sizeof data);
    }
    for (size_t r = 0; r < reader_door_count; r++) {
        t_send(s, B, data, 20000, 0);
        t_settle(s, A, 20000);
        for (int i = 0; i < 20; i++)
            t_get(s, A, &reader_doors[r], 1000);
    }
}

static void nothing_to_read_on_a_nonblocking_descriptor(struct scene *s)
{
    t_nonblock(s, B, true);
    for (size_t r = 0; r < reader_door_count; r++)
        t_get(s, B, &reader_doors[r], 100);
    t_write(s, A, "now");
    t_wait(s, B, POLLIN, 3000);
    t_read(s, B, 100);
    for (size_t r = 0; r < reader_door_count; r++)
        t_get(s, B, &reader_doors[r], 100);
}

static void end_of_stream_through_every_door(struct scene *s)
{
    t_write(s, A, "last");
    t_shutdown(s, A, SHUT_WR);
    t_wait(s, B, POLLIN, 3000);
    t_settle(s, B, 4);
    t_read(s, B, 100);
    for (size_t r = 0; r < reader_door_count; r++)
        t_get(s, B, &reader_doors[r], 100);
    t_write(s, B, "other way");
    t_settle(s, A, 9);
    t_read(s, A, 100);
}

static void zero_length_calls(struct scene *s)
{
    t_write(s, A, "");
    t_send(s, A, "", 0, 0);
    t_nonblock(s, B, true);
    t_wait(s, B, POLLIN, 30);
    t_read(s, B, 10);
    t_read(s, B, 0);
    t_write(s, A, "x");
    t_wait(s, B, POLLIN, 3000);
    t_read(s, B, 0);
    t_read(s, B, 10);
}

static void waits_see_what_is_there(struct scene *s)
{
    for (size_t w = 0; w < waiter_door_count; w++) {
        t_wait_by(s, B, &waiter_doors[w], POLLOUT, 3000);
        t_wait_by(s, B, &waiter_doors[w], POLLIN, 10);
        t_write(s, A, "abc");
        t_wait_by(s, B, &waiter_doors[w], POLLIN, 3000);
        t_settle(s, B, 3);
        t_read(s, B, 2);
        t_wait_by(s, B, &waiter_doors[w], POLLIN, 0);
        t_wait_by(s, B, &waiter_doors[w], POLLIN | POLLOUT, 0);
        t_read(s, B, 2);
        t_wait_by(s, B, &waiter_doors[w], POLLIN, 0);
    }
    t_shutdown(s, A, SHUT_WR);
    t_wait(s, B, POLLIN, 3000);
    for (size_t w = 0; w < waiter_door_count; w++)
        t_wait_by(s, B, &waiter_doors[w], POLLIN | POLLRDHUP, 3000);
    t_read(s, B, 10);
    for (size_t w = 0; w < waiter_door_count; w++)
        t_wait_by(s, B, &waiter_doors[w], POLLIN | POLLRDHUP, 3000);
}

static void waits_block_until_data_comes(struct scene *s)
{
    for (size_t w = 0; w < waiter_door_count; w++) {
        t_wait_by(s, A, &waiter_doors[w], POLLOUT, 3000);
        t_write(s, A, "abc");
        t_wait_by(s, B, &waiter_doors[w], POLLIN, -1);
        t_settle(s, B, 3);
        t_read(s, B, 100);
        t_write(s, B, "defg");
        t_wait_by(s, A, &waiter_doors[w], POLLIN, -1);
        t_settle(s, A, 4);
        t_read(s, A, 100);
    }
}

static void fionread_counts_plaintext(struct scene *s)
{
    t_fionread(s, B);
    t_write(s, A, "0123456789");
    t_settle(s, B, 10);
    t_fionread(s, B);
    t_read(s, B, 3);
    t_fionread(s, B);
    t_read(s, B, 100);
    t_fionread(s, B);
    t_shutdown(s, A, SHUT_WR);
    t_wait(s, B, POLLIN, 3000);
    t_fionread(s, B);
}

/* A program that asks how much there is and then reads exactly that must get it without blocking. */
static void fionread_over_several_writes(struct scene *s)
{
    t_write(s, A, "01234");
    t_write(s, A, "56789");
    t_settle(s, B, 10);
    t_fionread(s, B);
    t_read(s, B, 10);
    t_fionread(s, B);
}

static void so_error_is_clear(struct scene *s)
{
    t_so_error(s, A);
    t_write(s, A, "x");
    t_so_error(s, A);
    t_read(s, B, 1);
    t_so_error(s, B);
}

static void mixed_sizes_in_both_directions(struct scene *s)
{
    static const size_t sizes[] = {1, 2, 100, 1000, 16383, 16384, 16385, 32768, 60000};
    for (size_t i = 0; i < suite_count(sizes); i++) {
        t_give(s, A, sizes[i]);
        t_give(s, B, sizes[i]);
        t_take(s, A, sizes[i]);
        t_take(s, B, sizes[i]);
    }
}

/* Many pieces, empty ones and one at the end of its page among them; none is touched behind its end. */
static void complaint_05_readv(const struct net *net)
{
    enum { PIECES = 100, PAGE = 65536 }; /* the largest there is */
    int pair[2];
    struct iovec iov[PIECES];
    uint8_t data[3000];
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    net_warm_pair(net, pair);
    for (size_t i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){pages + i * 30, i % 3 == 0 ? 0 : 30};
    iov[PIECES - 1] = (struct iovec){pages + PAGE - 10, 10};
    net_pattern(data, sizeof data, 0);
    assert_int_equal(net_write_all(pair[0], data, 1990), 1990);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    ssize_t total = 0;
    for (ssize_t n = 1; n > 0; total += n) {
        n = readv(pair[1], iov, PIECES);
        assert_true(n >= 0);
    }
    assert_int_equal(total, 1990);
    assert_int_equal(readv(pair[1], NULL, 0), 0);
    munmap(pages, 2 * PAGE);
    close(pair[0]), close(pair[1]);
}

static void complaint_11_fortified_variants_do_not_escape(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "fortified", 9), 9);
    assert_int_equal(__read_chk(pair[1], text, 5, sizeof text), 5);
    assert_int_equal(__recv_chk(pair[1], text + 5, 4, sizeof text - 5, 0), 4);
    assert_string_equal(text, "fortified");
    close(pair[0]), close(pair[1]);
}

/* A program reads just as many as were counted, and must not wait for more. */
static void fionread_counts_small_records(struct scene *s)
{
    enum { WRITES = 2500, LEN = 10 };
    for (int i = 0; i < WRITES; i++)
        t_next(s, A, LEN, 0);
    t_settle_count(s, B, (size_t)WRITES * LEN);
    t_fionread(s, B);
    t_take(s, B, (size_t)WRITES * LEN);
    t_fionread(s, B);
}

static const struct scenario scenarios[] = {
    {.name = "every writer to every reader", .run = every_writer_to_every_reader},
    {.name = "large through every door", .run = large_through_every_door},
    {.name = "nothing to read on a non-blocking descriptor",
     .run = nothing_to_read_on_a_nonblocking_descriptor},
    {.name = "end of stream through every door", .run = end_of_stream_through_every_door},
    {.name = "zero-length calls", .run = zero_length_calls},
    {.name = "waits see what is there", .run = waits_see_what_is_there},
    {.name = "waits block until data comes", .run = waits_block_until_data_comes},
    {.name = "FIONREAD counts plaintext", .run = fionread_counts_plaintext},
    {.name = "FIONREAD counts small records", .run = fionread_counts_small_records},
    {.name = "FIONREAD over several writes", .run = fionread_over_several_writes},
    {.name = "SO_ERROR is clear", .run = so_error_is_clear},
    {.name = "mixed sizes in both directions", .run = mixed_sizes_in_both_directions},
};

static const struct suite_case cases[] = {
    {.name = "complaint_05_readv", .run = complaint_05_readv},
    {.name = "complaint_11_fortified_variants_do_not_escape",
     .run = complaint_11_fortified_variants_do_not_escape},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_scenarios(scenarios, suite_count(scenarios));
    return suite_run(argc, argv);
}
