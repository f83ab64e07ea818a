/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "addresses.h"
#include "shortage.h"

struct talk {
    int fd;
    const struct order *order;
    struct report report;
    size_t written;
    bool read_over, write_over;
};

/* Whether a call that failed is to be made again: the kernel is short of something for a while. */
static bool wait_out_shortage(void)
{
    const int error = errno;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    errno = error;
    return error == EMFILE || error == ENOMEM;
}

static void take(struct talk *talk, const uint8_t *bytes, size_t len)
{
    const struct order *order = talk->order;
    for (size_t i = 0; i < len && talk->report.wrong < 0; i++) {
        size_t offset = talk->report.received + i;
        if (offset >= order->in || bytes[i] != stream_byte(order->number, !order->client, offset))
            talk->report.wrong = (ssize_t)offset;
    }
    talk->report.received += len;
}

/* False: nothing more now. */
static bool read_some(struct talk *talk)
{
    uint8_t bytes[8192];
    ssize_t got = read(talk->fd, bytes, 1 + (talk->order->chunk * 3) % sizeof bytes);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        talk->report.end = got < 0 ? errno : 0;
        talk->read_over = true;
        return false;
    }
    take(talk, bytes, (size_t)got);
    return true;
}

static bool write_some(struct talk *talk)
{
    uint8_t bytes[20001];
    const struct order *order = talk->order;
    size_t len = order->out - talk->written;
    if (len > order->chunk)
        len = order->chunk;
    for (size_t i = 0; i < len; i++)
        bytes[i] = stream_byte(order->number, order->client, talk->written + i);
    ssize_t put = len ? write(talk->fd, bytes, len) : 0;
    if (put < 0 && errno == EAGAIN)
        return false;
    if (put < 0)
        talk->report.write_error = errno;
    else
        talk->written += (size_t)put;
    talk->write_over = put < 0 || talk->written == order->out;
    if (talk->write_over && put >= 0 && shutdown(talk->fd, SHUT_WR) != 0)
        talk->report.write_error = errno;
    return !talk->write_over;
}

/* The time limit of a blocking socket gives EAGAIN, too. */
static void run_blocking(struct talk *talk)
{
    const struct timeval limit = {.tv_sec = PROGRAM_LIMIT_MS / 1000};
    setsockopt(talk->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (int turn = 0; turn < 2; turn++) {
        if (talk->order->writes_first == (turn == 0))
            while (write_some(talk))
                ;
        else
            while (read_some(talk))
                ;
    }
    if (!talk->read_over)
        talk->report.end = ETIME;
}

static void handle(struct talk *talk, uint32_t events, bool edge)
{
    if (!talk->write_over && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        while (write_some(talk) && edge)
            ;
    if (!talk->read_over && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        while (read_some(talk) && edge)
            ;
}

static void run_epoll(struct talk *talk)
{
    const bool edge = talk->order->mode == MODE_EDGE;
    int epoll;
    while ((epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 && wait_out_shortage())
        ;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | (edge ? (uint32_t)EPOLLET : 0)};
    epoll_ctl(epoll, EPOLL_CTL_ADD, talk->fd, &event);
    while (!talk->read_over || !talk->write_over) {
        int count = epoll_wait(epoll, &event, 1, PROGRAM_LIMIT_MS);
        if (count == 0) {
            talk->report.end = ETIME;
            break;
        }
        handle(talk, event.events, edge);
        event.events =
            (talk->read_over ? 0u : (uint32_t)EPOLLIN) | (talk->write_over ? 0u : (uint32_t)EPOLLOUT);
        if (!edge)
            epoll_ctl(epoll, EPOLL_CTL_MOD, talk->fd, &event);
    }
    close(epoll);
}

static int open_end(const struct order *order, int listener)
{
    struct sockaddr_in address = wire_address(WIRE_SIDE_CLIENT, order->port);
    if (!order->client) {
        struct pollfd polled = {.fd = listener, .events = POLLIN};
        int accepted = -1;
        while (poll(&polled, 1, PROGRAM_LIMIT_MS) == 1 && (accepted = accept(listener, NULL, NULL)) < 0 &&
               wait_out_shortage())
            ;
        return accepted;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static struct report carry_out(const struct order *order, int listener)
{
    struct talk talk = {.order = order, .report = {.number = order->number, .wrong = -1}};
    talk.fd = open_end(order, listener);
    if (talk.fd < 0) {
        talk.report.end = errno ? errno : ETIME;
        return talk.report;
    }
    if (order->mode == MODE_BLOCKING) {
        run_blocking(&talk);
    } else {
        fcntl(talk.fd, F_SETFL, O_NONBLOCK);
        run_epoll(&talk);
    }
    close(talk.fd);
    return talk.report;
}

static int start_listening(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        send(PROGRAM_ORDERS, &address.sin_port, sizeof address.sin_port, 0) < 0)
        exit(2);
    return fd;
}

/* A program whose stack cannot grow ends by a signal, without any library. */
static void grow_stack(void)
{
    char room[1 << 18];
    explicit_bzero(room, sizeof room);
}

int program_main(bool client)
{
    struct order order;
    grow_stack();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit may be set between the library's look at it and its write */
    if (getenv("FAULTS_SHORTAGES") && !shortage_become_user())
        return 2;
    int listener = client ? -1 : start_listening();
    while (recv(PROGRAM_ORDERS, &order, sizeof order, 0) == (ssize_t)sizeof order) {
        struct report report = carry_out(&order, listener);
        if (send(PROGRAM_ORDERS, &report, sizeof report, 0) < 0)
            return 1;
    }
    return 0;
}
