/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Connections that move between programs which share no memory (SCM_RIGHTS): to and fro, and thousands of
 * them. */

#include "suite.h"

#include "leaks.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MANY = 1500, WARM = 200, GROWTH = 64 * 1024, TOTAL = 2 << 20, PART_MAX = 40000 };

static bool send_fd(int local, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {
        .head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
    struct iovec iov = {(char[]){'p'}, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    return sendmsg(local, &message, 0) == 1;
}

/* -1: no message, or none with a descriptor. */
static int receive_fd(int local, int flags)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    int fd = -1;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(local, &message, flags) != 1)
        return -1;
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    if (part && part->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(part), sizeof fd);
    return fd;
}

static bool takes(int fd, const char *text)
{
    char got[32] = "";
    return net_read_all(fd, got, strlen(text)) == strlen(text) && strcmp(got, text) == 0;
}

static bool gives(int fd, const char *text)
{
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A program of its own, with a connection of its own: so its memory is its own, too. What it does is `role`;
 * *local is the socket to it. */
static pid_t start(const struct net *net, const char *role, int *local)
{
    int ends[2];
    char number[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    snprintf(number, sizeof number, "%d", ends[1]);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    pid_t child = suite_spawn(role, (const char *[]){number, net->name, NULL}, NULL, -1, -1);
    close(ends[1]);
    *local = ends[0];
    return child;
}

/* The beginning of such a role: its end of the socket. */
static int begin(char **argv)
{
    static int own[2];
    net_warm_pair(strcmp(argv[2], "sealed") == 0 ? &net_sealed : &net_plain, own);
    return atoi(argv[1]);
}

/* Takes all that comes, one after the other, when told to ("g"), and closes it. */
static int swallow_role(int argc, char **argv)
{
    int local = begin(argv), fd, waiting = 0;
    (void)argc;
    for (;;) {
        while (ioctl(local, FIONREAD, &waiting) == 0 && waiting < 2 &&
               !(net_wait(local, POLLIN, -1) & POLLHUP))
            sched_yield();
        if ((fd = receive_fd(local, 0)) < 0)
            return 0;
        close(fd);
        if (!takes(local, "g") || !gives(local, "."))
            return 1;
    }
}

/* One connection that is passed, and closed here, before it is taken or behind that. */
static void pass_one(const struct net *net, int local, bool before)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_true(send_fd(local, pair[0]));
    if (before)
        close(pair[0]);
    assert_true(gives(local, "g"));
    assert_true(takes(local, "."));
    if (!before)
        close(pair[0]);
    net_expect_end(pair[1]);
}

static void thousands(const struct net *net)
{
    int local;
    pid_t child = start(net, "swallow", &local);
    for (int i = 0; i < WARM; i++)
        pass_one(net, local, i % 2);
    long before = leaks_shared_memory();
    for (int i = 0; i < MANY; i++)
        pass_one(net, local, i % 2);
    assert_in_range(leaks_shared_memory(), 0, before + GROWTH);
    close(local);
    assert_int_equal(suite_wait(child), 0);
}

/* Says something on what comes, and gives it back. */
static int return_role(int argc, char **argv)
{
    int local = begin(argv), fd;
    (void)argc;
    while ((fd = receive_fd(local, 0)) >= 0) {
        if (!takes(fd, "to there") || !gives(fd, "from there") || !send_fd(local, fd))
            return 1;
        close(fd);
    }
    return 0;
}

/* `fd` goes there and comes back: what it is now. */
static int there_and_back(int local, int fd, bool keep, int peer)
{
    assert_true(send_fd(local, fd));
    if (!keep)
        close(fd);
    assert_true(gives(peer, "to there"));
    assert_true(takes(peer, "from there"));
    int back = receive_fd(local, MSG_CMSG_CLOEXEC);
    assert_true(back >= 0);
    assert_true(gives(back, "and back"));
    assert_true(takes(peer, "and back"));
    return back;
}

static void to_and_fro(const struct net *net)
{
    int local, pair[2];
    pid_t child = start(net, "return", &local);
    net_warm_pair(net, pair);
    for (int i = 0; i < 10; i++)
        pair[0] = there_and_back(local, pair[0], false, pair[1]);
    close(pair[0]), close(local);
    net_expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

/* The sender has kept a descriptor: it is one for the connection again when that has come back. */
static void back_to_one_who_has_kept_his(const struct net *net)
{
    int local, pair[2];
    pid_t child = start(net, "return", &local);
    net_warm_pair(net, pair);
    for (int i = 0; i < 10; i++) {
        int back = there_and_back(local, pair[0], true, pair[1]);
        assert_true(gives(pair[0], "kept"));
        assert_true(takes(pair[1], "kept"));
        assert_true(gives(pair[1], "both"));
        assert_true(takes(i % 2 ? back : pair[0], "both"));
        close(i % 3 ? back : pair[0]);
        pair[0] = i % 3 ? pair[0] : back;
    }
    close(pair[0]), close(local);
    net_expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

/* ---- large transfers ---- */

/* How far the one who has the connection is, in either direction. */
struct place {
    uint64_t sent, got;
    unsigned seed;
};

static bool write_some(int fd, struct place *place)
{
    static uint8_t data[PART_MAX];
    size_t len = 1 + (size_t)rand_r(&place->seed) % PART_MAX;
    if (len > TOTAL - place->sent)
        len = TOTAL - place->sent;
    net_pattern(data, len, place->sent);
    ssize_t done = len ? write(fd, data, len) : 0;
    place->sent += done > 0 ? (uint64_t)done : 0;
    return done >= 0 || errno == EAGAIN;
}

static bool read_some(int fd, struct place *place)
{
    static uint8_t data[PART_MAX];
    size_t len = 1 + (size_t)rand_r(&place->seed) % PART_MAX;
    const int flags = rand_r(&place->seed) % 4 ? 0 : MSG_PEEK;
    ssize_t done = place->got < TOTAL ? recv(fd, data, len, flags) : 0;
    if (done > 0 && !net_is_pattern(data, (size_t)done, place->got))
        return false;
    place->got += done > 0 && !flags ? (uint64_t)done : 0;
    return done > 0 || place->got == TOTAL || (done < 0 && errno == EAGAIN);
}

static bool is_over(const struct place *place)
{
    return place->sent == TOTAL && place->got == TOTAL;
}

/* Whether all is well. */
static bool work(int fd, struct place *place)
{
    for (int i = rand_r(&place->seed) % 4; i >= 0 && !is_over(place); i--) {
        short events = (short)((place->got < TOTAL ? POLLIN : 0) | (place->sent < TOTAL ? POLLOUT : 0));
        if (!net_wait(fd, events, 5000) || !write_some(fd, place) || !read_some(fd, place))
            return false;
    }
    return true;
}

/* Works with what comes and passes it back, until one of the two finds all done. 0 if all is well. */
static int take_turns(int local)
{
    for (struct place place;;) {
        int fd = receive_fd(local, MSG_CMSG_CLOEXEC);
        if (fd < 0)
            return 0;
        if (net_read_all(local, &place, sizeof place) != sizeof place)
            return 1;
        if (is_over(&place))
            return close(fd);
        if (!work(fd, &place))
            return 2;
        if (!send_fd(local, fd) || net_write_all(local, &place, sizeof place) != sizeof place)
            return 3;
        close(fd);
    }
}

static int turns_role(int argc, char **argv)
{
    (void)argc;
    signal(SIGPIPE, SIG_IGN);
    return take_turns(begin(argv));
}

static void *write_pattern(void *context)
{
    static uint8_t data[TOTAL];
    net_pattern(data, TOTAL, 0);
    return net_write_all(*(int *)context, data, TOTAL) == TOTAL ? context : NULL;
}

/* Has the other end all the time. */
static int be_peer(int fd)
{
    static uint8_t data[TOTAL];
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, write_pattern, &fd) != 0)
        return 1;
    if (net_read_all(fd, data, TOTAL) != TOTAL || !net_is_pattern(data, TOTAL, 0))
        return 2;
    if (pthread_join(thread, &result) != 0 || !result)
        return 3;
    return read(fd, data, 1) == 0 ? 0 : 4;
}

static void amid_large_transfers(const struct net *net)
{
    int local, pair[2];
    const int small = 32768;
    struct place place = {.seed = 7};
    pid_t child = start(net, "turns", &local);
    net_warm_pair(net, pair);
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    pid_t peer = suite_fork();
    if (peer == 0) {
        close(pair[0]);
        _exit(be_peer(pair[1]));
    }
    close(pair[1]);
    net_set_nonblock(pair[0], true);
    assert_true(send_fd(local, pair[0]) && net_write_all(local, &place, sizeof place) == sizeof place);
    close(pair[0]);
    assert_int_equal(take_turns(local), 0);
    close(local);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(suite_wait(peer), 0);
}

static const struct suite_case cases[] = {
    {.name = "amid large transfers", .run = amid_large_transfers},
    {.name = "thousands", .run = thousands},
    {.name = "to and fro", .run = to_and_fro},
    {.name = "back to one who has kept his", .run = back_to_one_who_has_kept_his},
};

/* Uses what comes, in a PID namespace of its own. */
static int deeper_role(int argc, char **argv)
{
    (void)argc;
    if (unshare(CLONE_NEWPID) < 0)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        int fd = receive_fd(begin(argv), 0);
        _exit(fd < 0 || send(fd, "x", 1, MSG_NOSIGNAL) != 1);
    }
    return suite_wait(child);
}

