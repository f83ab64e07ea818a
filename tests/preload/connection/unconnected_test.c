/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* One socket, several names: numbers of this process and of others, made before it is connected under one of
 * them. It is sealed under all. And threads that send while another one connects. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int __clone(int (*function)(void *argument), void *stack, int flags, void *argument, ...) __THROW;

/* ---- copies in this process ---- */

static int copy_by_dup(int fd)
{
    return dup(fd);
}

static int copy_by_fcntl(int fd)
{
    return fcntl(fd, F_DUPFD, 40);
}

static int copy_by_fcntl_cloexec(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 40);
}

static int copy_by_dup2(int fd)
{
    return dup2(fd, 60);
}

static int copy_by_dup3(int fd)
{
    return dup3(fd, 61, O_CLOEXEC);
}

static int copy_by_syscall(int fd)
{
    return (int)syscall(SYS_dup, fd);
}

static void pass(int through, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control = {
        .head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
    struct iovec iov = {(char[]){"x"}, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    assert_int_equal(sendmsg(through, &message, 0), 1);
}

static int take(int from)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    int fd;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(from, &message, 0) != 1 || message.msg_controllen < CMSG_LEN(sizeof fd))
        return -1;
    memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    return fd;
}

static int copy_by_passing(int fd)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pass(ends[0], fd);
    int copy = take(ends[1]);
    close(ends[0]);
    close(ends[1]);
    return copy;
}

static void expect_words(int fd, const char *words)
{
    char got[64] = "";
    assert_int_equal(net_read_all(fd, got, strlen(words)), strlen(words));
    assert_string_equal(got, words);
}

/* Both names write and read, and the end comes with the last of them. */
static void use_both(int one, int other, int peer)
{
    char got[8] = "";
    assert_int_equal(write(other, "first ", 6), 6);
    assert_int_equal(write(one, "second ", 7), 7);
    expect_words(peer, "first second ");
    assert_int_equal(write(peer, "answer", 6), 6);
    assert_int_equal(net_read_all(other, got, 3), 3);
    assert_int_equal(net_read_all(one, got + 3, 3), 3);
    assert_string_equal(got, "answer");
    close(one);
    assert_int_equal(net_wait(peer, POLLIN, 20), 0);
    assert_int_equal(write(other, "third", 5), 5);
    close(other);
    expect_words(peer, "third");
    net_expect_end(peer);
}

static int (*const copies[])(int fd) = {copy_by_dup,  copy_by_fcntl,   copy_by_fcntl_cloexec, copy_by_dup2,
                                        copy_by_dup3, copy_by_syscall, copy_by_passing};

static void copied_before_connect(const struct net *net)
{
    for (size_t i = 0; i < suite_count(copies); i++) {
        struct sockaddr_in address;
        int listener = net_listen(net, 1, &address), one = net_client(net, 0), other = copies[i](one);
        assert_true(other >= 0);
        assert_int_equal(net_connect_to(one, &address), 0);
        int peer = accept(listener, NULL, NULL);
        use_both(one, other, peer);
        close(listener);
    }
}

/* The copy was never used when the name that was connected is closed. */
static void the_connected_name_is_closed(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 1, &address), one = net_client(net, 0), other = dup(one);
    assert_int_equal(net_connect_to(one, &address), 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(one, "first ", 6), 6);
    expect_words(peer, "first ");
    close(one);
    assert_int_equal(net_wait(peer, POLLIN, 20), 0);
    assert_int_equal(write(other, "second", 6), 6);
    close(other);
    expect_words(peer, "second");
    net_expect_end(peer);
    close(listener);
}

/* ---- copies in other processes ---- */

