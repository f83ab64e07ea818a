/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* sendfile(2) to a sealed connection, and from one. */

#include "suite.h"

#include "calls.h"
#include "calls_transfer.h"
#include "doors_transfer.h"
#include "net.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BULK = 8 << 20, HUGE = 64 << 20, STEP = 100000 };

static void by_the_files_own_offset(struct scene *s)
{
    int file = t_pattern_file(1000);
    t_sendfile(s, file, NULL, 300);
    t_sendfile(s, file, NULL, 500);
    t_sendfile(s, file, NULL, 200);
    t_take(s, B, 1000);
    t_sendfile(s, file, NULL, 10);
    lseek(file, 2000, SEEK_SET);
    t_sendfile(s, file, NULL, 10);
    close(file);
}

static void by_an_offset(struct scene *s)
{
    int file = t_pattern_file(1000);
    off_t at = 0;
    lseek(file, 77, SEEK_SET);
    t_sendfile(s, file, &at, 600);
    t_sendfile(s, file, &at, 400);
    t_take(s, B, 1000);
    t_sendfile(s, file, &at, 10);
    at = 100000;
    t_sendfile(s, file, &at, 10);
    close(file);
}

/* More than the file has: up to its end. */
static void more_than_there_is(struct scene *s)
{
    static const size_t counts[] = {1001, 1 << 20, 0x7ffff000, 0x7fffffff, (size_t)1 << 40};
    int file = t_pattern_file(1000);
    for (size_t i = 0; i < suite_count(counts); i++) {
        off_t at = 0;
        s->received[B] = 0;
        t_sendfile(s, file, &at, counts[i]);
        t_take(s, B, 1000);
    }
    close(file);
}

static void offsets_and_counts_at_the_edge(struct scene *s)
{
    static const off_t offsets[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 5, INT64_MAX - 100000};
    int file = t_pattern_file(1000);
    off_t at;
    for (size_t i = 0; i < suite_count(offsets); i++) {
        at = offsets[i];
        t_sendfile(s, file, &at, 10);
    }
    at = 5;
    t_sendfile(s, file, &at, SIZE_MAX);
    t_sendfile(s, file, &at, (size_t)INT64_MAX + 1);
    t_sendfile(s, file, &at, 0);
    t_sendfile(s, file, NULL, 0);
    t_sendfile(s, file, NULL, SIZE_MAX);
    close(file);
}

static void what_cannot_be_sent(struct scene *s)
{
    int pipe[2], fd = s->fd[A], file = t_pattern_file(100), directory = open("/", O_RDONLY | O_CLOEXEC);
    int writing = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    off_t at = 0;
    transfer_pipe(pipe);
    t_pipe_put(pipe, "pipe");
    t_write(s, B, "socket");
    t_settle(s, A, 6);
    const struct {
        const char *name;
        int out, in;
        off_t *at;
        size_t len;
    } calls[] = {
        {"out of a pipe", fd, pipe[0], NULL, 4},
        {"out of a pipe, offset", fd, pipe[0], &at, 4},
        {"out of a pipe's wrong end", fd, pipe[1], NULL, 4},
        {"out of a directory", fd, directory, NULL, 4},
        {"out of a write-only file", fd, writing, NULL, 4},
        {"out of nothing", fd, -1, NULL, 4},
        {"no byte out of nothing", fd, -1, NULL, 0},
        {"no byte out of a pipe", fd, pipe[0], NULL, 0},
        {"into itself", fd, fd, NULL, 4},
        {"into itself, offset", fd, fd, &at, 4},
        {"into a file", file, fd, NULL, 4},
        {"into a file, offset", file, fd, &at, 4},
        {"into nothing", -1, fd, NULL, 4},
        {"into a directory", directory, fd, NULL, 4},
        {"into a pipe, offset", pipe[1], fd, &at, 4},
        {"into a pipe's wrong end", pipe[0], fd, NULL, 4},
        {"into a pipe, too much", pipe[1], fd, NULL, SIZE_MAX},
    };
    for (size_t i = 0; i < suite_count(calls); i++) {
        errno = 0;
        t_tell_call(s, calls[i].name, sendfile(calls[i].out, calls[i].in, calls[i].at, calls[i].len));
        errno = 0;
        t_tell_call(s, "raw", syscall(SYS_sendfile, calls[i].out, calls[i].in, calls[i].at, calls[i].len));
    }
    t_pipe_holds(s, pipe);
    scene_tell(s, "file at %lld", (long long)lseek(file, 0, SEEK_CUR));
    t_read(s, A, 50);
    close(pipe[0]), close(pipe[1]), close(file), close(directory), close(writing);
}

/* Things that can be read at a place, and are no ordinary file. */
static void out_of_a_device(struct scene *s)
{
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    off_t at = 0;
    errno = 0;
    t_tell_call(s, "sendfile", sendfile(s->fd[A], zero, &at, 5000));
    t_settle(s, B, 5000);
    t_read(s, B, 10000);
    close(zero);
}

static void into_a_pipe(struct scene *s)
{
    int pipe[2];
    transfer_pipe(pipe);
    t_write(s, B, "a pipe is no file");
    t_settle(s, A, 17);
    t_tell_call(s, "sendfile", sendfile(pipe[1], s->fd[A], NULL, 6));
    t_tell_call(s, "raw", syscall(SYS_sendfile, pipe[1], s->fd[A], NULL, 50));
    t_pipe_take(s, pipe, 50);
    t_nonblock(s, A, true);
    errno = 0;
    t_tell_call(s, "sendfile", sendfile(pipe[1], s->fd[A], NULL, 6));
    t_shutdown(s, B, SHUT_WR);
    t_wait(s, A, POLLIN, 3000);
    errno = 0;
    t_tell_call(s, "sendfile", sendfile(pipe[1], s->fd[A], NULL, 6));
    close(pipe[0]), close(pipe[1]);
}

