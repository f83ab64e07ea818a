/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What users of other preloaded libraries reported, each as a test named after its number in the list of
 * tests/README.md: descriptors, streams, names and counts. Waits and threads are in
 * complaints_waits_test.c, other programs in complaints_programs_test.c. */

#include "support/suite.h"

#include "support/net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags);

enum { SOON_MS = 3000 };

static void expect_text(int fd, const char *text)
{
    char got[64] = "";
    assert_int_equal(net_read_all(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

static int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* ---- 1: whoever closes everything closes the shim's descriptors too ---- */

/* A client in the midst of its handshake, for which the shim has descriptors of its own: it closes all but
 * its connection in one way, puts something of its own at every number, and then waits for nothing but time.
 */
static void be_careful(const struct net *net, const struct sockaddr_in *address, void (*close_from)(int low))
{
    int null = open("/dev/null", O_RDWR), fd = net_client(net, SOCK_NONBLOCK);
    net_connect_to(fd, address);
    net_wait(fd, POLLOUT, SOON_MS);
    if (write(fd, "queued", 6) != 6 || poll(NULL, 0, 5) != 0)
        _exit(1);
    close_from((fd > null ? fd : null) + 1);
    for (int at = fd + 1; at < 1024; at = fcntl(null, F_DUPFD, at))
        ;
    poll(NULL, 0, -1);
    _exit(2);
}

/* What the client wrote comes, and it goes on. */
static void survives(const struct net *net, void (*close_from)(int low))
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0)
        be_careful(net, &address, close_from);
    net_sleep_ms(50); /* so that it has done all this, most of the time, before it is accepted */
    int peer = accept(listener, NULL, NULL);
    expect_text(peer, "queued");
    kill(child, SIGKILL);
    suite_wait(child);
    close(peer), close(listener);
}

static void by_close_range(int low)
{
    assert_int_equal(close_range((unsigned)low, ~0u, 0), 0);
}

static void by_raw_close_range(int low)
{
    assert_int_equal(syscall(SYS_close_range, low, ~0u, 0), 0);
}

static void by_closing_each(int low)
{
    for (int fd = low; fd < 1100; fd++)
        close(fd);
}

/* As Python and OpenSSH do it. */
static void by_proc(int low)
{
    int list[1024], count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (atoi(entry->d_name) >= low && atoi(entry->d_name) != dirfd(folder) && count < 1024)
            list[count++] = atoi(entry->d_name);
    }
    closedir(folder);
    for (int i = 0; i < count; i++)
        close(list[i]);
}

static void complaint_01_closefrom(const struct net *net)
{
    survives(net, closefrom);
}

static void complaint_01_close_range(const struct net *net)
{
    survives(net, by_close_range);
    survives(net, by_raw_close_range);
}

static void complaint_01_closing_each(const struct net *net)
{
    survives(net, by_closing_each);
}

static void complaint_01_closing_what_proc_lists(const struct net *net)
{
    survives(net, by_proc);
}

/* ---- 2 ---- */

/* systemd asserts that fclose() does not say EBADF; and it closes, once. */
static void complaint_02_fclose_is_no_bad_descriptor(const struct net *net)
{
    int pair[2];
    char byte;
    net_warm_pair(net, pair);
    int copy = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
    FILE *in = fdopen(pair[0], "r"), *out = fdopen(copy, "w");
    fputs("last words", out);
    errno = 0;
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(errno, 0);
    assert_int_equal(close(pair[0]), -1);
    assert_int_equal(errno, EBADF);
    expect_text(pair[1], "last words");
    assert_int_equal(read(pair[1], &byte, 1), 0);
    close(pair[1]);
}

