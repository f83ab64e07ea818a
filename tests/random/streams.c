/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "streams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SIZE_MAX_OF_CALL = 20000, HANDLERS = CONNECTIONS };

struct state *state;
pthread_rwlock_t streams_connecting = PTHREAD_RWLOCK_INITIALIZER;
static __thread uint64_t sequence;

unsigned draw(unsigned below)
{
    sequence ^= sequence >> 12;
    sequence ^= sequence << 25;
    sequence ^= sequence >> 27;
    return (unsigned)((sequence * 0x2545F4914F6CDD1Du) >> 33) % below;
}

void draw_from(uint64_t seed)
{
    sequence = seed * 0x9e3779b97f4a7c15 + 1;
    for (int i = 0; i < 4; i++)
        draw(2);
}

uint8_t stream_byte(unsigned connection, unsigned end, uint64_t offset)
{
    uint64_t x = (state->seed * 64 + connection * 2 + end) * 0x9e3779b97f4a7c15 + offset * 0xbf58476d1ce4e5b9;
    return (uint8_t)(x >> 56 ^ offset >> 3);
}

void broken(const char *what, long a, long b)
{
    fprintf(stderr, "seed %llu: %s (%ld, %ld; errno %s)\n", (unsigned long long)state->seed, what, a, b,
            strerrorname_np(errno));
    _exit(1);
}

static void check(bool good, const char *what, long a, long b)
{
    if (!good)
        broken(what, a, b);
}

static size_t random_size(void)
{
    static const unsigned most[] = {2, 40, 1500, SIZE_MAX_OF_CALL};
    return 1 + draw(most[draw(4)]);
}

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

void streams_connect(int fds[2], const char *from, const char *to)
{
    struct sockaddr_in own = address_of(from), other = address_of(to);
    socklen_t len = sizeof other;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(listener, (struct sockaddr *)&other, len) == 0 && listen(listener, 4) == 0 &&
              getsockname(listener, (struct sockaddr *)&other, &len) == 0,
          "no listener", listener, 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(fds[0], (struct sockaddr *)&own, sizeof own) == 0, "bind", fds[0], 0);
    while (connect(fds[0], (struct sockaddr *)&other, sizeof other) != 0) {
        if (errno == EISCONN)
            break;
        if (errno == EINTR || errno == EALREADY) {
            struct pollfd polled = {.fd = fds[0], .events = POLLOUT};
            poll(&polled, 1, 1000);
            continue;
        }
        broken("connect", fds[0], 0);
    }
    do
        fds[1] = accept(listener, NULL, NULL);
    while (fds[1] < 0 && errno == EINTR);
    check(fds[1] >= 0, "accept", listener, 0);
    close(listener);
}

static void prepare_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t shared;
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(lock, &shared);
}

void streams_attach(void)
{
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, STATE_FD, 0);
    if (state == MAP_FAILED)
        _exit(2);
}

void streams_create(uint64_t seed, const char *from, const char *to)
{
    int made = memfd_create("state", 0);
    if (made < 0 || ftruncate(made, sizeof *state) != 0 || dup2(made, STATE_FD) != STATE_FD)
        _exit(2);
    close(made);
    streams_attach();
    state->seed = seed;
    for (int i = 0; i < CONNECTIONS; i++) {
        streams_connect(state->fds[i], from, to);
        for (int end = 0; end < 2; end++) {
            prepare_lock(&state->streams[i][end].writing);
            prepare_lock(&state->streams[i][end].reading);
        }
    }
    streams_connect(state->handler_fds, from, to);
}

/* The calls */

static ssize_t write_by(unsigned how, int fd, uint8_t *bytes, size_t len)
{
    struct iovec iov[2] = {{bytes, len / 2}, {bytes + len / 2, len - len / 2}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    switch (how) {
    case 0:
        return write(fd, bytes, len);
    case 1:
        return writev(fd, iov, 2);
    case 2:
        return sendmsg(fd, &message, MSG_NOSIGNAL);
    case 3:
        return send(fd, bytes, len, MSG_DONTWAIT);
    default:
        return send(fd, bytes, len, MSG_MORE);
    }
}

static void write_some(unsigned connection, unsigned end, int fd)
{
    struct stream *stream = &state->streams[connection][end];
    uint8_t bytes[SIZE_MAX_OF_CALL + 1];
    size_t len = random_size();
    pthread_mutex_lock(&stream->writing);
    if (stream->written - stream->received + len <= IN_FLIGHT_MAX) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = stream_byte(connection, end, stream->written + i);
        ssize_t put = write_by(draw(5), fd, bytes, len);
        check(put > 0 || (put < 0 && (errno == EINTR || errno == EAGAIN)), "a write failed", put, (long)len);
        if (put > 0)
            stream->written += (uint64_t)put;
    }
    pthread_mutex_unlock(&stream->writing);
}

