/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* splice(2) between a sealed connection and a pipe, and the calls that want two pipes. */

#include "suite.h"

#include "calls.h"
#include "calls_transfer.h"
#include "doors_transfer.h"
#include "net.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BULK = 8 << 20, STEP = 100000 };

static void close_pipe(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

/* Of the smallest size that there is: a page. */
static void small_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
}

static void bytes_come_into_a_pipe(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    t_write(s, B, "hello, pipe");
    t_settle(s, A, 11);
    t_splice_in(s, pipe, 5, 0);
    t_fionread(s, A);
    t_ready(s, A);
    t_pipe_take(s, pipe, 50);
    t_splice_in(s, pipe, 2, SPLICE_F_MOVE | SPLICE_F_MORE | SPLICE_F_NONBLOCK);
    t_read(s, A, 1);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK);
    t_pipe_take(s, pipe, 50);
    t_nonblock(s, A, true);
    t_splice_in(s, pipe, 50, 0);
    t_ready(s, A);
    t_nonblock(s, A, false);
    t_write(s, B, "last");
    t_shutdown(s, B, SHUT_WR);
    t_settle(s, A, 4);
    t_splice_in(s, pipe, 50, 0);
    t_pipe_take(s, pipe, 50);
    t_wait(s, A, POLLIN, 3000);
    t_splice_in(s, pipe, 50, 0);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK);
    t_pipe_holds(s, pipe);
    close_pipe(pipe);
}

static void bytes_go_out_of_a_pipe(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    t_splice_out(s, pipe, 50, SPLICE_F_NONBLOCK);
    t_pipe_put(pipe, "one two three");
    t_splice_out(s, pipe, 4, SPLICE_F_MORE);
    t_splice_out(s, pipe, 3, 0);
    t_pipe_holds(s, pipe);
    t_settle(s, B, 7);
    t_read(s, B, 50);
    net_set_nonblock(pipe[0], true);
    t_splice_out(s, pipe, 50, 0);
    t_splice_out(s, pipe, 50, 0);
    close(pipe[1]);
    t_splice_out(s, pipe, 50, 0);
    net_set_nonblock(pipe[0], false);
    t_splice_out(s, pipe, 50, 0);
    t_settle(s, B, 6);
    t_read(s, B, 50);
    close(pipe[0]);
}

/* What a full pipe does not take stays in the connection, and the connection stays readable. */
static void a_full_pipe_loses_nothing(struct scene *s)
{
    int pipe[2];
    small_pipe(pipe);
    size_t there = t_pipe_fill(pipe, 0);
    t_write(s, B, "kept");
    t_settle(s, A, 4);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK);
    net_set_nonblock(pipe[1], true);
    t_splice_in(s, pipe, 50, 0);
    t_ready(s, A);
    t_fionread(s, A);
    assert_int_equal(read(pipe[0], s->in, there), there);
    t_splice_in(s, pipe, 3, SPLICE_F_NONBLOCK);
    t_pipe_take(s, pipe, 50);
    t_read(s, A, 50);
    close_pipe(pipe);
}

/* The kernel looks at the pipe first. */
static void a_full_pipe_before_an_end(struct scene *s)
{
    int pipe[2];
    small_pipe(pipe);
    size_t there = t_pipe_fill(pipe, 0);
    t_shutdown(s, B, SHUT_WR);
    t_wait(s, A, POLLIN, 3000);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK);
    assert_int_equal(read(pipe[0], s->in, there), there);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK);
    close_pipe(pipe);
}

static void put_in_later(int fd)
{
    t_pipe_put((const int[2]){-1, fd}, "at last");
}

static void empty_later(int fd)
{
    uint8_t page[4096];
    assert_int_equal(read(fd, page, sizeof page), sizeof page);
}

static void blocks_until_the_pipe_has_bytes(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    int64_t start = net_now_ms();
    struct t_later *later = t_after(100, put_in_later, pipe[1]);
    t_splice_out(s, pipe, 50, 0);
    t_took(s, start, 100);
    t_join(later);
    t_settle(s, B, 7);
    t_read(s, B, 50);
    close_pipe(pipe);
}