/* A child has the socket before it is connected; the child connects, or its parent does, and both write. */
static void forked(const struct net *net, bool child_connects)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 1, &address), fd = net_client(net, 0), gate[2], back[2];
    char byte = 0;
    assert_int_equal(pipe(gate) | pipe(back), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        bool good = !child_connects || net_connect_to(fd, &address) == 0;
        good &= write(back[1], "c", 1) == 1 && read(gate[0], &byte, 1) == 1;
        good &= write(fd, "child ", 6) == 6;
        good &= write(back[1], "w", 1) == 1 && read(gate[0], &byte, 1) == 1;
        _exit(!good);
    }
    assert_int_equal(read(back[0], &byte, 1), 1);
    if (!child_connects)
        assert_int_equal(net_connect_to(fd, &address), 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(gate[1], "g", 1), 1);
    assert_int_equal(read(back[0], &byte, 1), 1);
    assert_int_equal(write(fd, "parent ", 7), 7);
    expect_words(peer, "child parent ");
    assert_int_equal(write(gate[1], "g", 1), 1);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(write(fd, "last", 4), 4);
    close(fd);
    expect_words(peer, "last");
    net_expect_end(peer);
    close(listener);
    for (int i = 0; i < 2; i++)
        close(gate[i]), close(back[i]);
}

static void forked_and_the_parent_connects(const struct net *net)
{
    forked(net, false);
}

static void forked_and_the_child_connects(const struct net *net)
{
    forked(net, true);
}

static void passed_to_a_child(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 1, &address), ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        int got = take(ends[1]);
        bool good = got >= 0 && read(ends[1], &byte, 1) == 1 && write(got, "child ", 6) == 6;
        _exit(!good);
    }
    int fd = net_client(net, 0);
    pass(ends[0], fd);
    assert_int_equal(net_connect_to(fd, &address), 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(ends[0], "g", 1), 1);
    assert_int_equal(suite_wait(child), 0);
    expect_words(peer, "child ");
    assert_int_equal(write(fd, "parent", 6), 6);
    close(fd);
    expect_words(peer, "parent");
    net_expect_end(peer);
    close(listener), close(ends[0]), close(ends[1]);
}

/* A program that shares nothing with its parent but the socket: it does not speak in the clear. */
static int writer_role(int argc, char **argv)
{
    char byte;
    (void)argc;
    if (write(atoi(argv[2]), "r", 1) != 1 || read(atoi(argv[2]), &byte, 1) != 1)
        return 2;
    return write(atoi(argv[1]), "MARKER", 6) == 6 ? 0 : errno == EBADF ? 3 : 4;
}

static void spawned_before_connect(const struct net *net)
{
    struct sockaddr_in address;
    char number[16], gate_number[16], byte;
    int listener = net_listen(net, 1, &address), fd = net_client(net, 0), gate[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, gate) | fcntl(fd, F_SETFD, 0), 0);
    snprintf(number, sizeof number, "%d", fd);
    snprintf(gate_number, sizeof gate_number, "%d", gate[0]);
    pid_t child =
        suite_spawn("writer", (const char *[]){number, gate_number, NULL}, (const char *[]){NULL}, -1, -1);
    assert_int_equal(read(gate[1], &byte, 1), 1); /* it has the socket, without a connection */
    assert_int_equal(net_connect_to(fd, &address), 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(fd, "parent", 6), 6);
    expect_words(peer, "parent");
    assert_int_equal(write(gate[1], "g", 1), 1);
    assert_int_equal(suite_wait(child), net->sealed && suite_has_library() ? 3 : 0);
    close(fd);
    if (!net->sealed || !suite_has_library())
        expect_words(peer, "MARKER");
    net_expect_end(peer);
    close(listener), close(gate[0]), close(gate[1]);
}

/* ---- children that share memory, or descriptors, and not both ---- */

static const char *volatile child_text;
static volatile int child_fd;

/* A vfork(2) child writes on copies that it has made; its parent has other files at their numbers. */
static void copied_by_a_vfork_child(const struct net *net)
{
    int pair[2], file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    net_warm_pair(net, pair);
    child_fd = pair[0];
    child_text = "words ";
    for (int way = 0; way < 3; way++) {
        pid_t child = vfork();
        if (child == 0) {
            int copy = way == 0   ? dup2(child_fd, file)
                       : way == 1 ? dup(child_fd)
                                  : fcntl(child_fd, F_DUPFD, 70);
            _exit(write(copy, child_text, 6) != 6);
        }
        assert_int_equal(suite_wait(child), 0);
        expect_words(pair[1], "words ");
    }
    assert_int_equal(write(file, "lost", 4), 4);
    assert_int_equal(write(pair[0], "last", 4), 4);
    close(pair[0]), close(file);
    expect_words(pair[1], "last");
    net_expect_end(pair[1]);
}