static int bulk_file;

static void send_bulk(int fd)
{
    for (off_t at = 0; at < BULK;) {
        ssize_t sent = sendfile(fd, bulk_file, &at, BULK);
        assert_true(sent > 0);
    }
    shutdown(fd, SHUT_WR);
}

static void a_large_file_blocking(struct scene *s)
{
    bulk_file = t_pattern_file(BULK);
    struct t_later *later = t_after(0, send_bulk, s->fd[A]);
    t_take(s, B, BULK);
    t_read(s, B, 1);
    t_join(later);
    close(bulk_file);
}

/* Both offsets move over exactly what was counted, and that is what arrives. */
static void a_large_file_non_blocking(struct scene *s)
{
    int file = t_pattern_file(BULK), short_of = 0;
    off_t at = 0, sum = 0;
    bool exact = true, own = false;
    t_nonblock(s, A, true);
    while (s->received[B] < BULK) {
        own = !own;
        lseek(file, own ? sum : 3, SEEK_SET);
        ssize_t sent = sendfile(s->fd[A], file, own ? NULL : &at, BULK);
        sum += sent > 0 ? sent : 0;
        exact = exact && (sent >= 0 || errno == EAGAIN) && lseek(file, 0, SEEK_CUR) == (own ? sum : 3) &&
                (own || at == sum);
        at = sum;
        short_of += sent > 0 && sum < BULK;
        ssize_t got = recv(s->fd[B], s->in, STEP, MSG_DONTWAIT);
        exact = exact && (got <= 0 || net_is_pattern(s->in, (size_t)got, s->received[B]));
        s->received[B] += got > 0 ? (uint64_t)got : 0;
    }
    scene_tell(s, "exact: %d, short: %d", exact, short_of > 0);
    close(file);
}

static void send_all_there_is(int fd)
{
    off_t at = 0;
    ssize_t sent = sendfile(fd, bulk_file, &at, HUGE);
    assert_true(sent > 0 && sent < HUGE && sent == at);
    uint64_t count = (uint64_t)sent;
    assert_int_equal(net_write_all(fd, &count, sizeof count), sizeof count);
    shutdown(fd, SHUT_WR);
}

/* While the call is blocked, the file becomes shorter. How far the kernel had read is its business: the count
 * follows behind. */
static void the_file_becomes_shorter(struct scene *s)
{
    bulk_file = transfer_file("", 0);
    assert_int_equal(ftruncate(bulk_file, HUGE), 0);
    struct t_later *later = t_after(0, send_all_there_is, s->fd[A]);
    uint64_t done = net_read_all(s->fd[B], s->in, STEP), count = 0;
    t_until_blocked(later);
    assert_int_equal(ftruncate(bulk_file, STEP), 0);
    uint8_t *last = s->in + sizeof count; /* behind the eight bytes before */
    for (ssize_t got; (got = recv(s->fd[B], last, STEP, 0)) > 0; done += (uint64_t)got)
        memmove(s->in, last + got - sizeof count, sizeof count);
    t_join(later);
    memcpy(&count, s->in, sizeof count);
    scene_tell(s, "counted right: %d", count == done - sizeof count);
    close(bulk_file);
}

static void to_a_dead_peer(struct scene *s)
{
    int file = t_pattern_file(1000);
    t_count_sigpipe(s, A);
    t_linger_zero(s, B);
    t_close(s, B);
    t_wait(s, A, POLLIN, 3000);
    t_sendfile(s, file, NULL, 100);
    t_sendfile(s, file, NULL, 100);
    t_sigpipes(s, A);
    close(file);
}

static void after_shutdown(struct scene *s)
{
    int file = t_pattern_file(1000);
    off_t at = 9;
    t_count_sigpipe(s, A);
    t_sendfile(s, file, NULL, 100);
    t_shutdown(s, A, SHUT_WR);
    t_sendfile(s, file, NULL, 100);
    t_sendfile(s, file, &at, 100);
    t_sigpipes(s, A);
    t_take(s, B, 100);
    close(file);
}

static void with_a_time_limit(struct scene *s)
{
    int file = t_pattern_file(BULK);
    t_fill(s, A, 30000);
    t_set_timeout(s, A, SO_SNDTIMEO, 80);
    int64_t start = net_now_ms();
    t_sendfile(s, file, NULL, BULK);
    t_took(s, start, 80);
    close(file);
}

static const struct scenario scenarios[] = {
    {.name = "by the file's own offset", .run = by_the_files_own_offset},
    {.name = "by an offset", .run = by_an_offset},
    {.name = "more than there is", .run = more_than_there_is},
    {.name = "offsets and counts at the edge", .run = offsets_and_counts_at_the_edge},
    {.name = "what cannot be sent", .run = what_cannot_be_sent},
    {.name = "out of a device", .run = out_of_a_device},
    {.name = "into a pipe", .run = into_a_pipe},
    {.name = "a large file, blocking", .run = a_large_file_blocking},
    {.name = "a large file, non-blocking", .run = a_large_file_non_blocking, .only = ONLY_TOGETHER},
    {.name = "the file becomes shorter", .run = the_file_becomes_shorter, .only = ONLY_TOGETHER},
    {.name = "to a dead peer", .run = to_a_dead_peer, .only = ONLY_WARM},
    {.name = "after shutdown", .run = after_shutdown},
    {.name = "with a time limit", .run = with_a_time_limit, .only = ONLY_WARM},
};

int main(int argc, char **argv)
{
    suite_scenarios(scenarios, suite_count(scenarios));
    return suite_run(argc, argv);
}
