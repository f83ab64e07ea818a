/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* splice(2) and sendfile(2) that a signal meets: restarted, interrupted half-way, jumped out of. */

#include "suite.h"

#include "alarms.h"
#include "calls_transfer.h"
#include "doors_transfer.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BULK = 8 << 20 };

static sigjmp_buf escape;

static void jump_out(int number)
{
    (void)number;
    siglongjmp(escape, 1);
}

/* The blocked call has been interrupted, and restarted, so often. */
static void wait_for_alarms(void)
{
    while (alarms < 4)
        net_sleep_ms(1);
}

static void *write_later(void *context)
{
    wait_for_alarms();
    assert_int_equal(write(*(int *)context, "data", 4), 4);
    return NULL;
}

static void *write_beside(void *context)
{
    suite_until_blocked(getpid());
    assert_int_equal(write(*(int *)context, "data", 4), 4);
    return NULL;
}

static void *read_page_later(void *context)
{
    char page[4096];
    wait_for_alarms();
    assert_int_equal(read(*(int *)context, page, sizeof page), sizeof page);
    return NULL;
}

struct fixture {
    int pair[2], pipe[2];
};

static struct fixture set_up(const struct net *net)
{
    struct fixture fixture;
    net_warm_pair(net, fixture.pair);
    transfer_pipe(fixture.pipe);
    return fixture;
}

static void tear_down(const struct fixture *fixture)
{
    for (int i = 0; i < 2; i++) {
        close(fixture->pair[i]);
        close(fixture->pipe[i]);
    }
}

/* A splice(2) that waits is interrupted by a signal, and restarted where the handler is to do that, until
 * another thread has done what it waits for. */
static void interrupted_and_restarted(int from, int to, void *(*end_it)(void *), int *with)
{
    alarms_start(alarms_count, 0, 100, 0);
    assert_int_equal(splice(from, NULL, to, NULL, 10, 0), -1);
    assert_int_equal(errno, EINTR);
    pthread_t thread = alarms_thread_without(end_it, with);
    alarms_start(alarms_count, SA_RESTART, 20, 20);
    assert_int_equal(splice(from, NULL, to, NULL, 10, 0), 4);
    alarms_stop();
    assert_true(alarms >= 3);
    pthread_join(thread, NULL);
}

static void a_wait_for_the_socket(const struct net *net)
{
    struct fixture at = set_up(net);
    interrupted_and_restarted(at.pair[1], at.pipe[1], write_later, &at.pair[0]);
    tear_down(&at);
}

static void a_wait_for_a_full_pipe(const struct net *net)
{
    struct fixture at = set_up(net);
    assert_int_equal(fcntl(at.pipe[1], F_SETPIPE_SZ, 4096), 4096);
    t_pipe_fill(at.pipe, 0);
    assert_int_equal(write(at.pair[0], "data", 4), 4);
    assert_int_not_equal(net_wait(at.pair[1], POLLIN, 3000), 0);
    interrupted_and_restarted(at.pair[1], at.pipe[1], read_page_later, &at.pipe[0]);
    tear_down(&at);
}

static void a_wait_for_an_empty_pipe(const struct net *net)
{
    struct fixture at = set_up(net);
    interrupted_and_restarted(at.pipe[0], at.pair[0], write_later, &at.pipe[1]);
    tear_down(&at);
}

/* Until the socket takes no more. */
static uint64_t fill(int fd, uint64_t place)
{
    static uint8_t data[30000];
    uint64_t done = place;
    for (int refusals = 0; refusals < 30;) {
        net_pattern(data, sizeof data, done);
        ssize_t sent = send(fd, data, sizeof data, MSG_DONTWAIT);
        done += sent > 0 ? (uint64_t)sent : 0;
        refusals = sent > 0 ? 0 : refusals + 1;
        net_sleep_ms(sent > 0 ? 0 : 10);
    }
    return done;
}

/* Reads `len` pattern bytes that start at `place`. */
static void take(int fd, uint64_t place, uint64_t len)
{
    static uint8_t data[50000];
    while (len > 0) {
        ssize_t got = read(fd, data, len < sizeof data ? len : sizeof data);
        assert_true(got > 0 && net_is_pattern(data, (size_t)got, place));
        place += (uint64_t)got;
        len -= (uint64_t)got;
    }
}

