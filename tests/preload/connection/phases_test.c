/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Every call in every phase of a connection, on a blocking and a non-blocking descriptor and beside an
 * edge-triggered epoll: what plain TCP tells and delivers, a sealed connection tells and delivers. The table
 * is in tests/README.md, and tests/tree/phases_test.py compares the two. */

#include "suite.h"

#include "net.h"
#include "single_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const char greeting[] = "hello";
enum { GREETING = sizeof greeting - 1, LIMIT_MS = 40, PATIENCE_MS = 5000 };

/* ---- the calls: each one's result, -errno if it failed ---- */

static long call_read(int fd)
{
    char text[64];
    return single_told(read(fd, text, sizeof text));
}

static long call_peek(int fd)
{
    char text[64];
    return single_told(recv(fd, text, sizeof text, MSG_PEEK));
}

static long call_readv(int fd)
{
    char one[2], two[62];
    struct iovec iov[2] = {{one, sizeof one}, {two, sizeof two}};
    return single_told(readv(fd, iov, 2));
}

static long call_write(int fd)
{
    return single_told(write(fd, greeting, GREETING));
}

static long call_writev(int fd)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)greeting, 2}, {(void *)(uintptr_t)(greeting + 2), 3}};
    return single_told(writev(fd, iov, 2));
}

static long call_sendfile(int fd)
{
    off_t at = 0;
    int file = (int)memfd_create("greeting", 0);
    if (write(file, greeting, GREETING) != GREETING)
        return -EIO;
    long result = single_told(sendfile(fd, file, &at, GREETING));
    close(file);
    return result;
}

static long call_splice_out(int fd)
{
    int ends[2];
    if (pipe(ends) < 0 || write(ends[1], greeting, GREETING) != GREETING)
        return -EIO;
    long result = single_told(splice(ends[0], NULL, fd, NULL, GREETING, 0));
    close(ends[0]), close(ends[1]);
    return result;
}

static long call_splice_in(int fd)
{
    int ends[2];
    if (pipe(ends) < 0)
        return -EIO;
    long result = single_told(splice(fd, NULL, ends[1], NULL, 64, 0));
    close(ends[0]), close(ends[1]);
    return result;
}

static long call_select(int fd)
{
    fd_set in, out;
    struct timeval none = {0};
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    if (select(fd + 1, &in, &out, NULL, &none) < 0)
        return -errno;
    return (FD_ISSET(fd, &in) ? 1 : 0) + (FD_ISSET(fd, &out) ? 2 : 0);
}

static long call_epoll(int fd)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLRDHUP};
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    long got = epoll_wait(epoll, &event, 1, 0);
    close(epoll);
    return got < 1 ? got : (long)event.events;
}

static long call_setsockopt(int fd)
{
    const int bytes = 65536;
    return single_told(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes));
}

static long call_fcntl(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static long call_connect(int fd)
{
    struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = htons(9)};
    nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return single_told(net_connect_to(fd, &nowhere));
}

static long call_listen(int fd)
{
    return single_told(listen(fd, 1));
}

static long call_accept(int fd)
{
    return single_told(accept(fd, NULL, NULL));
}

static long call_nothing(int fd) /* then it is closed */
{
    (void)fd;
    return 0;
}

static const struct call {
    const char *name;
    long (*run)(int fd);
} calls[] = {
    {"read", call_read},
    {"recv MSG_PEEK", call_peek},
    {"readv", call_readv},
    {"splice in", call_splice_in},
    {"write", call_write},
    {"writev", call_writev},
    {"sendfile", call_sendfile},
    {"splice out", call_splice_out},
    {"poll", single_ready},
    {"select", call_select},
    {"epoll_wait", call_epoll},
    {"shutdown SHUT_RD", single_shut_reading},
    {"shutdown SHUT_WR", single_shut_writing},
    {"shutdown SHUT_RDWR", single_shut_both},
    {"FIONREAD", single_count},
    {"SO_ERROR", single_so_error},
    {"getpeername", single_peer_name},
    {"setsockopt", call_setsockopt},
    {"fcntl", call_fcntl},
    {"dup", single_copy_and_close},
    {"connect", call_connect},
    {"listen", call_listen},
    {"accept", call_accept},
    {"close", call_nothing},
};

/* ---- the phases ---- */

/* What is set up: the descriptor under test, its peer or -1, and what is to be closed after that. */
struct stage {
    int fd, peer, other[2];
    bool peer_sends; /* the peer can still send something */
    bool in_child;   /* the call is made by a forked child */
};

