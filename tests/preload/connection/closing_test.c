/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Ends of connections: half-close, close, and writing to a peer that is gone. (Beside another thread's read
 * or write: threads/threads_test.c.) */

#include "suite.h"

#include "calls.h"
#include "net.h"
#include "scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 320 << 10 };

static void half_close_with_data_flowing_back(struct scene *s)
{
    t_give(s, A, 30000);
    t_shutdown(s, A, SHUT_WR);
    t_ready(s, A);
    t_take(s, B, 30000);
    t_wait(s, B, POLLIN, 3000);
    t_read(s, B, 100);
    t_give(s, B, 50000);
    t_take(s, A, 50000);
    t_write(s, B, "still here");
    t_settle(s, A, 10);
    t_read(s, A, 100);
    t_shutdown(s, B, SHUT_WR);
    t_wait(s, A, POLLIN, 3000);
    t_read(s, A, 100);
    t_ready(s, A);
    t_ready(s, B);
}

static void half_close_before_a_byte(struct scene *s)
{
    t_shutdown(s, A, SHUT_WR);
    t_wait(s, B, POLLIN, 3000);
    t_read(s, B, 10);
    t_write(s, B, "one way");
    t_settle(s, A, 7);
    t_read(s, A, 10);
    t_shutdown(s, B, SHUT_WR);
    t_wait(s, A, POLLIN, 3000);
    t_read(s, A, 10);
}

static void end_of_stream_is_sticky(struct scene *s)
{
    t_write(s, A, "x");
    t_close(s, A);
    t_settle(s, B, 1);
    t_read(s, B, 10);
    for (int i = 0; i < 3; i++) {
        t_wait(s, B, POLLIN, 3000);
        t_read(s, B, 10);
        t_recv(s, B, 10, MSG_DONTWAIT);
        t_recv(s, B, 10, MSG_PEEK);
    }
    t_so_error(s, B);
}

static void writing_after_own_shutdown(struct scene *s)
{
    t_count_sigpipe(s, A);
    t_shutdown(s, A, SHUT_WR);
    t_write(s, A, "x");
    t_send(s, A, "x", 1, MSG_NOSIGNAL);
    t_send(s, A, "x", 1, MSG_DONTWAIT);
    t_sigpipes(s, A);
    t_shutdown(s, A, SHUT_WR);
    t_wait(s, B, POLLIN, 3000);
    t_read(s, B, 10);
}

static void reading_after_own_shutdown(struct scene *s)
{
    t_write(s, B, "before");
    t_settle(s, A, 6);
    t_shutdown(s, A, SHUT_RD);
    t_ready(s, A);
    t_read(s, A, 100);
    t_read(s, A, 100);
    t_write(s, A, "out");
    t_settle(s, B, 3);
    t_read(s, B, 100);
}

static void shutdown_of_both(struct scene *s)
{
    t_count_sigpipe(s, A);
    t_write(s, A, "end");
    t_settle(s, B, 3);
    t_shutdown(s, A, SHUT_RDWR);
    t_read(s, A, 10);
    t_write(s, A, "x");
    t_sigpipes(s, A);
    t_read(s, B, 10);
    t_wait(s, B, POLLIN, 3000);
    t_read(s, B, 10);
}

static void shutdown_with_a_bad_argument(struct scene *s)
{
    t_shutdown(s, A, 7);
    t_shutdown(s, A, -1);
    t_write(s, A, "x");
    t_settle(s, B, 1);
    t_read(s, B, 10);
}

/* The first write meets a closed peer and is answered with a reset, the next ones see it. */
static void writing_to_a_closed_peer(struct scene *s)
{
    t_count_sigpipe(s, A);
    t_write(s, A, "hello");
    t_settle(s, B, 5);
    t_read(s, B, 10);
    t_close(s, B);
    t_wait(s, A, POLLIN, 3000);
    t_write(s, A, "first");
    t_wait(s, A, 0, 3000);
    t_write(s, A, "second");
    t_send(s, A, "third", 5, MSG_NOSIGNAL);
    t_sigpipes(s, A);
    t_so_error(s, A);
}

/* close() with unread bytes in the queue resets the connection. */
static void closing_with_unread_data(struct scene *s)
{
    t_write(s, A, "nobody reads this");
    t_settle(s, B, 17);
    t_close(s, B);
    t_wait(s, A, POLLIN, 3000);
    t_read(s, A, 10);
    t_read(s, A, 10);
}

