/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Event loops: the edges and levels that epoll reports for sealed connections are enough to make progress. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOST_MS = 3000 }; /* an event that has not come after this time does not come */

static int watch(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(epoll >= 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    return epoll;
}

static uint32_t next_event(int epoll, int timeout_ms)
{
    struct epoll_event event = {0};
    int n = epoll_wait(epoll, &event, 1, timeout_ms);
    return n > 0 ? event.events : 0;
}

/* Waits, through wake-ups for which there is no reason, until a byte can be read, without reading it. */
static bool wait_readable(int epoll, int fd)
{
    char byte;
    for (int64_t end = net_now_ms() + LOST_MS; net_now_ms() < end;) {
        if (next_event(epoll, (int)(end - net_now_ms())) & EPOLLIN &&
            (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
            return true;
    }
    return false;
}

struct stream {
    int fd;
    size_t total;
    unsigned seed;
    unsigned pause_us;
    size_t most; /* bytes in one write, 0: as the sizes say */
    bool ok;
};

/* Bursts of varying size, with pauses in which the reader runs dry. */
static void *write_bursts(void *context)
{
    struct stream *stream = context;
    static const size_t sizes[] = {1, 10, 500, 1460, 16384, 16385, 40000, 100000, 3};
    static uint8_t data[100000];
    size_t done = 0;
    for (unsigned i = stream->seed; done < stream->total; i++) {
        size_t len = sizes[i % suite_count(sizes)];
        len = len > stream->total - done ? stream->total - done : len;
        len = stream->most > 0 && len > stream->most ? stream->most : len;
        net_pattern(data, len, done);
        if (net_write_all(stream->fd, data, len) != len)
            return NULL;
        done += len;
        if (stream->pause_us != 0 && i % 3 == 0)
            usleep(stream->pause_us);
    }
    stream->ok = true;
    return NULL;
}

static void *read_slowly(void *context)
{
    struct stream *stream = context;
    static uint8_t data[30000];
    size_t done = 0;
    while (done < stream->total) {
        ssize_t n = recv(stream->fd, data, sizeof data, 0);
        if (n <= 0 || !net_is_pattern(data, (size_t)n, done))
            return NULL;
        done += (size_t)n;
        if (stream->pause_us != 0)
            usleep(stream->pause_us);
    }
    stream->ok = true;
    return NULL;
}

/* Takes what FIONREAD says is there, in pieces; gives how much. Whatever comes later has an edge of its own.
 */
static size_t read_counted(int fd, size_t buffer, size_t done)
{
    static uint8_t data[65536];
    int left = 0;
    size_t taken = 0;
    assert_int_equal(ioctl(fd, FIONREAD, &left), 0);
    while (left > 0) {
        ssize_t n = recv(fd, data, buffer, 0);
        if (n < 0)
            fail_msg("FIONREAD counted %d bytes more than there are", left);
        assert_true(n > 0);
        assert_true(net_is_pattern(data, (size_t)n, done + taken));
        taken += (size_t)n;
        left -= (int)n;
    }
    return taken;
}

/* As nginx reads the body of a request: no further than FIONREAD counted. The writer is faster than the
 * reader, so that the window shuts again and again, and has to open without a further read. */
static void edges_read_counted(const struct net *net, size_t total, size_t most)
{
    int pair[2];
    pthread_t thread;
    size_t done = 0;
    net_pair(net, pair);
    net_set_nonblock(pair[1], true);
    int epoll = watch(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
    struct stream stream = {.fd = pair[0], .total = total, .seed = 6, .most = most};
    assert_int_equal(pthread_create(&thread, NULL, write_bursts, &stream), 0);
    for (unsigned round = 0; done < stream.total; round++) {
        if (next_event(epoll, LOST_MS) == 0)
            fail_msg("no edge after %zu of %zu bytes", done, stream.total);
        if (round % 16 == 0)
            usleep(20000); /* let the kernel's queue fill */
        done += read_counted(pair[1], 8192, done);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(stream.ok);
    close(epoll), close(pair[0]), close(pair[1]);
}

static void edges_read_what_fionread_counts(const struct net *net)
{
    edges_read_counted(net, 60000000, 0);
}

/* Thousands of records in the kernel's queue. */
static void edges_read_what_fionread_counts_of_small_ones(const struct net *net)
{
    edges_read_counted(net, 2000000, 10);
}

/* An edge-triggered reader. stop_at_short: as nginx does, takes a short read for "there is no more". */
static void read_by_edges(const struct net *net, bool stop_at_short, size_t buffer)
{
    static uint8_t data[65536];
    int pair[2];
    pthread_t thread;
    size_t done = 0;
    net_pair(net, pair);
    net_set_nonblock(pair[1], true);
    int epoll = watch(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
    struct stream stream = {.fd = pair[0], .total = 3000000, .seed = (unsigned)buffer, .pause_us = 300};
    assert_int_equal(pthread_create(&thread, NULL, write_bursts, &stream), 0);
    while (done < stream.total) {
        if (next_event(epoll, LOST_MS) == 0)
            fail_msg("no edge after %zu of %zu bytes", done, stream.total);
        for (;;) {
            ssize_t n = recv(pair[1], data, buffer, 0);
            if (n < 0) {
                assert_int_equal(errno, EAGAIN);
                break;
            }
            assert_true(n > 0);
            assert_true(net_is_pattern(data, (size_t)n, done));
            done += (size_t)n;
            if (stop_at_short && (size_t)n < buffer)
                break;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(stream.ok);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    assert_true(next_event(epoll, LOST_MS) & EPOLLRDHUP);
    assert_int_equal(recv(pair[1], data, 1, 0), 0);
    close(epoll), close(pair[0]), close(pair[1]);
}

static void edges_read_until_eagain(const struct net *net)
{
    read_by_edges(net, false, 65536);
}

static void edges_read_until_eagain_small_buffer(const struct net *net)
{
    read_by_edges(net, false, 700);
}

static void edges_stop_at_a_short_read(const struct net *net)
{
    read_by_edges(net, true, 65536);
}

static void edges_stop_at_a_short_read_small_buffer(const struct net *net)
{
    read_by_edges(net, true, 1000);
}

/* Writes the whole pattern by EPOLLOUT edges alone. */
static void write_by_edges(int fd, int epoll, size_t total, size_t done)
{
    static uint8_t data[200000];
    while (done < total) {
        size_t len = total - done < sizeof data ? total - done : sizeof data;
        net_pattern(data, len, done);
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        if (!(next_event(epoll, LOST_MS) & EPOLLOUT))
            fail_msg("no EPOLLOUT after %zu of %zu bytes", done, total);
    }
}

static void edges_for_writing(const struct net *net)
{
    int pair[2];
    pthread_t thread;
    net_pair(net, pair);
    net_set_nonblock(pair[0], true);
    int epoll = watch(pair[0], EPOLLOUT | EPOLLET);
    struct stream stream = {.fd = pair[1], .total = 20000000, .pause_us = 20};
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &stream), 0);
    write_by_edges(pair[0], epoll, stream.total, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(stream.ok);
    close(epoll), close(pair[0]), close(pair[1]);
}

/* The writer is full before the other side has so much as accepted, so on sealed TCP before there are keys.
 */
static void edge_for_writing_after_eagain_in_the_handshake(const struct net *net)
{
    static uint8_t data[200000];
    struct sockaddr_in address;
    pthread_t thread;
    size_t done = 0;
    int listener = net_listen(net, 4, &address);
    int fd = net_client(net, SOCK_NONBLOCK);
    int epoll = watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
    if (net_connect_to(fd, &address) < 0)
        assert_int_equal(errno, EINPROGRESS);
    assert_true(next_event(epoll, LOST_MS) & EPOLLOUT);
    for (;;) {
        net_pattern(data, sizeof data, done);
        ssize_t n = send(fd, data, sizeof data, 0);
        if (n < 0)
            break;
        done += (size_t)n;
        next_event(epoll, 0); /* eats an edge that came before the EAGAIN */
    }
    assert_int_equal(errno, EAGAIN);
    next_event(epoll, 20);
    struct stream stream = {.total = 10000000};
    stream.fd = accept(listener, NULL, NULL);
    assert_true(stream.fd >= 0);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &stream), 0);
    if (!(next_event(epoll, LOST_MS) & EPOLLOUT))
        fail_msg("no EPOLLOUT after the EAGAIN");
    write_by_edges(fd, epoll, stream.total, done);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(stream.ok);
    close(epoll), close(fd), close(stream.fd), close(listener);
}

static void adding_reports_what_is_there_already(const struct net *net)
{
    int pair[2];
    char text[8];
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "abcdef", 6), 6);
    assert_true(net_wait(pair[1], POLLIN, LOST_MS) & POLLIN);
    assert_int_equal(read(pair[1], text, 2), 2); /* the rest is opened, and marked in the kernel's queue */
    int epoll = watch(pair[1], EPOLLIN | EPOLLET);
    assert_true(next_event(epoll, LOST_MS) & EPOLLIN);
    assert_int_equal(next_event(epoll, 20), 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = pair[1]};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, pair[1], &event), 0);
    assert_true(next_event(epoll, LOST_MS) & EPOLLIN);
    assert_int_equal(read(pair[1], text, 8), 4);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, pair[1], &event), 0);
    assert_int_equal(next_event(epoll, 20), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, pair[1], (struct epoll_event *)1), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, pair[1], &event), -1);
    assert_int_equal(errno, ENOENT);
    close(epoll), close(pair[0]), close(pair[1]);
}