static ssize_t read_by(unsigned how, int fd, uint8_t *bytes, size_t len)
{
    struct iovec iov[2] = {{bytes, len / 2}, {bytes + len / 2, len - len / 2}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    switch (how) {
    case 0:
        return read(fd, bytes, len);
    case 1:
        return readv(fd, iov, 2);
    case 2:
        return recvmsg(fd, &message, 0);
    case 3:
        return recv(fd, bytes, len, MSG_DONTWAIT);
    default:
        return recv(fd, bytes, len, MSG_PEEK);
    }
}

static void compare(unsigned connection, unsigned end, uint64_t offset, const uint8_t *bytes, ssize_t len)
{
    for (ssize_t i = 0; i < len; i++)
        check(bytes[i] == stream_byte(connection, end, offset + (uint64_t)i), "wrong bytes were read",
              (long)offset, i);
}

/* What was written and not read is there: so a call may block. `end` is the one that sends. */
static void read_some(unsigned connection, unsigned end, int fd)
{
    struct stream *stream = &state->streams[connection][end];
    uint8_t bytes[SIZE_MAX_OF_CALL + 1];
    unsigned how = draw(5);
    pthread_mutex_lock(&stream->reading);
    const uint64_t before = stream->received;
    if (stream->written > before) {
        ssize_t got = read_by(how, fd, bytes, random_size());
        check(got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)), "a read failed", got, (long)how);
        check(got < 0 || before + (uint64_t)got <= stream->written ||
                  pthread_mutex_trylock(&stream->writing) != 0 ||
                  pthread_mutex_unlock(&stream->writing) != 0 || before + (uint64_t)got <= stream->written,
              "more was read than written", got, 0);
        compare(connection, end, before, bytes, got);
        if (got > 0 && how != 4)
            stream->received = before + (uint64_t)got;
    }
    pthread_mutex_unlock(&stream->reading);
}

static void wait_by_epoll(int fd, int timeout)
{
    struct epoll_event event = {.events = EPOLLIN | (draw(2) ? (uint32_t)EPOLLET : 0)};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    check(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll", epoll, fd);
    int count = epoll_wait(epoll, &event, 1, timeout);
    check(count >= 0 || errno == EINTR, "epoll_wait", count, fd);
    check(count <= 0 || !(event.events & (EPOLLERR | EPOLLHUP)), "an error is reported", (long)event.events,
          fd);
    close(epoll);
}

static void wait_for(int fd)
{
    int timeout = (int)draw(3);
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};
    struct timeval span = {.tv_usec = timeout * 1000};
    fd_set set;
    switch (draw(3)) {
    case 0:
        check(poll(&polled, 1, timeout) >= 0 || errno == EINTR, "poll", fd, 0);
        check(!(polled.revents & (POLLERR | POLLHUP | POLLNVAL)), "an error is reported", polled.revents, fd);
        break;
    case 1:
        FD_ZERO(&set);
        FD_SET(fd, &set);
        check(select(fd + 1, &set, NULL, NULL, &span) >= 0 || errno == EINTR, "select", fd, 0);
        break;
    default:
        wait_by_epoll(fd, timeout);
    }
}

static void look(unsigned connection, unsigned end, int fd)
{
    struct stream *stream = &state->streams[connection][end];
    int value = -1;
    socklen_t len = sizeof value;
    if (draw(2)) {
        check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) == 0 && value == 0, "SO_ERROR", value, fd);
        return;
    }
    /* Counted before: what is written meanwhile counts, too, but what is read may not be counted any more. */
    pthread_mutex_lock(&stream->reading);
    check(ioctl(fd, FIONREAD, &value) == 0 && value >= 0, "FIONREAD", value, fd);
    pthread_mutex_lock(&stream->writing);
    check((uint64_t)value <= stream->written - stream->received, "FIONREAD counts too much", value,
          (long)(stream->written - stream->received));
    pthread_mutex_unlock(&stream->writing);
    pthread_mutex_unlock(&stream->reading);
}

