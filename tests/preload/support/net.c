/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "net.h"
#include "sockseal.h"
#include "sys/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const struct net net_plain = {"plain", "127.78.0.1", "127.78.0.2", false};
const struct net net_sealed = {"sealed", "127.77.0.1", "127.77.0.2", true};

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

int net_listen(const struct net *net, int backlog, struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    *address = address_of(net->server);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

int net_client(const struct net *net, int flags)
{
    struct sockaddr_in address = address_of(net->client);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

int net_connect_to(int fd, const struct sockaddr_in *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof *address);
}

int net_connect(const struct net *net, const struct sockaddr_in *address)
{
    int fd = net_client(net, 0);
    assert_int_equal(net_connect_to(fd, address), 0);
    return fd;
}

int net_connect_unanswered(const struct net *net, int *listener)
{
    struct sockaddr_in address;
    *listener = net_listen(net, 4, &address);
    int fd = net_connect(net, &address);
    assert_int_equal(write(fd, "queued", 6), 6);
    return fd;
}

void net_pair(const struct net *net, int pair[2])
{
    struct sockaddr_in address;
    int listener = net_listen(net, 8, &address);
    pair[0] = net_connect(net, &address);
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair[1] >= 0);
    assert_int_equal(close(listener), 0);
}

void net_warm_pair(const struct net *net, int pair[2])
{
    char byte = 'w';
    net_pair(net, pair);
    for (int side = 0; side < 2; side++) {
        assert_int_equal(write(pair[side], &byte, 1), 1);
        assert_int_equal(read(pair[1 - side], &byte, 1), 1);
    }
}

size_t net_write_all(int fd, const void *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

size_t net_read_all(int fd, void *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = read(fd, (char *)data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

void net_expect_text(int fd, const char *text)
{
    char got[256] = "";
    assert_true(strlen(text) < sizeof got);
    assert_int_equal(net_read_all(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

void net_expect_end(int fd)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 0);
    assert_int_equal(close(fd), 0);
}

static uint8_t pattern_byte(uint64_t place)
{
    return (uint8_t)((place * 0x9E3779B97F4A7C15u) >> 56);
}

void net_pattern(uint8_t *out, size_t len, uint64_t offset)
{
    for (size_t i = 0; i < len; i++)
        out[i] = pattern_byte(offset + i);
}

bool net_is_pattern(const uint8_t *data, size_t len, uint64_t offset)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern_byte(offset + i))
            return false;
    return true;
}

void net_set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    assert_true(flags >= 0);
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

int64_t net_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void net_sleep_ms(unsigned ms)
{
    struct timespec span = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&span, &span) < 0 && errno == EINTR)
        ;
}

bool net_arrived(int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    struct timespec limit = {.tv_sec = 10};
    return sys_call(SYS_ppoll, sys_ptr(&entry), 1, sys_ptr(&limit), 0, 0, 0) == 1;
}

short net_wait(int fd, short events, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int n = poll(&entry, 1, timeout_ms);
    return n > 0 ? entry.revents : 0;
}

void net_expect_sealed(const struct net *net, int fd)
{
    struct sockseal_info info = {.sealed = 0};
    socklen_t len = sizeof info;
    if (!net->sealed || !suite_has_library())
        return;
    assert_int_equal(getsockopt(fd, SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(info.sealed, 1);
}
