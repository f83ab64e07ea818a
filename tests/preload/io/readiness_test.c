/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Readiness and amounts: what poll says and what the reading calls then give, for every size of piece and of
 * buffer. */

#include "suite.h"

#include "calls.h"
#include "net.h"
#include "scene.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

static void one_byte_at_a_time(struct scene *s)
{
    for (int i = 0; i < 300; i++)
        t_give(s, A, 1);
    t_settle(s, B, 300);
    for (int i = 0; i < 300; i++) {
        t_wait(s, B, POLLIN, 3000);
        t_take(s, B, 1);
    }
    t_wait(s, B, POLLIN, 0);
}

static void small_reads_of_a_large_write(struct scene *s)
{
    t_give(s, A, 40000);
    t_settle(s, B, 40000);
    for (int i = 0; i < 400; i++) {
        t_ready(s, B);
        t_take(s, B, 100);
    }
    t_ready(s, B);
    t_pump(s, A, 4000, 4000, 1);
    t_ready(s, B);
}

static void one_mebibyte_at_a_time(struct scene *s)
{
    t_pump(s, A, 16 << 20, 1 << 20, 1 << 20);
    t_pump(s, B, 16 << 20, 1 << 20, 1 << 20);
    t_ready(s, A);
    t_ready(s, B);
}

static void unequal_pieces(struct scene *s)
{
    t_pump(s, A, 30000, 7, 100000);
    t_pump(s, A, 30000, 100000, 7);
    t_pump(s, B, 3000000, 16385, 16383);
    t_pump(s, B, 3000000, 4097, 65536);
}

static void many_small_writes_give_one_read(struct scene *s)
{
    for (int i = 0; i < 50; i++)
        t_write(s, A, "0123456789");
    t_settle(s, B, 500);
    t_read(s, B, 200);
    t_ready(s, B);
    t_read(s, B, 1000);
    t_ready(s, B);
}

static void partly_read_stays_readable(struct scene *s)
{
    t_write(s, A, "abcdefghij");
    t_settle(s, B, 10);
    for (int i = 0; i < 10; i++) {
        t_ready(s, B);
        t_read(s, B, 1);
    }
    t_ready(s, B);
}

static void peek_leaves_the_bytes(struct scene *s)
{
    t_write(s, A, "peek at me");
    t_settle(s, B, 10);
    t_recv(s, B, 4, MSG_PEEK);
    t_recv(s, B, 100, MSG_PEEK);
    t_recv(s, B, 100, MSG_PEEK | MSG_DONTWAIT);
    t_ready(s, B);
    t_read(s, B, 5);
    t_recv(s, B, 100, MSG_PEEK);
    t_write(s, A, ", more");
    t_settle(s, B, 11);
    t_recv(s, B, 100, MSG_PEEK);
    t_read(s, B, 100);
    t_recv(s, B, 100, MSG_PEEK | MSG_DONTWAIT);
    t_ready(s, B);
}

static void peek_larger_than_a_record(struct scene *s)
{
    t_give(s, A, 60000);
    t_settle(s, B, 60000);
    t_recv(s, B, 60000, MSG_PEEK);
    t_recv(s, B, 60000, MSG_PEEK);
    t_recv(s, B, 20000, MSG_PEEK);
    t_take(s, B, 17000);
    t_recv(s, B, 43000, MSG_PEEK);
    t_take(s, B, 43000);
    t_ready(s, B);
}

static void peek_at_the_end(struct scene *s)
{
    t_write(s, A, "bye");
    t_shutdown(s, A, SHUT_WR);
    t_settle(s, B, 3);
    t_recv(s, B, 100, MSG_PEEK);
    t_read(s, B, 100);
    t_recv(s, B, 100, MSG_PEEK);
    t_recv(s, B, 100, MSG_PEEK | MSG_DONTWAIT);
    t_read(s, B, 100);
}

static void send_late(int fd)
{
    net_write_all(fd, "second", 6);
}