static void complaint_02_close_of_minus_one(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(close(-1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(close(1 << 30), -1);
    assert_int_equal(errno, EBADF);
    errno = 55;
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(errno, 55);
    assert_int_equal(close(pair[0]), -1);
    assert_int_equal(errno, EBADF);
    close(pair[1]);
}

/* ---- 5 ---- */

/* Many pieces, empty ones and one at the end of its page among them; none is touched behind its end. */
static void complaint_05_readv(const struct net *net)
{
    enum { PIECES = 100, PAGE = 4096 };
    int pair[2];
    struct iovec iov[PIECES];
    uint8_t data[3000];
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    net_warm_pair(net, pair);
    for (size_t i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){pages + i * 30, i % 3 == 0 ? 0 : 30};
    iov[PIECES - 1] = (struct iovec){pages + PAGE - 10, 10};
    net_pattern(data, sizeof data, 0);
    assert_int_equal(net_write_all(pair[0], data, 1990), 1990);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    ssize_t total = 0;
    for (ssize_t n = 1; n > 0; total += n) {
        n = readv(pair[1], iov, PIECES);
        assert_true(n >= 0);
    }
    assert_int_equal(total, 1990);
    assert_int_equal(readv(pair[1], NULL, 0), 0);
    munmap(pages, 2 * PAGE);
    close(pair[0]), close(pair[1]);
}

static void complaint_05_a_plain_fork_leaves_the_child_working(const struct net *net)
{
    int pair[2], own[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        expect_text(pair[1], "from the parent");
        net_warm_pair(net, own);
        assert_int_equal(write(own[0], "its own", 7), 7);
        expect_text(own[1], "its own");
        close(own[0]), close(own[1]);
        assert_int_equal(write(pair[1], "from the child", 14), 14);
        exit(0);
    }
    assert_int_equal(write(pair[0], "from the parent", 15), 15);
    expect_text(pair[0], "from the child");
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]), close(pair[1]);
}

/* ---- 8 ---- */

/* A seccomp or version probe asks for calls that are not there; what is there has all its arguments. */
static void complaint_08_unknown_system_calls_pass(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(syscall(3999, pair[0], 2, 3, 4, 5, 6), -1);
    assert_int_equal(errno, ENOSYS);
    uint8_t random[8] = {0};
    assert_int_equal(syscall(SYS_getrandom, random, sizeof random, 0), sizeof random);
    int file = (int)syscall(SYS_memfd_create, "probe", 0);
    assert_true(file >= 0);
    assert_int_equal(syscall(SYS_fallocate, file, 0, 0L, 100L), 0);
    assert_int_equal(lseek(file, 0, SEEK_END), 100);
    assert_int_equal(syscall(SYS_fchmod, pair[0], 0600), 0);
    close(file), close(pair[0]), close(pair[1]);
}

/* ---- 9 ---- */

/* libuv's way: accept4 and epoll without libc's functions. */
static void complaint_09_accept4_and_epoll_by_number(const struct net *net)
{
    struct sockaddr_in address;
    struct epoll_event event = {.events = EPOLLIN};
    char text[8] = "";
    int listener = net_listen(net, 4, &address), one = net_connect(net, &address);
    int epoll = (int)syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    int two = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(two >= 0);
    assert_int_equal(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, two, &event), 0);
    assert_int_equal(write(one, "served", 6), 6);
    ssize_t n = -1;
    for (int64_t end = net_now_ms() + SOON_MS; n < 0 && net_now_ms() < end;) {
        assert_true(syscall(SYS_epoll_pwait, epoll, &event, 1, SOON_MS, NULL, 8) == 1);
        n = syscall(SYS_read, two, text, sizeof text);
    }
    assert_int_equal(n, 6);
    assert_string_equal(text, "served");
    close(one), close(two), close(listener), close(epoll);
}

static void complaint_09_io_uring_is_not_used_silently(void)
{
    char parameters[256] = {0};
    if (!suite_has_library())
        skip();
    assert_int_equal(syscall(SYS_io_uring_setup, 8, parameters), -1);
    assert_int_equal(errno, ENOSYS);
}

/* ---- 11 ---- */