static void lingering_reset(struct scene *s)
{
    t_write(s, A, "x");
    t_settle(s, B, 1);
    t_read(s, B, 1);
    t_linger_zero(s, B);
    t_close(s, B);
    t_wait(s, A, POLLIN, 3000);
    t_read(s, A, 10);
    t_read(s, A, 10);
}

static void close_right_after_a_large_write(struct scene *s)
{
    t_give(s, A, 100000);
    t_close(s, A);
    t_take(s, B, 100000);
    t_read(s, B, 10);
}

static void close_right_after_the_first_byte(struct scene *s)
{
    t_write(s, A, "only this");
    t_close(s, A);
    t_wait(s, B, POLLIN, 3000);
    t_settle(s, B, 9);
    t_read(s, B, 100);
    t_read(s, B, 100);
    t_close(s, B);
}

static void close_without_a_byte(struct scene *s)
{
    t_close(s, A);
    t_wait(s, B, POLLRDHUP, 3000);
    t_ready(s, B);
    t_read(s, B, 10);
    t_read(s, B, 10);
}

static void closed_descriptor(struct scene *s)
{
    int fd = s->fd[A];
    t_close(s, A);
    s->fd[A] = fd;
    t_read(s, A, 1);
    t_write(s, A, "x");
    t_ready(s, A);
    t_close(s, A);
    t_close(s, A);
}