static void oneshot_is_rearmed(const struct net *net)
{
    int pair[2];
    char text[2];
    net_warm_pair(net, pair);
    int epoll = watch(pair[1], EPOLLIN | EPOLLONESHOT);
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = pair[1]};
    assert_int_equal(write(pair[0], "abcdef", 6), 6);
    for (int i = 0; i < 3; i++) {
        assert_true(next_event(epoll, LOST_MS) & EPOLLIN);
        assert_int_equal(next_event(epoll, 0), 0);
        assert_int_equal(read(pair[1], text, 2), 2);
        assert_int_equal(text[0], 'a' + 2 * i);
        assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, pair[1], &event), 0);
    }
    assert_int_equal(next_event(epoll, 20), 0);
    close(epoll), close(pair[0]), close(pair[1]);
}

/* Added before connect(), as some programs do. */
static void added_before_connect(const struct net *net)
{
    struct sockaddr_in address;
    char text[4];
    int listener = net_listen(net, 4, &address);
    int fd = net_client(net, SOCK_NONBLOCK);
    int epoll = watch(fd, EPOLLIN | EPOLLET);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
    next_event(epoll, 0);
    if (net_connect_to(fd, &address) < 0)
        assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), 0);
    assert_true(next_event(epoll, LOST_MS) & EPOLLOUT);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(peer, "hey", 3), 3);
    assert_true(wait_readable(epoll, fd));
    assert_int_equal(read(fd, text, 4), 3);
    close(epoll), close(fd), close(peer), close(listener);
}