static void send_late_and_end(int fd)
{
    net_write_all(fd, "second", 6);
    shutdown(fd, SHUT_WR);
}

static void waitall_waits_for_all(struct scene *s)
{
    t_write(s, A, "first");
    struct t_later *later = t_after(50, send_late, s->fd[A]);
    t_recv(s, B, 11, MSG_WAITALL);
    t_join(later);
    t_write(s, A, "third");
    later = t_after(50, send_late_and_end, s->fd[A]);
    t_recv(s, B, 1000, MSG_WAITALL);
    t_join(later);
    t_recv(s, B, 1000, MSG_WAITALL);
}

static void waitall_over_many_records(struct scene *s)
{
    t_give(s, A, 60000);
    t_recv(s, B, 60000, MSG_WAITALL);
    t_ready(s, B);
    t_write(s, A, "x");
    t_recv(s, B, 1, MSG_WAITALL | MSG_PEEK);
    t_settle(s, B, 1);
    t_recv(s, B, 10, MSG_WAITALL | MSG_DONTWAIT);
    t_recv(s, B, 10, MSG_WAITALL | MSG_DONTWAIT);
}

static void dontwait(struct scene *s)
{
    t_recv(s, B, 10, MSG_DONTWAIT);
    t_send(s, A, "x", 1, MSG_DONTWAIT);
    t_wait(s, B, POLLIN, 3000);
    t_recv(s, B, 10, MSG_DONTWAIT);
    t_recv(s, B, 10, MSG_DONTWAIT);
    t_recv(s, A, 10, MSG_DONTWAIT | MSG_PEEK);
}

/* tcp(7): MSG_TRUNC throws the bytes away. */
static void trunc_discards(struct scene *s)
{
    t_write(s, A, "discarded, kept");
    t_settle(s, B, 15);
    t_recv(s, B, 11, MSG_TRUNC);
    t_read(s, B, 100);
    t_give(s, A, 50000);
    t_settle(s, B, 50000);
    t_recv(s, B, 50000, MSG_TRUNC | MSG_WAITALL);
    t_ready(s, B);
}

static void receive_timeout(struct scene *s)
{
    t_set_timeout(s, B, SO_RCVTIMEO, 100);
    int64_t start = net_now_ms();
    t_read(s, B, 10);
    t_took(s, start, 100);
    start = net_now_ms();
    t_recv(s, B, 10, MSG_PEEK);
    t_took(s, start, 100);
    t_write(s, A, "part");
    start = net_now_ms();
    t_settle(s, B, 4);
    t_recv(s, B, 10, MSG_WAITALL);
    t_took(s, start, 100);
    t_write(s, A, "in time");
    t_settle(s, B, 7);
    t_read(s, B, 10);
    t_ready(s, B);
}

/* How much goes in before the time is up depends on the buffers: only that it ends, when and how is compared.
 */
static void send_timeout(struct scene *s)
{
    t_set_timeout(s, A, SO_SNDTIMEO, 100);
    t_fill(s, A, 65536);
    int64_t start = net_now_ms();
    t_try(s, A, 4 << 20, 0);
    t_took(s, start, 100);
    t_drain(s, B, 65536);
    t_wait(s, A, POLLOUT, 3000);
    t_next(s, A, 1, 0);
    t_drain(s, B, 65536);
}

static void set_buffers(struct scene *s, int size)
{
    for (int side = 0; side < 2; side++) {
        t_set_option(s, (enum end)side, SOL_SOCKET, SO_SNDBUF, size);
        t_set_option(s, (enum end)side, SOL_SOCKET, SO_RCVBUF, size);
    }
}

static void small_buffers(struct scene *s)
{
    set_buffers(s, 20000);
    t_pump(s, A, 200000, 100000, 100000);
    t_pump(s, B, 20000, 100000, 10);
    t_pump(s, A, 5000, 10, 100000);
    t_pump(s, B, 100000, 16384, 16384);
    t_wait(s, A, POLLIN | POLLOUT, 3000);
    t_wait(s, B, POLLIN | POLLOUT, 3000);
}

