/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* One connection, two processes, several threads in each, and signal handlers above them, all of which read
 * and write by different calls and in different sizes. What is written in one call that no signal interrupts
 * arrives in one piece; what is read by many is, all in all, what was written. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PROCESSES = 2,
    THREADS = 2,
    WRITERS = PROCESSES * THREADS,
    FRAMES = 400, /* of each thread */
    FRAME_MAX = 40000,
    BACK = 6000000, /* bytes that come back */
    TICK_US = 700,
};

struct head {
    uint32_t len, writer, number;
};

/* How often each byte has come by. */
struct tally {
    atomic_ullong of[256];
};

struct shared {
    struct tally out, in; /* of the crowded connection; `in` by whoever read it there */
    bool interrupted;     /* handlers run above the writers too: calls may be cut short */
};

static struct shared *shared;
static int crowded; /* the connection */
static unsigned process;

static uint64_t mixed(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static uint64_t place(uint32_t writer, uint32_t number)
{
    return (uint64_t)writer << 40 | (uint64_t)number << 16;
}

/* Sizes about those of buffers and records more often than others. */
static size_t size_of(uint32_t writer, uint32_t number)
{
    static const size_t around[] = {1, 1000, 1024, 2048, 4096, 16384, 32768};
    uint64_t chance = mixed(place(writer, number));
    if (chance % 3 == 0)
        return 1 + (chance >> 8) % (FRAME_MAX - 100);
    return around[(chance >> 8) % suite_count(around)] + (chance >> 16) % 60;
}

static size_t make_frame(uint8_t *out, uint32_t writer, uint32_t number)
{
    struct head head = {.len = (uint32_t)size_of(writer, number), .writer = writer, .number = number};
    memcpy(out, &head, sizeof head);
    net_pattern(out + sizeof head, head.len, place(writer, number));
    return sizeof head + head.len;
}

static void count_bytes(struct tally *tally, const uint8_t *data, ssize_t len)
{
    unsigned counts[256] = {0};
    for (ssize_t i = 0; i < len; i++)
        counts[data[i]]++;
    for (int i = 0; i < 256; i++)
        if (counts[i])
            atomic_fetch_add(&tally->of[i], counts[i]);
}

static bool write_frame(uint8_t *data, size_t len, unsigned way)
{
    for (size_t done = 0; done < len;) {
        uint8_t *at = data + done;
        size_t left = len - done;
        struct iovec iov[2] = {{at, left / 2}, {at + left / 2, left - left / 2}};
        ssize_t sent = way % 3 == 0   ? write(crowded, at, left)
                       : way % 3 == 1 ? send(crowded, at, left, MSG_NOSIGNAL)
                                      : writev(crowded, iov, 2);
        if (sent <= 0 || ((size_t)sent < left && !shared->interrupted))
            return false;
        count_bytes(&shared->out, at, sent);
        done += (size_t)sent;
    }
    return true;
}

/* A write that must not wait may be cut short, and so would tear frames. */
static void on_tick(int signal)
{
    uint8_t data[1024];
    int saved = errno;
    (void)signal;
    if (shared->interrupted) {
        net_pattern(data, sizeof data, 0);
        count_bytes(&shared->out, data, send(crowded, data, sizeof data, MSG_DONTWAIT));
    }
    count_bytes(&shared->in, data, recv(crowded, data, sizeof data, MSG_DONTWAIT));
    errno = saved;
}

static void *write_frames(void *context)
{
    uint32_t writer = (uint32_t)(uintptr_t)context;
    uint8_t *data = malloc(FRAME_MAX);
    sigset_t ticks;
    bool good = true;
    sigemptyset(&ticks);
    sigaddset(&ticks, SIGALRM);
    pthread_sigmask(shared->interrupted ? SIG_UNBLOCK : SIG_BLOCK, &ticks, NULL);
    for (uint32_t i = 0; i < FRAMES && good; i++)
        good = write_frame(data, make_frame(data, writer, i), writer + i);
    if (!good)
        fprintf(stderr, "writer %u: %s\n", (unsigned)writer, strerror(errno));
    free(data);
    return good ? shared : NULL;
}

/* Until the end, which a peek in between must not disturb. */
static void *read_anything(void *context)
{
    uint64_t chance = (uint64_t)(uintptr_t)context + 1;
    static __thread uint8_t data[FRAME_MAX];
    ssize_t n = 1;
    while (n > 0) {
        chance = mixed(chance);
        size_t len = chance % 4 == 0 ? 1 + (chance >> 8) % 64 : 1 + (chance >> 8) % sizeof data;
        const int flags = chance >> 40 & 1 ? MSG_DONTWAIT : 0;
        struct iovec iov[2] = {{data, len / 2}, {data + len / 2, len - len / 2}};
        if ((chance >> 48) % 16 == 0)
            recv(crowded, data, len, MSG_PEEK | MSG_DONTWAIT);
        n = (chance >> 52) % 8 == 0 ? readv(crowded, iov, 2) : recv(crowded, data, len, flags);
        if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT))
            n = poll(&(struct pollfd){.fd = crowded, .events = POLLIN}, 1, 1) >= 0 || errno == EINTR ? 1 : -1;
        else
            count_bytes(&shared->in, data, n);
    }
    return n == 0 ? shared : NULL;
}