static void blocks_until_the_pipe_has_room(struct scene *s)
{
    int pipe[2];
    small_pipe(pipe);
    t_pipe_fill(pipe, 0);
    t_write(s, B, "patience");
    t_settle(s, A, 8);
    int64_t start = net_now_ms();
    struct t_later *later = t_after(100, empty_later, pipe[0]);
    t_splice_in(s, pipe, 50, 0);
    t_took(s, start, 100);
    t_join(later);
    t_pipe_take(s, pipe, 50);
    close_pipe(pipe);
}

static int talker;

static void talk_later(int fd)
{
    (void)fd;
    assert_int_equal(write(talker, "spoken", 6), 6);
}

static void blocks_until_the_peer_speaks(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    talker = s->fd[B];
    int64_t start = net_now_ms();
    struct t_later *later = t_after(100, talk_later, -1);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK); /* which is about the pipe, not the socket */
    t_took(s, start, 100);
    t_join(later);
    t_pipe_take(s, pipe, 50);
    t_set_timeout(s, A, SO_RCVTIMEO, 80);
    start = net_now_ms();
    t_splice_in(s, pipe, 50, 0);
    t_took(s, start, 80);
    close_pipe(pipe);
}

/* B reads what there is, in this process. */
static void read_some(struct scene *s)
{
    ssize_t got = recv(s->fd[B], s->in, 50000, MSG_DONTWAIT);
    if (got <= 0)
        return;
    if (!net_is_pattern(s->in, (size_t)got, s->received[B]))
        scene_tell(s, "wrong bytes after %llu", (unsigned long long)s->received[B]);
    s->received[B] += (uint64_t)got;
}

/* Each byte that leaves the pipe is counted, and each byte that is counted arrives. */
static void out_of_a_pipe_into_a_full_socket(struct scene *s)
{
    int pipe[2];
    size_t in_pipe = 0, refusals = 0;
    bool exact = true;
    transfer_pipe(pipe);
    t_nonblock(s, A, true);
    while (s->received[B] < BULK) {
        if (s->sent[A] + in_pipe < BULK)
            in_pipe += t_pipe_fill(pipe, s->sent[A] + in_pipe);
        ssize_t moved = splice(pipe[0], NULL, s->fd[A], NULL, 1 << 20, SPLICE_F_NONBLOCK);
        s->sent[A] += moved > 0 ? (uint64_t)moved : 0;
        in_pipe -= moved > 0 ? (size_t)moved : 0;
        exact = exact && transfer_waiting(pipe[0]) == in_pipe && (moved > 0 || errno == EAGAIN);
        refusals += moved < 0;
        if (moved < 0 || s->sent[A] >= BULK)
            read_some(s);
    }
    scene_tell(s, "exact: %d, refused: %d", exact, refusals > 0);
    close_pipe(pipe);
}

/* The same the other way: what does not fit the pipe comes with the next call. */
static void out_of_a_socket_into_a_small_pipe(struct scene *s)
{
    static uint8_t page[4096];
    int pipe[2];
    size_t given = 0, short_of = 0;
    bool right = true;
    small_pipe(pipe);
    t_nonblock(s, A, true);
    while (s->received[A] < BULK / 8) {
        net_pattern(s->out, STEP, given);
        ssize_t sent = send(s->fd[B], s->out, STEP, MSG_DONTWAIT);
        given += sent > 0 ? (size_t)sent : 0;
        ssize_t moved = splice(s->fd[A], NULL, pipe[1], NULL, STEP, SPLICE_F_NONBLOCK);
        right = right && (moved > 0 || errno == EAGAIN) &&
                transfer_waiting(pipe[0]) == (size_t)(moved > 0 ? moved : 0);
        short_of += moved > 0 && moved < STEP;
        if (moved > 0) {
            right = right && read(pipe[0], page, sizeof page) == moved &&
                    net_is_pattern(page, (size_t)moved, s->received[A]);
            s->received[A] += (uint64_t)moved;
        }
        if (moved > 0 && s->received[A] % 7 == 0) { /* a reader comes between */
            ssize_t got = recv(s->fd[A], page, 1000, 0);
            right = right && (got < 0 || net_is_pattern(page, (size_t)got, s->received[A]));
            s->received[A] += got > 0 ? (uint64_t)got : 0;
        }
    }
    scene_tell(s, "right: %d, short: %d", right, short_of > 0);
    close_pipe(pipe);
}