struct reader {
    int fd;
    _Atomic pid_t thread;
};

static void *read_text(void *context)
{
    struct reader *reader = context;
    reader->thread = gettid();
    return takes(reader->fd, "for the reader") ? reader : NULL;
}

static bool is_blocked(const struct reader *reader)
{
    char path[64], text[16] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", reader->thread);
    int fd = reader->thread ? open(path, O_RDONLY) : -1;
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return false;
    close(fd);
    return text[0] != 'r' && atoi(text) == SYS_recvfrom;
}

/* Where the sender's thread ids mean nothing, its thread that reads is not taken for a dead one. */
static void while_it_is_read_from_another_namespace(void)
{
    int local, pair[2];
    pthread_t thread;
    void *result;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    pid_t child = start(&net_sealed, "deeper", &local);
    net_warm_pair(&net_sealed, pair);
    struct reader reader = {.fd = pair[0]};
    assert_int_equal(pthread_create(&thread, NULL, read_text, &reader), 0);
    while (!is_blocked(&reader))
        sched_yield();
    assert_true(send_fd(local, pair[0]));
    net_expect_text(pair[1], "x");
    assert_int_equal(suite_wait(child), 0);
    assert_true(gives(pair[1], "for the reader"));
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &reader);
    close(pair[0]), close(local);
    net_expect_end(pair[1]);
}

static const struct suite_test tests[] = {
    {.name = "while it is read, from another namespace", .run = while_it_is_read_from_another_namespace},
};

static const struct suite_role test_roles[] = {
    {"swallow", swallow_role},
    {"return", return_role},
    {"turns", turns_role},
    {"deeper", deeper_role},
};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
