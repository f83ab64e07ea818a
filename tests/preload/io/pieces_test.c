/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The array of pieces of readv(2) and its kin: it counts as it is when the call begins. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 3000, MANY = 20 };

static ssize_t by_readv(int fd, const struct iovec *iov, int count)
{
    return readv(fd, iov, count);
}

static ssize_t by_preadv2(int fd, const struct iovec *iov, int count)
{
    return preadv2(fd, iov, count, -1, 0);
}

static ssize_t by_recvmsg(int fd, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    return recvmsg(fd, &message, MSG_WAITALL);
}

static ssize_t (*const readers[])(int fd, const struct iovec *iov, int count) = {by_readv, by_preadv2,
                                                                                 by_recvmsg};

/* What the peer sends says what it likes where the array is. */
static void lies_where_bytes_come(const struct net *net)
{
    static _Alignas(16) uint8_t memory[MANY * PIECE], sent[MANY * PIECE];
    int pair[2];
    net_warm_pair(net, pair);
    for (size_t way = 0; way < suite_count(readers); way++) {
        for (int count = 3; count <= MANY; count += MANY - 3) {
            const size_t all = (size_t)count * PIECE;
            struct iovec *iov = (struct iovec *)(void *)(memory + 64);
            memset(memory, 0, sizeof memory);
            for (int i = 0; i < count; i++)
                iov[i] = (struct iovec){memory + i * PIECE, PIECE};
            net_pattern(sent, all, 0);
            assert_int_equal(net_write_all(pair[0], sent, all), all);
            for (size_t done = 0; done < all;) {
                ssize_t n =
                    done ? read(pair[1], memory + done, all - done) : readers[way](pair[1], iov, count);
                assert_true(n > 0);
                done += (size_t)n;
            }
            assert_memory_equal(memory, sent, all);
        }
    }
    close(pair[0]), close(pair[1]);
}

struct reader {
    int fd;
    struct iovec iov[2];
    _Atomic pid_t id;
};

static void *read_pieces(void *context)
{
    struct reader *reader = context;
    reader->id = gettid();
    assert_int_equal(readv(reader->fd, reader->iov, 2), 2 * PIECE);
    return NULL;
}

static void changes_during_the_call(const struct net *net)
{
    static uint8_t memory[2 * PIECE], other[2 * PIECE], sent[2 * PIECE];
    struct reader reader = {.iov = {{memory, PIECE}, {memory + PIECE, PIECE}}};
    pthread_t thread;
    int pair[2];
    net_warm_pair(net, pair);
    reader.fd = pair[1];
    assert_int_equal(pthread_create(&thread, NULL, read_pieces, &reader), 0);
    suite_until_thread_blocked(&reader.id);
    reader.iov[0] = (struct iovec){other, PIECE};
    reader.iov[1] = (struct iovec){other + PIECE, PIECE};
    net_pattern(sent, sizeof sent, 0);
    assert_int_equal(write(pair[0], sent, sizeof sent), sizeof sent);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_memory_equal(memory, sent, sizeof sent);
    close(pair[0]), close(pair[1]);
}

/* All or nothing: a length that cannot be moves no byte of the pieces before it. */
static void lengths_that_cannot_be(const struct net *net)
{
    static const size_t lengths[] = {SIZE_MAX, (size_t)SSIZE_MAX + 1, SIZE_MAX - 3};
    char bytes[8] = "12345678", byte;
    int pair[2];
    net_warm_pair(net, pair);
    for (size_t i = 0; i < suite_count(lengths); i++) {
        const struct iovec iov[] = {{bytes, 4}, {bytes, lengths[i]}};
        const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = 2};
        assert_int_equal(writev(pair[0], iov, 2), -1);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(sendmsg(pair[0], &message, 0), -1);
        assert_int_equal(errno, EINVAL);
        for (size_t way = 0; way < suite_count(readers); way++) {
            assert_int_equal(readers[way](pair[1], iov, 2), -1);
            assert_int_equal(errno, EINVAL);
        }
    }
    assert_int_equal(write(pair[0], "x", 1), 1);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "the array lies where bytes come", .run = lies_where_bytes_come},
    {.name = "the array changes during the call", .run = changes_during_the_call},
    {.name = "lengths that cannot be", .run = lengths_that_cannot_be},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