/* A server that knows nothing but streams. */
static void complaint_11_a_server_on_streams_is_served(const struct net *net)
{
    struct sockaddr_in address;
    char line[64];
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        FILE *peer = fdopen(accept(listener, NULL, NULL), "r+");
        if (peer == NULL || fgets(line, sizeof line, peer) == NULL)
            _exit(1);
        fprintf(peer, "you said %s", line);
        exit(fclose(peer) == 0 ? 0 : 2);
    }
    int one = net_connect(net, &address);
    assert_int_equal(write(one, "hello\n", 6), 6);
    expect_text(one, "you said hello\n");
    assert_int_equal(suite_wait(child), 0);
    close(one), close(listener);
}

static void complaint_11_fortified_variants_do_not_escape(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "fortified", 9), 9);
    assert_int_equal(__read_chk(pair[1], text, 5, sizeof text), 5);
    assert_int_equal(__recv_chk(pair[1], text + 5, 4, sizeof text - 5, 0), 4);
    assert_string_equal(text, "fortified");
    close(pair[0]), close(pair[1]);
}

/* ---- 12 ---- */

static void complaint_12_epoll_ctl_before_bind(const struct net *net)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN};
    socklen_t len = sizeof address;
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), 0);
    assert_int_equal(inet_pton(AF_INET, net->server, &address.sin_addr), 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    int one = net_connect(net, &address);
    assert_int_equal(epoll_wait(epoll, &event, 1, SOON_MS), 1);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(write(one, "found", 5), 5);
    expect_text(two, "found");
    close(one), close(two), close(listener), close(epoll);
}

static void complaint_12_a_childs_close_leaves_the_parents_state(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    for (int round = 0; round < 3; round++) {
        pid_t child = suite_fork();
        if (child == 0) {
            close(pair[0]), close(pair[1]);
            exit(0);
        }
        assert_int_equal(suite_wait(child), 0);
        assert_int_equal(write(pair[0], "still", 5), 5);
        expect_text(pair[1], "still");
    }
    close(pair[0]), close(pair[1]);
}

static void complaint_12_one_poll_over_sealed_and_plain(const struct net *net)
{
    int pair[2], plain[2];
    net_warm_pair(net, pair);
    net_warm_pair(&net_plain, plain);
    for (int round = 0; round < 4; round++) {
        struct pollfd both[2] = {{.fd = pair[1], .events = POLLIN}, {.fd = plain[1], .events = POLLIN}};
        int which = round % 2, *ends = which ? plain : pair;
        assert_int_equal(poll(both, 2, 0), 0);
        assert_int_equal(write(ends[0], "x", 1), 1);
        assert_int_equal(poll(both, 2, SOON_MS), 1);
        assert_int_equal(both[which].revents, POLLIN);
        assert_int_equal(both[1 - which].revents, 0);
        expect_text(ends[1], "x");
    }
    close(pair[0]), close(pair[1]), close(plain[0]), close(plain[1]);
}

/* ---- 16 ---- */

static void complaint_16_flags_are_preserved(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    int nonblocking = net_client(net, SOCK_NONBLOCK), blocking = net_client(net, 0);
    net_connect_to(nonblocking, &address);
    assert_int_equal(net_connect_to(blocking, &address), 0);
    int one = accept4(listener, NULL, NULL, SOCK_NONBLOCK), two = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fcntl(nonblocking, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(blocking, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(one, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(one, F_GETFD), 0);
    assert_false(fcntl(two, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(two, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(one, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(one, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(two, F_SETFD, 0), 0);
    assert_int_equal(fcntl(two, F_GETFD), 0);
    close(nonblocking), close(blocking), close(one), close(two), close(listener);
}

static void complaint_16_epoll_del_with_a_bad_pointer(const struct net *net)
{
    int pair[2], epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    net_warm_pair(net, pair);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, pair[1], (struct epoll_event *)8), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], (struct epoll_event *)8), -1);
    assert_int_equal(errno, EFAULT);
    close(epoll), close(pair[0]), close(pair[1]);
}

/* ---- 17, 18 ---- */

static void complaint_17_sendto_with_fast_open_says_what_it_sent(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    const struct sockaddr *to = (struct sockaddr *)&address;
    assert_int_equal(sendto(one, "early", 5, MSG_FASTOPEN, to, sizeof address), 5);
    int two = accept(listener, NULL, NULL);
    expect_text(two, "early");
    assert_int_equal(sendto(one, "again", 5, MSG_FASTOPEN, to, sizeof address), -1);
    assert_int_equal(errno, EISCONN);
    struct iovec iov = {(void *)"again", 5};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    assert_int_equal(sendmsg(two, &message, MSG_FASTOPEN), -1);
    assert_int_equal(errno, EISCONN);
    assert_int_equal(net_wait(two, POLLIN, 20), 0);
    close(one), close(two), close(listener);
}

static void pass(int local, int fd)
{
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &fd, sizeof fd);
    assert_int_equal(sendmsg(local, &message, 0), 1);
}

/* Gives the descriptor that came, or -1. */
static int take(int local, int flags)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;
    assert_int_equal(recvmsg(local, &message, flags), 1);
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    if (part != NULL && part->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(part), sizeof fd);
    return fd;
}

