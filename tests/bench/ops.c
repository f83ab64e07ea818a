/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Single operations, many times, for callgrind and strace to count. The functions op_* are what callgrind
 * counts; strace sees a getppid(2) before each operation and behind the last.
 *
 *     ops PORT message SIZE COUNT   send SIZE bytes and receive them, both ends in this thread
 *     ops PORT polled SIZE COUNT    the same, received behind poll
 *     ops PORT send SIZE COUNT      send SIZE bytes in one call to `ops PORT serve`
 *     ops PORT receive SIZE COUNT   receive SIZE bytes from it
 *     ops PORT connect SIZE COUNT   connect to it, send SIZE bytes, receive them, close
 *     ops PORT answered SIZE COUNT  the same, sent when the server has answered the handshake
 *     ops PORT accept SIZE COUNT    the other side of `connect`
 *     ops PORT serve                the peer, until it is killed
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPERATION __attribute__((noinline)) static void

enum { SIZE_MAX_HERE = 1 << 20, SETTLE_US = 3000 };

/* How a connection to `serve` begins. */
struct order {
    uint32_t what; /* 's': take size * count bytes; 'r': give them. One byte is the answer to the order */
    uint32_t size, count;
};

static uint8_t data[SIZE_MAX_HERE];

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void send_all(int fd, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t sent = send(fd, data + done, len - done, 0);
        check(sent > 0, "send");
        done += (size_t)sent;
    }
}

static size_t receive_some(int fd, size_t len)
{
    ssize_t got = recv(fd, data, len, 0);
    check(got >= 0, "recv");
    return (size_t)got;
}

static void receive_all(int fd, size_t len)
{
    for (size_t have = 0; have < len;) {
        size_t got = receive_some(fd, len - have);
        check(got > 0, "end of stream");
        have += got;
    }
}

OPERATION op_send(int fd, size_t size)
{
    send_all(fd, size);
}

/* One call: what stands in the kernel, up to the whole size. */
__attribute__((noinline)) static size_t op_receive(int fd, size_t size)
{
    return receive_some(fd, size);
}

/* As servers with a time-out read. */
OPERATION op_polled(int fd, size_t size)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    for (size_t have = 0; have < size; have += receive_some(fd, size - have))
        check(poll(&one, 1, 1000) == 1, "poll");
}

static void mark(void)
{
    getppid();
}

static struct sockaddr_in address(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Room for a message of 128 KiB that nobody reads yet, as far as the kernel allows it. */
static void widen(int fd, int option)
{
    const int size = 1 << 20;
    check(setsockopt(fd, SOL_SOCKET, option, &size, sizeof size) == 0, "buffer");
}

static int listen_on(uint16_t port)
{
    const int on = 1;
    const struct sockaddr_in local = address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, (const struct sockaddr *)&local, sizeof local) == 0 && listen(fd, 64) == 0,
          "listen");
    return fd;
}

static int connect_to(uint16_t port)
{
    const struct sockaddr_in peer = address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0 && connect(fd, (const struct sockaddr *)&peer, sizeof peer) == 0, "connect");
    return fd;
}

static int ordered(uint16_t port, uint32_t what, size_t size, size_t count)
{
    const struct order order = {.what = what, .size = (uint32_t)size, .count = (uint32_t)count};
    int fd = connect_to(port);
    check(send(fd, &order, sizeof order, 0) == sizeof order, "order");
    receive_all(fd, 1); /* the handshake is over too */
    return fd;
}

static void receive_whole(int fd, size_t size)
{
    for (size_t have = 0; have < size;)
        have += op_receive(fd, size - have);
}

static void exchange(uint16_t port, size_t size, size_t count, void (*receive)(int fd, size_t size))
{
    int listener = listen_on(port);
    widen(listener, SO_RCVBUF);
    int a = connect_to(port), b = accept(listener, NULL, NULL);
    check(b >= 0, "accept");
    widen(a, SO_SNDBUF);
    for (size_t i = 0; i < count; i++) {
        mark();
        op_send(a, size);
        receive(b, size);
    }
    mark();
    close(a);
    close(b);
    close(listener);
}

static void run_message(uint16_t port, size_t size, size_t count)
{
    exchange(port, size, count, receive_whole);
}

