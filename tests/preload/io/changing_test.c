/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Another thread changes what is being written, all the time. What is on the wire decides then: a record of
 * which the kernel took a part goes on under its nonce as it began, or the peer could not decrypt it
 * (EBADMSG), and two ciphertexts of one nonce would tell about both contents. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SIZE = 150000, TOTAL = 3000000 };

static uint8_t buffer[SIZE];
static _Atomic bool stop;

static void *change(void *unused)
{
    (void)unused;
    for (unsigned value = 0; !atomic_load(&stop); value++)
        memset(buffer, (int)(value & 0xff), sizeof buffer);
    return NULL;
}

/* Reads to the end in odd pieces, and gives how much came. */
static void *take_all(void *context)
{
    static uint8_t got[20000];
    size_t total = 0;
    ssize_t n;
    while ((n = read(*(int *)context, got, 1 + total * 7919 % sizeof got)) > 0)
        total += (size_t)n;
    return n == 0 ? (void *)total : NULL;
}

typedef ssize_t writer(int fd, size_t len);

static ssize_t in_one_piece(int fd, size_t len)
{
    return write(fd, buffer, len);
}

static ssize_t in_odd_pieces(int fd, size_t len)
{
    struct iovec iov[] = {{buffer, 1000}, {buffer + 1000, 20001}, {buffer + 21001, len - 21001}};
    return len > 21001 ? writev(fd, iov, 3) : write(fd, buffer, len);
}

static size_t write_total(int fd, writer *put)
{
    size_t total = 0;
    while (total < TOTAL) {
        size_t len = 1 + total * 31337 % SIZE;
        ssize_t n = put(fd, len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            net_wait(fd, POLLOUT, 5000);
            continue;
        }
        if (n < 0)
            break;
        total += (size_t)n;
    }
    return total;
}

static void written_while_it_changes(const struct net *net, writer *put, bool blocking)
{
    int pair[2], small = 30000;
    const struct timeval moment = {.tv_usec = 1};
    pthread_t changer, reader;
    void *came;
    net_warm_pair(net, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(pair[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (blocking) /* a blocking call stops in the middle of a record when its time is over */
        assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment), 0);
    net_set_nonblock(pair[0], !blocking);
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&changer, NULL, change, NULL), 0);
    assert_int_equal(pthread_create(&reader, NULL, take_all, &pair[1]), 0);
    size_t total = write_total(pair[0], put);
    shutdown(pair[0], SHUT_WR);
    pthread_join(reader, &came);
    atomic_store(&stop, true);
    pthread_join(changer, NULL);
    assert_in_range(total, TOTAL, TOTAL + SIZE);
    assert_int_equal((size_t)came, total);
    close(pair[0]);
    close(pair[1]);
}

static void non_blocking(const struct net *net)
{
    written_while_it_changes(net, in_one_piece, false);
}

static void non_blocking_in_pieces(const struct net *net)
{
    written_while_it_changes(net, in_odd_pieces, false);
}

static void blocking(const struct net *net)
{
    written_while_it_changes(net, in_one_piece, true);
}

static void blocking_in_pieces(const struct net *net)
{
    written_while_it_changes(net, in_odd_pieces, true);
}

static const struct suite_case cases[] = {
    {"changed during non-blocking writes", non_blocking, 30},
    {"changed during non-blocking writes of pieces", non_blocking_in_pieces, 30},
    {"changed during blocking writes", blocking, 30},
    {"changed during blocking writes of pieces", blocking_in_pieces, 30},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