/* As socat or a proxy does, on both directions of one connection: B hears its own words. */
static void echo(int fd)
{
    int pipe[2];
    ssize_t moved;
    transfer_pipe(pipe);
    while ((moved = splice(fd, NULL, pipe[1], NULL, 1 << 20, SPLICE_F_MOVE)) > 0) {
        while (moved > 0) {
            ssize_t gone = splice(pipe[0], NULL, fd, NULL, (size_t)moved, SPLICE_F_MOVE);
            assert_true(gone > 0);
            moved -= gone;
        }
    }
    assert_int_equal(moved, 0);
    shutdown(fd, SHUT_WR);
    close_pipe(pipe);
}

static void an_echo_through_a_pipe(struct scene *s)
{
    struct t_later *later = t_after(0, echo, s->fd[A]);
    s->received[B] = s->sent[A] = 0;
    for (int i = 0; i < BULK / STEP; i++) {
        t_give(s, B, STEP);
        t_take(s, B, STEP);
    }
    t_shutdown(s, B, SHUT_WR);
    t_read(s, B, 1);
    t_join(later);
}

static void a_dead_peer_leaves_the_pipe_alone(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    t_pipe_put(pipe, "for nobody");
    t_count_sigpipe(s, A);
    t_linger_zero(s, B);
    t_close(s, B);
    t_wait(s, A, POLLIN, 3000);
    t_splice_out(s, pipe, 3, 0);
    t_splice_out(s, pipe, 3, 0);
    t_splice_out(s, pipe, 3, SPLICE_F_NONBLOCK);
    t_sigpipes(s, A);
    t_pipe_holds(s, pipe);
    close_pipe(pipe);
}

static void after_shutdown_the_pipe_is_left_alone(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    t_pipe_put(pipe, "too late");
    t_count_sigpipe(s, A);
    t_shutdown(s, A, SHUT_WR);
    t_splice_out(s, pipe, 3, 0);
    t_sigpipes(s, A);
    t_pipe_holds(s, pipe);
    t_write(s, B, "the other way");
    t_settle(s, A, 13);
    t_splice_in(s, pipe, 50, 0);
    t_pipe_take(s, pipe, 50);
    close_pipe(pipe);
}

static void a_pipe_that_nobody_reads(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    close(pipe[0]);
    t_count_sigpipe(s, A);
    t_splice_in(s, pipe, 50, 0); /* before it waits for bytes */
    t_write(s, B, "still here");
    t_settle(s, A, 10);
    t_splice_in(s, pipe, 50, 0);
    t_splice_in(s, pipe, 50, SPLICE_F_NONBLOCK);
    t_sigpipes(s, A);
    t_read(s, A, 50);
    close(pipe[1]);
}

static void a_reset_connection(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    t_linger_zero(s, B);
    t_close(s, B);
    t_wait(s, A, POLLIN, 3000);
    t_splice_in(s, pipe, 50, 0);
    t_splice_in(s, pipe, 50, 0);
    close_pipe(pipe);
}