/* Nothing was taken: EINTR, and the pipe and the file are as they were. */
static void a_full_socket(const struct net *net)
{
    struct fixture at = set_up(net);
    int file = t_pattern_file(1000);
    uint64_t before = fill(at.pair[0], 0);
    t_pipe_put(at.pipe, "12345");
    alarms_start(alarms_count, 0, 100, 0);
    assert_int_equal(splice(at.pipe[0], NULL, at.pair[0], NULL, 5, 0), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(transfer_waiting(at.pipe[0]), 5);
    before = fill(at.pair[0], before); /* the kernel may have found some room meanwhile */
    alarms_start(alarms_count, 0, 100, 0);
    assert_int_equal(sendfile(at.pair[0], file, NULL, 1000), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(lseek(file, 0, SEEK_CUR), 0);
    shutdown(at.pair[0], SHUT_WR);
    take(at.pair[1], 0, before);
    close(file);
    tear_down(&at);
}

/* Interrupted half-way, sendfile tells how much it was, and goes on from there. */
static void half_of_a_file(const struct net *net)
{
    struct fixture at = set_up(net);
    int file = t_pattern_file(BULK);
    alarms_start(alarms_count, 0, 150, 0);
    ssize_t sent = sendfile(at.pair[0], file, NULL, BULK);
    assert_true(sent > 0 && sent < BULK);
    assert_int_equal(lseek(file, 0, SEEK_CUR), sent);
    net_set_nonblock(at.pair[0], true);
    net_set_nonblock(at.pair[1], true);
    static uint8_t data[50000];
    for (uint64_t place = 0; place < BULK;) {
        ssize_t got = read(at.pair[1], data, sizeof data);
        assert_true(got > 0 || errno == EAGAIN);
        assert_true(got <= 0 || net_is_pattern(data, (size_t)got, place));
        place += got > 0 ? (uint64_t)got : 0;
        ssize_t more = sendfile(at.pair[0], file, NULL, BULK);
        assert_true(more >= 0 || errno == EAGAIN);
        sent += more > 0 ? more : 0;
        assert_int_equal(lseek(file, 0, SEEK_CUR), sent);
    }
    close(file);
    tear_down(&at);
}

/* The same out of a pipe: what was not taken is in it still, and goes out next. */
static void half_of_a_pipe(const struct net *net)
{
    struct fixture at = set_up(net);
    uint64_t before = fill(at.pair[0], 0), room = 0;
    size_t in_pipe = t_pipe_fill(at.pipe, before);
    alarms_start(alarms_count, 0, 300, 0);
    pthread_t thread =
        alarms_thread_without(write_beside, &at.pair[1]); /* the other direction disturbs nothing */
    static uint8_t data[50000];
    while (room < 100000) { /* room for a part of it */
        ssize_t got = recv(at.pair[1], data, sizeof data, MSG_DONTWAIT);
        assert_true(got > 0 && net_is_pattern(data, (size_t)got, room));
        room += (uint64_t)got;
    }
    uint64_t sent = before;
    ssize_t moved = splice(at.pipe[0], NULL, at.pair[0], NULL, in_pipe, 0);
    assert_true(moved > 0 || errno == EINTR);
    sent += moved > 0 ? (uint64_t)moved : 0;
    assert_int_equal(transfer_waiting(at.pipe[0]), in_pipe - (sent - before));
    pthread_join(thread, NULL);
    net_set_nonblock(at.pair[0], true);
    net_set_nonblock(at.pair[1], true);
    while (room < before + in_pipe) {
        moved = splice(at.pipe[0], NULL, at.pair[0], NULL, in_pipe, SPLICE_F_NONBLOCK);
        assert_true(moved > 0 || errno == EAGAIN);
        ssize_t got = read(at.pair[1], data, sizeof data);
        assert_true(got > 0 || errno == EAGAIN);
        assert_true(got <= 0 || net_is_pattern(data, (size_t)got, room));
        room += got > 0 ? (uint64_t)got : 0;
    }
    assert_int_equal(transfer_waiting(at.pipe[0]), 0);
    tear_down(&at);
}

/* Out of SIGPIPE's handler, which the call itself brings about: the connection can be used on. */
static void a_jump_out_of_a_broken_pipe(const struct net *net)
{
    struct fixture at = set_up(net);
    char text[8];
    signal(SIGPIPE, jump_out);
    int lonely = at.pipe[1];
    close(at.pipe[0]);
    assert_int_equal(write(at.pair[0], "data", 4), 4);
    assert_int_not_equal(net_wait(at.pair[1], POLLIN, 3000), 0);
    if (sigsetjmp(escape, 1) == 0)
        splice(at.pair[1], NULL, at.pipe[1], NULL, 10, 0);
    assert_int_equal(read(at.pair[1], text, sizeof text), 4);
    assert_memory_equal(text, "data", 4);
    transfer_pipe(at.pipe);
    assert_int_equal(write(at.pair[0], "more", 4), 4);
    assert_int_equal(splice(at.pair[1], NULL, at.pipe[1], NULL, 10, 0), 4);
    signal(SIGPIPE, SIG_DFL);
    close(lonely);
    tear_down(&at);
}

static const struct suite_case cases[] = {
    {"a wait for the socket", a_wait_for_the_socket, 0},
    {"a wait for a full pipe", a_wait_for_a_full_pipe, 0},
    {"a wait for an empty pipe", a_wait_for_an_empty_pipe, 0},
    {"a full socket", a_full_socket, 0},
    {"half of a file", half_of_a_file, 0},
    {"half of a pipe", half_of_a_pipe, 0},
    {"a jump out of a broken pipe", a_jump_out_of_a_broken_pipe, 0},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