static void before_connect(const struct net *net, struct stage *stage)
{
    stage->fd = net_client(net, 0);
}

/* The backlog is full, so TCP stays unconnected. */
static void connecting(const struct net *net, struct stage *stage)
{
    struct sockaddr_in address;
    stage->other[0] = net_listen(net, 0, &address);
    stage->other[1] = net_connect(&net_plain, &address);
    stage->fd = net_client(net, SOCK_NONBLOCK);
    assert_int_equal(net_connect_to(stage->fd, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
}

static void take_pair(struct stage *stage, const int pair[2])
{
    stage->fd = pair[0];
    stage->peer = pair[1];
    stage->peer_sends = true;
}

static void handshake(const struct net *net, struct stage *stage)
{
    int pair[2];
    net_pair(net, pair);
    take_pair(stage, pair);
}

static void accepted(const struct net *net, struct stage *stage)
{
    int pair[2];
    net_pair(net, pair);
    take_pair(stage, (int[2]){pair[1], pair[0]});
}

/* Something is there to be read. */
static void established(const struct net *net, struct stage *stage)
{
    int pair[2];
    net_warm_pair(net, pair);
    take_pair(stage, pair);
    assert_int_equal(write(stage->peer, greeting, GREETING), GREETING);
    assert_int_not_equal(net_wait(stage->fd, POLLIN, PATIENCE_MS), 0);
}

static void half_closed(const struct net *net, struct stage *stage)
{
    established(net, stage);
    assert_int_equal(shutdown(stage->peer, SHUT_WR), 0);
    assert_int_not_equal(net_wait(stage->fd, POLLRDHUP, PATIENCE_MS), 0);
    stage->peer_sends = false;
}

/* The peer has reset it, and nobody has told the program yet. */
static void failed(const struct net *net, struct stage *stage)
{
    const struct linger none = {.l_onoff = 1};
    int pair[2];
    net_warm_pair(net, pair);
    setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(pair[1]);
    stage->fd = pair[0];
    for (int64_t end = net_now_ms() + PATIENCE_MS; net_now_ms() < end;) {
        struct pollfd one = {.fd = stage->fd};
        if (poll(&one, 1, 10) > 0)
            break;
    }
}

static void inherited(const struct net *net, struct stage *stage)
{
    established(net, stage);
    stage->in_child = true;
}

/* The descriptor goes through a Unix socket. */
static void move(struct stage *stage)
{
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &stage->fd, sizeof(int));
    assert_int_equal(sendmsg(ends[0], &message, 0), 1);
    close(stage->fd);
    message.msg_controllen = sizeof control;
    assert_int_equal(recvmsg(ends[1], &message, 0), 1);
    header = CMSG_FIRSTHDR(&message);
    assert_non_null(header);
    memcpy(&stage->fd, CMSG_DATA(header), sizeof(int));
    close(ends[0]), close(ends[1]);
}

static void moved(const struct net *net, struct stage *stage)
{
    established(net, stage);
    move(stage);
}

static void connecting_inherited(const struct net *net, struct stage *stage)
{
    connecting(net, stage);
    stage->in_child = true;
}

static void connecting_moved(const struct net *net, struct stage *stage)
{
    connecting(net, stage);
    move(stage);
}

static const struct phase {
    const char *name;
    void (*reach)(const struct net *net, struct stage *stage);
} phases[] = {
    {"before connect", before_connect},
    {"connecting", connecting},
    {"handshake", handshake},
    {"accepted", accepted},
    {"established", established},
    {"half-closed", half_closed},
    {"failed", failed},
    {"inherited", inherited},
    {"moved", moved},
    {"connecting, inherited", connecting_inherited},
    {"connecting, moved", connecting_moved},
};

/* ---- the modes, and a story ---- */

enum mode { BLOCKING, NONBLOCKING, EDGE };

/* A call that would block for good ends by the program's own time limit. */
static void enter_mode(int fd, enum mode mode)
{
    const struct timeval limit = {.tv_usec = LIMIT_MS * 1000};
    net_set_nonblock(fd, mode != BLOCKING);
    if (mode == BLOCKING) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
}

static int watch_edges(int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, seen;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    while (epoll_wait(epoll, &seen, 1, 0) > 0) {
    }
    return epoll;
}

/* Whether what the peer sends now is reported as an edge, and can be read. */
static long next_edge(int epoll, const struct stage *stage)
{
    struct epoll_event event;
    char text[64];
    if (!stage->peer_sends || send(stage->peer, "again", 5, MSG_NOSIGNAL) != 5)
        return -1;
    for (int64_t end = net_now_ms() + PATIENCE_MS; net_now_ms() < end;) {
        if (epoll_wait(epoll, &event, 1, 100) != 1 || !(event.events & EPOLLIN))
            continue;
        ssize_t n = recv(stage->fd, text, sizeof text, MSG_DONTWAIT);
        if (n >= 0 || errno != EAGAIN)
            return single_told(n);
    }
    return -ETIME;
}

static long make_call(const struct call *call, const struct stage *stage)
{
    long result = -EIO;
    int ends[2];
    if (!stage->in_child)
        return call->run(stage->fd);
    assert_int_equal(pipe(ends), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        result = call->run(stage->fd);
        _exit(write(ends[1], &result, sizeof result) != sizeof result);
    }
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        result = -EIO;
    close(ends[0]);
    suite_wait(child);
    return result;
}

static void play(const struct net *net, const struct phase *phase, enum mode mode, const struct call *call,
                 char *story, size_t size)
{
    struct stage stage = {.fd = -1, .peer = -1, .other = {-1, -1}};
    long edge = 0, heard = 0;
    phase->reach(net, &stage);
    enter_mode(stage.fd, mode);
    const int epoll = mode == EDGE ? watch_edges(stage.fd) : -1;
    const long result = make_call(call, &stage);
    if (mode == EDGE)
        edge = next_edge(epoll, &stage);
    const long error = single_so_error(stage.fd);
    if (epoll >= 0)
        close(epoll);
    close(stage.fd);
    if (stage.peer >= 0)
        heard = single_hear_to_end(stage.peer);
    snprintf(story, size, "%s = %ld, edge %ld, SO_ERROR %ld, closed; the peer heard %ld", call->name, result,
             edge, error, heard);
    if (stage.peer >= 0)
        close(stage.peer);
    for (int i = 0; i < 2; i++)
        if (stage.other[i] >= 0)
            close(stage.other[i]);
}

static void every_call(const struct phase *phase, enum mode mode)
{
    char plain[256], sealed[256];
    int different = 0;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < suite_count(calls); i++) {
        play(&net_plain, phase, mode, &calls[i], plain, sizeof plain);
        play(&net_sealed, phase, mode, &calls[i], sealed, sizeof sealed);
        if (strcmp(plain, sealed) != 0)
            print_error("%s, %d:\n  plain  %s\n  sealed %s\n", phase->name, (int)mode, plain, sealed);
        different += strcmp(plain, sealed) != 0;
    }
    assert_int_equal(different, 0);
}