/* Both ends' arguments; nothing may move. */
static void what_the_kernel_refuses(struct scene *s)
{
    int pipe[2], other[2], fd = s->fd[A], file = t_pattern_file(100),
                           null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int writing = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    off64_t at = 0;
    struct iovec iov = {s->out, 4};
    transfer_pipe(pipe);
    transfer_pipe(other);
    t_pipe_put(pipe, "pipe");
    t_write(s, B, "socket");
    t_settle(s, A, 6);
    const struct {
        int in, out;
        off64_t *in_at, *out_at;
        size_t len;
        unsigned flags;
    } calls[] = {
        {fd, other[1], &at, NULL, 4, 0},
        {fd, other[1], NULL, &at, 4, 0},
        {pipe[0], fd, &at, NULL, 4, 0},
        {pipe[0], fd, NULL, &at, 4, 0},
        {fd, fd, NULL, NULL, 4, 0},
        {fd, file, NULL, NULL, 4, 0},
        {fd, file, NULL, &at, 4, 0},
        {file, fd, NULL, NULL, 4, 0},
        {fd, null, NULL, NULL, 4, 0},
        {fd, other[1], NULL, NULL, 0, 0},
        {fd, other[1], NULL, NULL, 4, 64},
        {-1, fd, NULL, NULL, 4, 0},
        {fd, -1, NULL, NULL, 4, 0},
        {fd, other[0], NULL, NULL, 4, 0},
        {other[1], fd, NULL, NULL, 4, 0},
        {writing, fd, NULL, NULL, 4, 0},
        {-1, fd, NULL, NULL, 0, 0},
        {fd, other[1], NULL, NULL, SIZE_MAX, 0},
        {pipe[0], fd, NULL, NULL, SIZE_MAX, 0},
    };
    for (size_t i = 0; i < suite_count(calls); i++) {
        errno = 0;
        t_tell_call(
            s, "splice",
            splice(calls[i].in, calls[i].in_at, calls[i].out, calls[i].out_at, calls[i].len, calls[i].flags));
    }
    t_tell_call(s, "tee from", tee(fd, other[1], 4, 0));
    t_tell_call(s, "tee to", tee(pipe[0], fd, 4, 0));
    t_tell_call(s, "tee nothing", tee(fd, other[1], 0, 0));
    t_tell_call(s, "tee oddly", tee(fd, other[1], 4, 64));
    t_tell_call(s, "tee raw", syscall(SYS_tee, pipe[0], fd, 4, 0));
    t_tell_call(s, "vmsplice", vmsplice(fd, &iov, 1, 0));
    t_tell_call(s, "vmsplice nothing", vmsplice(fd, &iov, 0, 0));
    t_tell_call(s, "vmsplice raw", syscall(SYS_vmsplice, fd, &iov, 1, 0));
    t_tell_call(s, "copy_file_range from", copy_file_range(fd, NULL, file, NULL, 4, 0));
    t_tell_call(s, "copy_file_range to", copy_file_range(file, NULL, fd, NULL, 4, 0));
    t_pipe_holds(s, pipe);
    t_pipe_holds(s, other);
    t_read(s, A, 50);
    close_pipe(pipe), close_pipe(other), close(file), close(null), close(writing);
}

static const struct scenario scenarios[] = {
    {.name = "bytes come into a pipe", .run = bytes_come_into_a_pipe},
    {.name = "bytes go out of a pipe", .run = bytes_go_out_of_a_pipe},
    {.name = "a full pipe loses nothing", .run = a_full_pipe_loses_nothing},
    {.name = "a full pipe before an end", .run = a_full_pipe_before_an_end},
    {.name = "blocks until the pipe has bytes", .run = blocks_until_the_pipe_has_bytes},
    {.name = "blocks until the pipe has room", .run = blocks_until_the_pipe_has_room},
    {.name = "blocks until the peer speaks", .run = blocks_until_the_peer_speaks, .only = ONLY_TOGETHER},
    {.name = "out of a pipe into a full socket",
     .run = out_of_a_pipe_into_a_full_socket,
     .only = ONLY_TOGETHER},
    {.name = "out of a socket into a small pipe",
     .run = out_of_a_socket_into_a_small_pipe,
     .only = ONLY_TOGETHER},
    {.name = "an echo through a pipe", .run = an_echo_through_a_pipe},
    {.name = "a dead peer leaves the pipe alone",
     .run = a_dead_peer_leaves_the_pipe_alone,
     .only = ONLY_WARM},
    {.name = "after shutdown the pipe is left alone", .run = after_shutdown_the_pipe_is_left_alone},
    {.name = "a pipe that nobody reads", .run = a_pipe_that_nobody_reads},
    {.name = "a reset connection", .run = a_reset_connection, .only = ONLY_WARM},
    {.name = "what the kernel refuses", .run = what_the_kernel_refuses},
};

int main(int argc, char **argv)
{
    suite_scenarios(scenarios, suite_count(scenarios));
    return suite_run(argc, argv);
}