/* Wake-ups without a reason are allowed for handshake messages and half records, but there must be an end to
 * them. */
static void idle_connections_are_quiet(const struct net *net)
{
    int pair[2], wakes = 0;
    char byte;
    net_pair(net, pair);
    net_set_nonblock(pair[0], true);
    net_set_nonblock(pair[1], true);
    int epoll = watch(pair[0], EPOLLIN);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = pair[1]};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    for (int64_t end = net_now_ms() + 200; net_now_ms() < end;) {
        if (epoll_wait(epoll, &event, 1, 50) > 0) {
            wakes++;
            assert_int_equal(read(event.data.fd, &byte, 1), -1);
            assert_int_equal(errno, EAGAIN);
        }
    }
    assert_in_range(wakes, 0, 8);
    close(epoll), close(pair[0]), close(pair[1]);
}

/* One poll() over sealed and plain connections and a pipe. */
static void one_poll_over_everything(const struct net *net)
{
    int pair[2], plain[2], pipes[2];
    char byte;
    net_warm_pair(net, pair);
    net_warm_pair(&net_plain, plain);
    assert_int_equal(pipe(pipes), 0);
    const int ends[3][2] = {{pair[0], pair[1]}, {plain[0], plain[1]}, {pipes[1], pipes[0]}};
    for (int round = 0; round < 9; round++) {
        struct pollfd entries[4] = {{.fd = ends[0][1], .events = POLLIN},
                                    {.fd = ends[1][1], .events = POLLIN},
                                    {.fd = ends[2][1], .events = POLLIN},
                                    {.fd = -1, .events = POLLIN}};
        int which = round % 3;
        assert_int_equal(poll(entries, 4, 0), 0);
        assert_int_equal(write(ends[which][0], "x", 1), 1);
        assert_int_equal(poll(entries, 4, LOST_MS), 1);
        for (int i = 0; i < 4; i++)
            assert_int_equal(entries[i].revents, i == which ? POLLIN : 0);
        assert_int_equal(read(ends[which][1], &byte, 1), 1);
    }
    for (int i = 0; i < 3; i++)
        close(ends[i][0]), close(ends[i][1]);
}