#define IN_PHASE(name, index)                                                                                \
    static void name##_blocking(void)                                                                        \
    {                                                                                                        \
        every_call(&phases[index], BLOCKING);                                                                \
    }                                                                                                        \
    static void name##_nonblocking(void)                                                                     \
    {                                                                                                        \
        every_call(&phases[index], NONBLOCKING);                                                             \
    }                                                                                                        \
    static void name##_edge(void)                                                                            \
    {                                                                                                        \
        every_call(&phases[index], EDGE);                                                                    \
    }

IN_PHASE(in_before_connect, 0)
IN_PHASE(in_connecting, 1)
IN_PHASE(in_handshake, 2)
IN_PHASE(in_accepted, 3)
IN_PHASE(in_established, 4)
IN_PHASE(in_half_closed, 5)
IN_PHASE(in_failed, 6)
IN_PHASE(in_inherited, 7)
IN_PHASE(in_moved, 8)
IN_PHASE(in_connecting_inherited, 9)
IN_PHASE(in_connecting_moved, 10)

#define TESTS_OF(name, text)                                                                                 \
    {text ", blocking", name##_blocking, 0}, {text ", non-blocking", name##_nonblocking, 0},                 \
    {                                                                                                        \
        text ", edge-triggered", name##_edge, 0                                                              \
    }

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        TESTS_OF(in_before_connect, "before connect"),
        TESTS_OF(in_connecting, "connecting"),
        TESTS_OF(in_handshake, "handshake"),
        TESTS_OF(in_accepted, "accepted"),
        TESTS_OF(in_established, "established"),
        TESTS_OF(in_half_closed, "half-closed"),
        TESTS_OF(in_failed, "failed"),
        TESTS_OF(in_inherited, "inherited"),
        TESTS_OF(in_moved, "moved"),
        TESTS_OF(in_connecting_inherited, "connecting, inherited"),
        TESTS_OF(in_connecting_moved, "connecting, moved"),
    };
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