/* Ticks come to any thread that is there. */
static bool be_crowded(void)
{
    pthread_t threads[2 * THREADS];
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct itimerval tick = {{.tv_usec = TICK_US}, {.tv_usec = TICK_US}}, none = {{0}, {0}};
    void *result;
    bool good = true;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, write_frames, (void *)(process * THREADS + i));
        pthread_create(&threads[THREADS + i], NULL, read_anything, (void *)(process * THREADS + i));
    }
    for (int i = 0; i < THREADS; i++)
        good = pthread_join(threads[i], &result) == 0 && result && good;
    setitimer(ITIMER_REAL, &none, NULL);
    for (int i = THREADS; i < 2 * THREADS; i++)
        good = pthread_join(threads[i], &result) == 0 && result && good;
    return good;
}

static struct tally came_out, went_in; /* at the other end */

static void *send_back(void *context)
{
    int fd = *(int *)context;
    static uint8_t data[70000];
    uint64_t chance = 7;
    for (size_t done = 0; done < BACK;) {
        chance = mixed(chance);
        size_t len = chance % 2 ? 1 + (chance >> 8) % sizeof data : 1 + (chance >> 8) % 3000;
        net_pattern(data, len, done);
        if (net_write_all(fd, data, len) != len)
            return NULL;
        count_bytes(&went_in, data, (ssize_t)len);
        done += len;
    }
    shutdown(fd, SHUT_WR);
    return context;
}

/* Each frame whole, and each writer's in their order. */
static void expect_frames(int fd)
{
    static uint8_t got[FRAME_MAX], expected[FRAME_MAX];
    uint32_t next[WRITERS] = {0};
    struct head head;
    while (net_read_all(fd, &head, sizeof head) == sizeof head) {
        assert_true(head.writer < WRITERS);
        size_t len = make_frame(expected, head.writer, next[head.writer]++) - sizeof head;
        assert_memory_equal(&head, expected, sizeof head);
        assert_int_equal(net_read_all(fd, got, len), len);
        assert_memory_equal(got, expected + sizeof head, len);
        count_bytes(&came_out, expected, (ssize_t)(sizeof head + len));
    }
}

static void expect_bytes(int fd)
{
    static uint8_t data[FRAME_MAX];
    ssize_t n;
    while ((n = read(fd, data, sizeof data)) > 0)
        count_bytes(&came_out, data, n);
    assert_int_equal(n, 0);
}

static void run_crowd(bool interrupted)
{
    int pair[2];
    pthread_t back;
    pid_t children[PROCESSES];
    void *result;
    if (!suite_has_library())
        skip();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    shared->interrupted = interrupted;
    net_pair(&net_sealed, pair);
    crowded = pair[0];
    for (process = 0; process < PROCESSES; process++) {
        children[process] = suite_fork();
        if (children[process] == 0) {
            close(pair[1]);
            _exit(be_crowded() ? 0 : 1);
        }
    }
    close(pair[0]);
    assert_int_equal(pthread_create(&back, NULL, send_back, &pair[1]), 0);
    (interrupted ? expect_bytes : expect_frames)(pair[1]);
    assert_int_equal(pthread_join(back, &result), 0);
    assert_non_null(result);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(suite_wait(children[i]), 0);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(shared->in.of[i], went_in.of[i]);
        assert_int_equal(shared->out.of[i], came_out.of[i]);
    }
    close(pair[1]);
    munmap(shared, sizeof *shared);
}

/* Frames on sealed TCP alone: plain TCP may tear a write that finds the buffer full. */
static void handlers_above_readers(void)
{
    run_crowd(false);
}

static void handlers_above_writers_too(void)
{
    run_crowd(true);
}

static volatile sig_atomic_t ticks_seen;

static void see_tick(int signal)
{
    (void)signal;
    ticks_seen = ticks_seen + 1;
}

static void write_zeros(int fd, size_t len)
{
    static const uint8_t zeros[FRAME_MAX];
    for (size_t done = 0; done < len; done += sizeof zeros)
        if (write(fd, zeros, sizeof zeros) != sizeof zeros)
            _exit(1);
    _exit(0);
}

static void crash(int signal)
{
    (void)signal;
    _exit(2);
}

/* While another process is blocked in a write of its own. A crash reporter's handler, which has no
 * SA_RESTART, is none that comes. */
static void a_write_behind_another_process_is_restarted(const struct net *net)
{
    enum { ENOUGH = 200 * FRAME_MAX };
    static uint8_t data[FRAME_MAX];
    struct sigaction action = {.sa_handler = see_tick, .sa_flags = SA_RESTART};
    const struct itimerval tick = {{.tv_usec = 20000}, {.tv_usec = 20000}}, none = {{0}, {0}};
    int pair[2];
    net_warm_pair(net, pair);
    pid_t writer = suite_fork();
    if (writer == 0)
        write_zeros(pair[0], ENOUGH);
    suite_until_blocked(writer);
    pid_t reader = suite_fork();
    if (reader == 0) {
        close(pair[0]);
        net_sleep_ms(200);
        for (size_t done = 0; done < ENOUGH + 1; done += sizeof data)
            net_read_all(pair[1], data, done + sizeof data <= ENOUGH ? sizeof data : 1);
        _exit(0);
    }
    assert_int_equal(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = crash}, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &tick, NULL), 0);
    assert_int_equal(write(pair[0], "x", 1), 1);
    assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
    if (net->sealed && suite_has_library()) /* the kernel has room for one byte more */
        assert_true(ticks_seen > 2);
    assert_int_equal(suite_wait(writer), 0);
    assert_int_equal(suite_wait(reader), 0);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "a write behind another process's is restarted",
     .run = a_write_behind_another_process_is_restarted},
};

static const struct suite_test tests[] = {
    {.name = "handlers above readers", .run = handlers_above_readers},
    {.name = "handlers above writers, too", .run = handlers_above_writers_too},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