enum { AT_ONCE = 20, REQUESTS = 1500 };

/* Serves one request a connection until its parent is gone. */
static void serve_requests(int listener)
{
    char text[8];
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            _exit(1);
        if (read(fd, text, 3) == 3 && write(fd, "reply", 5) != 5)
            _exit(2);
        close(fd);
    }
}

static void start_request(const struct net *net, int epoll, const struct sockaddr_in *address)
{
    int fd = net_client(net, SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
    int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    assert_true(result == 0 || errno == EINPROGRESS);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

/* True when the request is answered. */
static bool go_on_with(int epoll, const struct epoll_event *got)
{
    char text[8];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = got->data.fd};
    if (got->events & EPOLLIN) {
        ssize_t len = read(got->data.fd, text, sizeof text);
        if (len < 0)
            fail_msg("a read of what is readable gives errno %d", errno);
        close(got->data.fd);
        return true;
    }
    assert_int_equal(write(got->data.fd, "ask", 3), 3);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, got->data.fd, &event), 0);
    return false;
}

/* wrk takes an EAGAIN after EPOLLIN for an error: a handshake message must not look like data. */
static void level_triggered_waits_and_handshakes(const struct net *net)
{
    struct sockaddr_in address;
    struct epoll_event events[AT_ONCE];
    int listener = net_listen(net, 128, &address), epoll = epoll_create1(EPOLL_CLOEXEC);
    pid_t server = suite_fork();
    if (server == 0)
        serve_requests(listener);
    int started = AT_ONCE;
    for (int i = 0; i < started; i++)
        start_request(net, epoll, &address);
    for (int answered = 0; answered < REQUESTS;) {
        int count = epoll_wait(epoll, events, AT_ONCE, LOST_MS);
        assert_true(count > 0);
        for (int i = 0; i < count; i++) {
            if (!go_on_with(epoll, &events[i]))
                continue;
            answered++;
            if (started++ < REQUESTS)
                start_request(net, epoll, &address);
        }
    }
    kill(server, SIGKILL);
    suite_wait(server);
    close(listener), close(epoll);
}

static const struct suite_case cases[] = {
    {.name = "edges: read until EAGAIN", .run = edges_read_until_eagain},
    {.name = "edges: read until EAGAIN, small buffer", .run = edges_read_until_eagain_small_buffer},
    {.name = "edges: stop at a short read", .run = edges_stop_at_a_short_read},
    {.name = "edges: stop at a short read, small buffer", .run = edges_stop_at_a_short_read_small_buffer},
    {.name = "edges: read what FIONREAD counts", .run = edges_read_what_fionread_counts},
    {.name = "edges: read what FIONREAD counts of small ones",
     .run = edges_read_what_fionread_counts_of_small_ones},
    {.name = "edges: write until EAGAIN", .run = edges_for_writing},
    {.name = "edge for writing after EAGAIN in the handshake",
     .run = edge_for_writing_after_eagain_in_the_handshake},
    {.name = "adding reports what is there already", .run = adding_reports_what_is_there_already},
    {.name = "EPOLLONESHOT is rearmed", .run = oneshot_is_rearmed},
    {.name = "added before connect", .run = added_before_connect},
    {.name = "idle connections are quiet", .run = idle_connections_are_quiet},
    {.name = "one poll over everything", .run = one_poll_over_everything},
    {.name = "level-triggered waits and handshakes", .run = level_triggered_waits_and_handshakes},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