/* The program gets one descriptor a call, and closes it: no other is left. */
static void complaint_18_peeking_at_passed_descriptors_leaks_none(const struct net *net)
{
    int pair[2], local[2];
    net_warm_pair(net, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, local), 0);
    int before = count_descriptors();
    for (int round = 0; round < 5; round++) {
        pass(local[0], local[0]);
        int peeked = take(local[1], MSG_PEEK), taken = take(local[1], 0);
        assert_true(peeked >= 0 && taken >= 0 && peeked != taken);
        assert_int_equal(close(peeked), 0);
        assert_int_equal(close(taken), 0);
    }
    assert_int_equal(count_descriptors(), before);
    close(local[0]), close(local[1]), close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "complaint_01_closefrom", .run = complaint_01_closefrom},
    {.name = "complaint_01_close_range", .run = complaint_01_close_range},
    {.name = "complaint_01_closing_each", .run = complaint_01_closing_each},
    {.name = "complaint_01_closing_what_proc_lists", .run = complaint_01_closing_what_proc_lists},
    {.name = "complaint_02_fclose_is_no_bad_descriptor", .run = complaint_02_fclose_is_no_bad_descriptor},
    {.name = "complaint_02_close_of_minus_one", .run = complaint_02_close_of_minus_one},
    {.name = "complaint_05_readv", .run = complaint_05_readv},
    {.name = "complaint_05_a_plain_fork_leaves_the_child_working",
     .run = complaint_05_a_plain_fork_leaves_the_child_working},
    {.name = "complaint_08_unknown_system_calls_pass", .run = complaint_08_unknown_system_calls_pass},
    {.name = "complaint_09_accept4_and_epoll_by_number", .run = complaint_09_accept4_and_epoll_by_number},
    {.name = "complaint_11_a_server_on_streams_is_served", .run = complaint_11_a_server_on_streams_is_served},
    {.name = "complaint_11_fortified_variants_do_not_escape",
     .run = complaint_11_fortified_variants_do_not_escape},
    {.name = "complaint_12_epoll_ctl_before_bind", .run = complaint_12_epoll_ctl_before_bind},
    {.name = "complaint_12_a_childs_close_leaves_the_parents_state",
     .run = complaint_12_a_childs_close_leaves_the_parents_state},
    {.name = "complaint_12_one_poll_over_sealed_and_plain",
     .run = complaint_12_one_poll_over_sealed_and_plain},
    {.name = "complaint_16_flags_are_preserved", .run = complaint_16_flags_are_preserved},
    {.name = "complaint_16_epoll_del_with_a_bad_pointer", .run = complaint_16_epoll_del_with_a_bad_pointer},
    {.name = "complaint_17_sendto_with_fast_open_says_what_it_sent",
     .run = complaint_17_sendto_with_fast_open_says_what_it_sent},
    {.name = "complaint_18_peeking_at_passed_descriptors_leaks_none",
     .run = complaint_18_peeking_at_passed_descriptors_leaks_none},
};

static const struct suite_test tests[] = {
    {.name = "complaint_09_io_uring_is_not_used_silently", .run = complaint_09_io_uring_is_not_used_silently},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
