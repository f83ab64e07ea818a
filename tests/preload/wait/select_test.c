/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* select and poll beside what poll says of one descriptor: sets of every size, none at all, and programs that
 * live by them. */

#include "suite.h"

#include "guarded.h"
#include "net.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SOON_MS = 3000 };

/* select(2) looks at no more descriptors than the process's table has, so that old programs may ask for
 * getdtablesize() with sets of FD_SETSIZE. */
static void select_over_the_whole_table(const struct net *net)
{
    int pair[2];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max <= 2 * FD_SETSIZE)
        skip();
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    net_warm_pair(net, pair);
    char *memory = guarded(GUARDED_PAGE);
    fd_set *set = (void *)(memory + GUARDED_PAGE - sizeof *set);
    for (int written = 0; written < 2; written++) {
        struct timeval span = {.tv_usec = written ? 3000000 : 1000};
        struct timespec nanoseconds = {.tv_sec = 3};
        FD_ZERO(set);
        FD_SET(pair[1], set);
        assert_int_equal(select(getdtablesize(), set, NULL, NULL, &span), written);
        assert_int_equal(!FD_ISSET(pair[1], set), !written);
        if (written)
            assert_int_equal(pselect(getdtablesize(), set, NULL, NULL, &nanoseconds, NULL), 1);
        assert_int_equal(write(pair[0], "x", 1), 1);
    }
    guarded_free(memory, GUARDED_PAGE);
    close(pair[0]), close(pair[1]);
}

static int64_t cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* A select that is a sleep must sleep, also beside a handshake that does not end. */
static void complaint_04_select_with_no_sets_does_not_spin(const struct net *net)
{
    int other, waiting = net_connect_unanswered(net, &other);
    int64_t used = cpu_ms(), start = net_now_ms();
    for (int round = 0; round < 4; round++) {
        struct timeval span = {.tv_usec = 100000};
        assert_int_equal(select(0, NULL, NULL, NULL, &span), 0);
    }
    assert_true(net_now_ms() - start >= 400);
    assert_in_range(cpu_ms() - used, 0, 200);
    close(waiting), close(other);
}

struct server {
    int fd;
    size_t total;
};

/* A head, and a body in small and in large pieces, with pauses. */
static void *serve_page(void *context)
{
    struct server *server = context;
    static uint8_t data[40000];
    size_t done = 0;
    for (size_t i = 1; done < server->total; i = i * 7 % 39989 + 1) {
        size_t len = i < server->total - done ? i : server->total - done;
        net_pattern(data, len, done);
        if (net_write_all(server->fd, data, len) != len)
            break;
        done += len;
        if (i % 3 == 0)
            net_sleep_ms(1);
    }
    return NULL;
}

static bool readable_soon(int fd)
{
    struct timeval span = {.tv_sec = 10};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &span) == 1;
}

/* wget's loop on a blocking descriptor: select, peek for the end of the head, read to there; then select and
 * read. A select that does not see what is opened already stalls it for good. */
static void complaint_07_wget_does_not_stall_in_select(const struct net *net)
{
    enum { HEAD = 3000, TOTAL = 600000, STEP = 512 };
    static uint8_t data[8192];
    int pair[2];
    pthread_t thread;
    size_t done = 0;
    net_pair(net, pair);
    struct server server = {pair[0], TOTAL};
    assert_int_equal(pthread_create(&thread, NULL, serve_page, &server), 0);
    while (done < TOTAL) {
        assert_true(readable_soon(pair[1]));
        ssize_t n = done < HEAD ? recv(pair[1], data, STEP, MSG_PEEK) : 0;
        assert_true(n >= 0);
        n = read(pair[1], data, n > 0 ? (size_t)(n + 1) / 2 : sizeof data);
        assert_true(n > 0);
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(pair[0]), close(pair[1]);
}

static void complaint_12_one_poll_over_sealed_and_plain(const struct net *net)
{
    int pair[2], plain[2];
    net_warm_pair(net, pair);
    net_warm_pair(&net_plain, plain);
    for (int round = 0; round < 4; round++) {
        struct pollfd both[2] = {{.fd = pair[1], .events = POLLIN}, {.fd = plain[1], .events = POLLIN}};
        int which = round % 2, *ends = which ? plain : pair;
        assert_int_equal(poll(both, 2, 0), 0);
        assert_int_equal(write(ends[0], "x", 1), 1);
        assert_int_equal(poll(both, 2, SOON_MS), 1);
        assert_int_equal(both[which].revents, POLLIN);
        assert_int_equal(both[1 - which].revents, 0);
        net_expect_text(ends[1], "x");
    }
    close(pair[0]), close(pair[1]), close(plain[0]), close(plain[1]);
}

static const struct suite_case cases[] = {
    {.name = "select over the whole table", .run = select_over_the_whole_table},
    {.name = "complaint_04_select_with_no_sets_does_not_spin",
     .run = complaint_04_select_with_no_sets_does_not_spin},
    {.name = "complaint_07_wget_does_not_stall_in_select", .run = complaint_07_wget_does_not_stall_in_select},
    {.name = "complaint_12_one_poll_over_sealed_and_plain",
     .run = complaint_12_one_poll_over_sealed_and_plain},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