void streams_call(void)
{
    unsigned connection = draw(CONNECTIONS), end = draw(2), what = draw(16);
    int fd = state->fds[connection][end], copy = -1;
    atomic_fetch_add(&state->calls, 1);
    if (draw(12) == 0)
        fd = copy = draw(2) ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 300);
    check(fd >= 0, "dup", fd, 0);
    if (what < 6)
        write_some(connection, end, fd);
    else if (what < 12)
        read_some(connection, !end, fd);
    else if (what < 14)
        wait_for(fd);
    else if (what < 15)
        look(connection, !end, fd);
    else
        fcntl(fd, F_SETFL, draw(2) ? O_NONBLOCK : 0);
    if (copy >= 0)
        close(copy);
}

void streams_in_handler(void)
{
    int saved = errno;
    struct pollfd polled = {.fd = state->fds[state->handled % CONNECTIONS][0], .events = POLLIN};
    uint64_t number = atomic_fetch_add(&state->handled, 1);
    if (number % 3 == 0) {
        poll(&polled, 1, 0);
    } else if (!atomic_exchange(&state->handler_writes, true)) {
        uint8_t byte = stream_byte(HANDLERS, 0, state->handler_written);
        if (send(state->handler_fds[0], &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
            state->handler_written++;
        atomic_store(&state->handler_writes, false);
    }
    errno = saved;
}

/* Writes or reads all, whatever interrupts it. */
static void transfer(int fd, uint8_t *bytes, size_t len, bool writing)
{
    for (size_t done = 0; done < len;) {
        ssize_t part = writing ? write(fd, bytes + done, len - done) : read(fd, bytes + done, len - done);
        if (part < 0 && errno == EINTR)
            continue;
        check(part > 0, writing ? "a visitor's write" : "a visitor's read", part, (long)len);
        done += (size_t)part;
    }
}

static void expect_end(int fd, const char *what)
{
    uint8_t byte;
    ssize_t got;
    do
        got = read(fd, &byte, 1);
    while (got < 0 && errno == EINTR);
    check(got == 0, what, got, fd);
}

void streams_visit(const char *from, const char *to)
{
    int fds[2];
    uint8_t sent[2000], got[2000];
    size_t len = 1 + draw(sizeof sent);
    unsigned first = draw(2);
    atomic_fetch_add(&state->visits, 1);
    pthread_rwlock_rdlock(&streams_connecting);
    streams_connect(fds, from, to);
    pthread_rwlock_unlock(&streams_connecting);
    for (size_t i = 0; i < len; i++)
        sent[i] = (uint8_t)draw(256);
    transfer(fds[first], sent, len, true);
    if (draw(2))
        check(shutdown(fds[first], SHUT_WR) == 0, "a visitor's shutdown", fds[first], 0);
    else if (draw(2))
        close(fds[first]), fds[first] = -1;
    transfer(fds[!first], got, len, false);
    check(memcmp(sent, got, len) == 0, "a visitor got other bytes", (long)len, 0);
    if (fds[first] >= 0)
        close(fds[first]);
    expect_end(fds[!first], "a visitor's end");
    close(fds[!first]);
}

static void finish_direction(unsigned connection, unsigned end, int from, int to, uint64_t written,
                             uint64_t received)
{
    uint8_t bytes[4096];
    fcntl(to, F_SETFL, 0);
    check(shutdown(from, SHUT_WR) == 0, "shutdown", from, 0);
    while (received < written) {
        ssize_t got = read(to, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        check(got > 0, "bytes are lost", got, (long)(written - received));
        compare(connection, end, received, bytes, got);
        received += (uint64_t)got;
    }
    expect_end(to, "the end is missing");
}

void streams_finish(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        for (unsigned end = 0; end < 2; end++)
            finish_direction(i, end, state->fds[i][end], state->fds[i][!end], state->streams[i][end].written,
                             state->streams[i][end].received);
    finish_direction(HANDLERS, 0, state->handler_fds[0], state->handler_fds[1], state->handler_written, 0);
}