/* A full record does not fit into the receiving window. */
static void buffers_smaller_than_a_record(struct scene *s)
{
    set_buffers(s, 4096);
    t_pump(s, A, 20000, 20000, 20000);
    t_pump(s, B, 20000, 20000, 100);
    t_wait(s, A, POLLIN | POLLOUT, 3000);
    t_wait(s, B, POLLIN | POLLOUT, 3000);
}

static void full_is_not_writable_and_drains(struct scene *s)
{
    t_fill(s, A, 65536);
    t_wait(s, A, POLLOUT, 20);
    t_try(s, A, 4 << 20, MSG_DONTWAIT);
    t_drain(s, B, 65536);
    t_wait(s, A, POLLOUT, 3000);
    t_ready(s, B);
    t_give(s, A, 1000);
    t_drain(s, B, 65536);
}

static void both_directions_saturated(struct scene *s)
{
    t_fill(s, A, 65536);
    t_fill(s, B, 65536);
    t_wait(s, A, POLLOUT | POLLIN, 20);
    t_wait(s, B, POLLOUT | POLLIN, 20);
    t_drain(s, A, 30000);
    t_drain(s, B, 30000);
    t_ready(s, A);
    t_ready(s, B);
    t_fill(s, A, 100);
    t_fill(s, B, 1000000);
    t_drain(s, B, 100);
    t_drain(s, A, 1000000);
    t_ready(s, A);
    t_ready(s, B);
}

/* A blocking writer that is full goes on as soon as the other side reads. */
static void read_a_lot(int fd)
{
    static uint8_t data[1 << 16];
    for (size_t left = 8 << 20; left > 0;) {
        ssize_t n = recv(fd, data, left < sizeof data ? left : sizeof data, 0);
        if (n <= 0)
            return;
        left -= (size_t)n;
    }
}

static void blocking_write_waits_for_room(struct scene *s)
{
    struct t_later *later = t_after(50, read_a_lot, s->fd[A]);
    t_give(s, B, 8 << 20);
    t_join(later);
    t_ready(s, A);
    t_ready(s, B);
}

static const struct scenario scenarios[] = {
    {.name = "one byte at a time", .run = one_byte_at_a_time},
    {.name = "small reads of a large write", .run = small_reads_of_a_large_write},
    {.name = "one MiB at a time", .run = one_mebibyte_at_a_time},
    {.name = "unequal pieces", .run = unequal_pieces},
    {.name = "many small writes give one read", .run = many_small_writes_give_one_read},
    {.name = "partly read stays readable", .run = partly_read_stays_readable},
    {.name = "MSG_PEEK leaves the bytes", .run = peek_leaves_the_bytes},
    {.name = "MSG_PEEK larger than a record", .run = peek_larger_than_a_record},
    {.name = "MSG_PEEK at the end", .run = peek_at_the_end},
    {.name = "MSG_WAITALL waits for all", .run = waitall_waits_for_all},
    {.name = "MSG_WAITALL over many records", .run = waitall_over_many_records},
    {.name = "MSG_DONTWAIT", .run = dontwait},
    {.name = "MSG_TRUNC discards", .run = trunc_discards},
    {.name = "SO_RCVTIMEO", .run = receive_timeout},
    {.name = "SO_SNDTIMEO", .run = send_timeout},
    {.name = "small buffers", .run = small_buffers},
    {.name = "buffers smaller than a record", .run = buffers_smaller_than_a_record},
    {.name = "full is not writable, and drains", .run = full_is_not_writable_and_drains},
    {.name = "both directions saturated", .run = both_directions_saturated},
    {.name = "a blocking write waits for room", .run = blocking_write_waits_for_room},
};

int main(int argc, char **argv)
{
    suite_scenarios(scenarios, suite_count(scenarios));
    return suite_run(argc, argv);
}