/* Writes what fits without waiting, at most LARGE; gives how much. */
static size_t fill(int fd)
{
    static uint8_t data[LARGE];
    size_t done = 0;
    net_pattern(data, LARGE, 0);
    while (done < LARGE) {
        ssize_t n = send(fd, data + done, LARGE - done, MSG_DONTWAIT);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static void expect_pattern_and_end(int fd, size_t len)
{
    static uint8_t data[LARGE + 1];
    assert_int_equal(net_read_all(fd, data, LARGE + 1), len);
    assert_true(net_is_pattern(data, len, 0));
    net_expect_end(fd);
}

/* The peer's end, which meets a connection that is closed here, takes nothing of what is still on its way. */
static void a_close_before_the_peers_end(const struct net *net)
{
    int pair[2], room = 1 << 20;
    struct sockaddr_in address;
    int small = 30000, listener = net_listen(net, 4, &address);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    pair[0] = net_client(net, 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    assert_int_equal(net_connect_to(pair[0], &address), 0);
    pair[1] = accept(listener, NULL, NULL);
    assert_int_equal(write(pair[0], "w", 1), 1);
    net_expect_text(pair[1], "w");
    size_t written = fill(pair[0]);
    assert_true(written > LARGE / 2);
    assert_int_equal(close(pair[0]), 0);
    net_sleep_ms(50);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    net_sleep_ms(50);
    expect_pattern_and_end(pair[1], written);
    close(listener);
}

static const struct scenario scenarios[] = {
    {.name = "half-close with data flowing back", .run = half_close_with_data_flowing_back},
    {.name = "half-close before a byte", .run = half_close_before_a_byte},
    {.name = "end of stream is sticky", .run = end_of_stream_is_sticky},
    {.name = "writing after own shutdown", .run = writing_after_own_shutdown},
    {.name = "reading after own shutdown", .run = reading_after_own_shutdown},
    {.name = "shutdown of both", .run = shutdown_of_both},
    {.name = "shutdown with a bad argument", .run = shutdown_with_a_bad_argument},
    {.name = "writing to a closed peer", .run = writing_to_a_closed_peer},
    {.name = "closing with unread data", .run = closing_with_unread_data},
    {.name = "lingering reset", .run = lingering_reset},
    {.name = "close right after a large write", .run = close_right_after_a_large_write},
    {.name = "close right after the first byte", .run = close_right_after_the_first_byte},
    {.name = "close without a byte", .run = close_without_a_byte},
    {.name = "closed descriptor", .run = closed_descriptor},
};

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *entries = opendir("/proc/self/fd");
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

/* A full queue is sent after the close, to a reader that comes late, and then no descriptor is left. */
static void the_rest_goes_out_and_nothing_stays_open(const struct net *net)
{
    static uint8_t data[1 << 16];
    int pair[2];
    uint64_t sent = 0, got = 0;
    ssize_t n;
    net_warm_pair(net, pair);
    const size_t before = open_descriptors();
    net_set_nonblock(pair[0], true);
    for (int refused = 0; refused < 3;) {
        net_pattern(data, sizeof data, sent);
        n = write(pair[0], data, sizeof data);
        refused = n > 0 ? 0 : refused + 1;
        sent += n > 0 ? (uint64_t)n : 0;
        net_wait(pair[1], 0, refused ? 5 : 0);
    }
    assert_int_equal(close(pair[0]), 0);
    net_wait(pair[1], 0, 100);
    while ((n = read(pair[1], data, sizeof data)) > 0) {
        assert_true(net_is_pattern(data, (size_t)n, got));
        got += (uint64_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(got, sent);
    assert_int_equal(close(pair[1]), 0);
    for (int i = 0; i < 200 && open_descriptors() > before - 2; i++)
        poll(NULL, 0, 10);
    assert_int_equal(open_descriptors(), before - 2);
}

/* The end of a full connection is still to be sent when the same thread blocks in reading its other end. */
static void a_reader_sends_what_is_outstanding(const struct net *net)
{
    static uint8_t data[30000];
    int pair[2];
    size_t sent = 0, got = 0;
    net_warm_pair(net, pair);
    for (int refusals = 0; refusals < 30;) {
        ssize_t n = send(pair[0], data, sizeof data, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        refusals = n > 0 ? 0 : refusals + 1;
        net_sleep_ms(n > 0 ? 0 : 10);
    }
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    for (ssize_t n; (n = read(pair[1], data, sizeof data)) > 0;)
        got += (size_t)n;
    assert_int_equal(got, sent);
    close(pair[0]);
    close(pair[1]);
}

/* The peer reads the closed connection to its end before it reads the one that this thread is blocked writing
 * to. */
static int read_one_after_the_other(int first, int second, size_t total)
{
    static uint8_t data[65536];
    size_t got = 0;
    ssize_t n;
    while ((n = read(first, data, sizeof data)) > 0)
        ;
    if (n < 0)
        return 1;
    while ((n = read(second, data, sizeof data)) > 0)
        got += (size_t)n;
    return n < 0 || got != total;
}

static void a_writer_sends_what_is_outstanding(const struct net *net)
{
    enum { TOTAL = 24 << 20 };
    static uint8_t data[TOTAL];
    int closed[2], written[2], full = 0;
    net_warm_pair(net, closed);
    net_warm_pair(net, written);
    pid_t peer = suite_fork();
    if (peer == 0) {
        close(closed[0]), close(written[0]);
        suite_until_blocked(getppid()); /* the other side is full, and closed */
        _exit(read_one_after_the_other(closed[1], written[1], TOTAL));
    }
    close(closed[1]), close(written[1]);
    while (full < 2)
        full = send(closed[0], data, 30000, MSG_DONTWAIT) > 0 ? 0 : full + 1;
    close(closed[0]);
    assert_int_equal(net_write_all(written[0], data, TOTAL), TOTAL);
    close(written[0]);
    assert_int_equal(suite_wait(peer), 0);
}

/* A server whose last descriptor is the connection that it accepts says "busy" and closes. */
static void the_last_descriptor(const struct net *net)
{
    enum { CLIENTS = 10 };
    struct sockaddr_in address;
    char text[8] = "";
    int go[2], listener = net_listen(net, CLIENTS, &address);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid_t server = suite_fork();
    if (server == 0) {
        char byte;
        close(go[1]);
        const int next = dup(listener);
        close(next);
        struct rlimit limit = {.rlim_cur = (rlim_t)next + 1, .rlim_max = (rlim_t)next + 1};
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            _exit(2);
        for (int i = 0; i < CLIENTS; i++) {
            int fd = accept(listener, NULL, NULL);
            if (fd != next || write(fd, "busy", 4) != 4 || close(fd) < 0)
                _exit(3);
        }
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 4);
    }
    for (int i = 0; i < CLIENTS; i++) {
        int fd = net_connect(net, &address);
        assert_int_equal(net_read_all(fd, text, 4), 4);
        assert_memory_equal(text, "busy", 4);
        assert_int_equal(read(fd, text, 1), 0);
        close(fd);
    }
    close(go[1]);
    assert_int_equal(suite_wait(server), 0);
    close(go[0]), close(listener);
}

static const struct suite_case cases[] = {
    {.name = "the last descriptor", .run = the_last_descriptor},
    {.name = "a writer sends what is outstanding", .run = a_writer_sends_what_is_outstanding},
    {.name = "a reader sends what is outstanding", .run = a_reader_sends_what_is_outstanding},
    {.name = "the rest goes out and nothing stays open", .run = the_rest_goes_out_and_nothing_stays_open},
    {.name = "a close before the peer's end", .run = a_close_before_the_peers_end},
};

int main(int argc, char **argv)
{
    suite_scenarios(scenarios, suite_count(scenarios));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