/* It has a new connection at a number that its parent has another one at. */
static void a_vfork_child_with_a_number_of_its_own(const struct net *net)
{
    struct sockaddr_in address;
    int pair[2], listener = net_listen(net, 1, &address);
    net_warm_pair(net, pair);
    pid_t child = vfork();
    if (child == 0) {
        int fd = dup2(net_client(net, 0), pair[0]);
        _exit(net_connect_to(fd, &address) < 0 && errno == EACCES);
    }
    assert_int_equal(suite_wait(child), net->sealed && suite_has_library());
    close(listener);
    assert_int_equal(write(pair[0], "last", 4), 4);
    close(pair[0]);
    expect_words(pair[1], "last");
    net_expect_end(pair[1]);
}

static int do_nothing(void *argument)
{
    (void)argument;
    return 0;
}

static void *own_descriptors(void *argument)
{
    bool *refused = argument;
    *refused = unshare(CLONE_FILES) < 0 && errno == EINVAL;
    *refused &= syscall(SYS_unshare, CLONE_FILES) < 0 && errno == EINVAL;
    *refused &= close_range(~0u, ~0u, CLOSE_RANGE_UNSHARE) < 0 && errno == EINVAL;
    return NULL;
}

static void expect_refused(long result)
{
    assert_int_equal(result, -1);
    assert_int_equal(errno, EINVAL);
}

/* What one of them connects, the other would take for a plain descriptor. */
static void a_table_without_its_memory(void)
{
    static char stack[1 << 16];
    unsigned long arguments[8] = {CLONE_FILES, 0, 0, 0, SIGCHLD}; /* struct clone_args */
    pthread_t thread;
    bool refused = false;
    if (!suite_has_library())
        skip();
    expect_refused(clone(do_nothing, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL));
    expect_refused(__clone(do_nothing, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL));
    expect_refused(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
    expect_refused(syscall(SYS_clone3, arguments, sizeof arguments));
    assert_int_equal(pthread_create(&thread, NULL, own_descriptors, &refused), 0);
    pthread_join(thread, NULL);
    assert_true(refused);
    assert_int_equal(unshare(CLONE_FILES), 0); /* there is one thread */
    assert_int_equal(
        suite_wait(clone(do_nothing, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, NULL)), 0);
}

/* ---- a call that waits for the connection ---- */

/* A connection that is not made until another one is accepted, for the backlog is full: it is being made when
 * the child's write begins. */
static void a_write_that_waits(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 0, &address), first = net_connect(net, &address), fd = net_client(net, 0);
    pid_t child = suite_fork();
    if (child == 0) {
        struct pollfd never = {.fd = fd};
        poll(&never, 1, 0);
        while (net_wait(fd, POLLHUP, 0) & POLLHUP) /* until connect(2) was called */
            net_sleep_ms(1);
        _exit(write(fd, "child ", 6) != 6);
    }
    net_set_nonblock(fd, true);
    assert_int_equal(net_connect_to(fd, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    net_set_nonblock(fd, false);
    suite_until_blocked(child);
    close(accept(listener, NULL, NULL));
    int peer = accept(listener, NULL, NULL);
    expect_words(peer, "child ");
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(write(fd, "parent", 6), 6);
    close(fd);
    expect_words(peer, "parent");
    net_expect_end(peer);
    close(first), close(listener);
}

static _Atomic bool over;

static void *keep_sending(void *argument)
{
    const int fd = *(int *)argument;
    while (!over && send(fd, "words ", 6, MSG_NOSIGNAL) != 6) {
    }
    return NULL;
}

static void a_send_under_way(const struct net *net)
{
    enum { ROUNDS = 150 };
    for (int i = 0; i < ROUNDS; i++) {
        struct sockaddr_in address;
        pthread_t thread;
        int listener = net_listen(net, 1, &address), fd = net_client(net, 0);
        over = false;
        assert_int_equal(pthread_create(&thread, NULL, keep_sending, &fd), 0);
        assert_int_equal(net_connect_to(fd, &address), 0);
        int peer = accept(listener, NULL, NULL);
        expect_words(peer, "words ");
        over = true;
        pthread_join(thread, NULL);
        close(fd), close(peer), close(listener);
    }
}

/* ---- calls on a socket that is not connected ---- */

static volatile sig_atomic_t signals;

static void count_signal(int signal)
{
    (void)signal;
    signals++;
}

static void expect_error(long result, int error, int raised)
{
    assert_int_equal(result, -1);
    assert_int_equal(errno, error);
    assert_int_equal(signals, raised);
    signals = 0;
}

static void errors(const struct net *net)
{
    char byte;
    int fd = net_client(net, 0), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ends[2];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct mmsghdr several = {.msg_hdr = message};
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "words", 5), 5);
    signal(SIGPIPE, count_signal);
    expect_error(write(fd, "x", 1), EPIPE, 1);
    expect_error(writev(fd, &iov, 1), EPIPE, 1);
    expect_error(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE, 0);
    expect_error(sendto(fd, "x", 1, 0, NULL, 0), EPIPE, 1);
    expect_error(sendmsg(fd, &message, MSG_DONTWAIT), EPIPE, 1);
    expect_error(sendmmsg(fd, &several, 1, 0), EPIPE, 1);
    expect_error(syscall(SYS_write, fd, "x", 1), EPIPE, 1);
    expect_error(splice(ends[0], NULL, fd, NULL, 5, 0), EPIPE, 1);
    expect_error(sendfile(fd, file, NULL, 5), EPIPE, 1);
    expect_error(dprintf(fd, "x"), EPIPE, 1);
    expect_error(read(fd, &byte, 1), ENOTCONN, 0);
    assert_int_equal(read(fd, &byte, 0), 0);
    expect_error(readv(fd, &iov, 1), ENOTCONN, 0);
    expect_error(recv(fd, &byte, 1, MSG_DONTWAIT), ENOTCONN, 0);
    expect_error(recvmsg(fd, &message, 0), ENOTCONN, 0);
    expect_error(recvmmsg(fd, &several, 1, 0, NULL), ENOTCONN, 0);
    signal(SIGPIPE, SIG_DFL);
    close(fd), close(file), close(ends[0]), close(ends[1]);
}