static void run_polled(uint16_t port, size_t size, size_t count)
{
    exchange(port, size, count, op_polled);
}

static void run_send(uint16_t port, size_t size, size_t count)
{
    int fd = ordered(port, 's', size, count);
    for (size_t i = 0; i < count; i++) {
        mark();
        op_send(fd, size);
    }
    mark();
    receive_all(fd, 1);
    close(fd);
}

/* Waits before each call until the kernel's queue is as full as it gets: then how much a call finds does not
 * depend on the sender's pace. */
static void run_receive(uint16_t port, size_t size, size_t count)
{
    int fd = ordered(port, 'r', size, count);
    for (size_t i = 0; i < count; i++) {
        mark();
        for (size_t have = 0, got; have < size; have += got) {
            usleep(SETTLE_US);
            got = op_receive(fd, size - have);
            check(got > 0, "end of stream");
        }
    }
    mark();
    close(fd);
}

OPERATION op_connect(uint16_t port, size_t size)
{
    int fd = connect_to(port);
    send_all(fd, size);
    receive_all(fd, size);
    close(fd);
}

OPERATION op_first(int fd, size_t size)
{
    send_all(fd, size);
    receive_all(fd, size);
    close(fd);
}

OPERATION op_accept(int listener, size_t size)
{
    int fd = accept(listener, NULL, NULL);
    check(fd >= 0, "accept");
    receive_all(fd, size);
    send_all(fd, size);
    close(fd);
}

static void run_connect(uint16_t port, size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mark();
        op_connect(port, size);
    }
    mark();
}

/* Lets time pass in no system call, in which the handshake could go on. */
static void spin(long us)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < us);
}

static void run_answered(uint16_t port, size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mark();
        int fd = connect_to(port);
        spin(SETTLE_US);
        op_first(fd, size);
    }
    mark();
}

/* The client has connected and sent what it can before each is accepted, or it would be a matter of luck. */
static void run_accept(uint16_t port, size_t size, size_t count)
{
    int listener = listen_on(port);
    for (size_t i = 0; i < count; i++) {
        usleep(SETTLE_US);
        mark();
        op_accept(listener, size);
    }
    mark();
    close(listener);
}

static void take_all(int fd, size_t left)
{
    for (size_t got; left > 0; left -= got) {
        got = receive_some(fd, left < sizeof data ? left : sizeof data);
        check(got > 0, "end of stream");
    }
}

static void serve_one(int fd, const struct order *order)
{
    send_all(fd, 1);
    if (order->what == 's') {
        take_all(fd, (size_t)order->size * order->count);
        send_all(fd, 1);
    } else if (order->what == 'r') {
        for (uint32_t i = 0; i < order->count; i++)
            send_all(fd, order->size);
    }
}

/* A first message that is no order is given back. */
static _Noreturn void serve(uint16_t port)
{
    int listener = listen_on(port);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        check(fd >= 0, "accept");
        struct order order;
        size_t got = receive_some(fd, sizeof data);
        memcpy(&order, data, sizeof order);
        if (got == sizeof order && order.size <= sizeof data)
            serve_one(fd, &order);
        else
            send_all(fd, got);
        close(fd);
    }
}

struct mode {
    const char *name;
    void (*run)(uint16_t port, size_t size, size_t count);
};

static const struct mode modes[] = {
    {"message", run_message}, {"polled", run_polled},     {"send", run_send},     {"receive", run_receive},
    {"connect", run_connect}, {"answered", run_answered}, {"accept", run_accept}, {NULL, NULL}};

int main(int argc, char *argv[])
{
    const uint16_t port = argc > 2 ? (uint16_t)atoi(argv[1]) : 0;
    if (argc == 3 && strcmp(argv[2], "serve") == 0)
        serve(port);
    for (const struct mode *mode = modes; argc == 5 && mode->name; mode++)
        if (strcmp(argv[2], mode->name) == 0) {
            mode->run(port, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
            return 0;
        }
    fprintf(stderr, "usage: ops PORT message|polled|send|receive|connect|answered|accept SIZE COUNT\n       "
                    "ops PORT serve\n");
    return 2;
}