/* The number is another file's, and no door has seen that the socket was closed. */
static void a_number_used_again(const struct net *net)
{
    int fd = net_client(net, 0), ends[2];
    char got[8] = "";
    sys_close(fd);
    assert_int_equal(sys_call(SYS_pipe2, sys_ptr(ends), 0, 0, 0, 0, 0), 0);
    assert_true(ends[0] == fd || ends[1] == fd);
    assert_int_equal(write(ends[1], "words", 5), 5);
    assert_int_equal(read(ends[0], got, sizeof got), 5);
    close(ends[0]), close(ends[1]);
    fd = net_client(net, 0);
    sys_close(fd);
    int datagrams = (int)sys_call3(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(datagrams, fd);
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t len = sizeof own;
    assert_int_equal(bind(fd, (struct sockaddr *)&own, len) | getsockname(fd, (struct sockaddr *)&own, &len),
                     0);
    assert_int_equal(connect(fd, (struct sockaddr *)&own, len), 0);
    assert_int_equal(write(fd, "words", 5), 5);
    assert_int_equal(recv(fd, got, sizeof got, 0), 5); /* the first to come is not an empty one */
    close(fd);
}

static const struct suite_case cases[] = {
    {.name = "copied before connect", .run = copied_before_connect},
    {.name = "the connected name is closed", .run = the_connected_name_is_closed},
    {.name = "forked, and the parent connects", .run = forked_and_the_parent_connects},
    {.name = "forked, and the child connects", .run = forked_and_the_child_connects},
    {.name = "passed to a child", .run = passed_to_a_child},
    {.name = "spawned before connect", .run = spawned_before_connect},
    {.name = "copied by a vfork child", .run = copied_by_a_vfork_child},
    {.name = "a vfork child with a number of its own", .run = a_vfork_child_with_a_number_of_its_own},
    {.name = "a write that waits", .run = a_write_that_waits},
    {.name = "a send under way", .run = a_send_under_way},
    {.name = "errors without a connection", .run = errors},
    {.name = "a number used again", .run = a_number_used_again},
};

static const struct suite_test tests[] = {
    {.name = "a table without its memory", .run = a_table_without_its_memory},
};

static const struct suite_role test_roles[] = {{"writer", writer_role}};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
