/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SCM_RIGHTS (unix(7)): connections that are passed to another process go on there; where that cannot be,
 * what arrives is dead, and nothing is sent in the clear. */

#include "suite.h"

#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS_MAX = 8 };

/* Room for the control part of a message. */
union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

struct parcel {
    struct msghdr header;
    struct iovec iov;
    char byte;
    union control control;
};

static struct msghdr *parcel_of(struct parcel *parcel, const int *fds, size_t count)
{
    *parcel = (struct parcel){.byte = 'p'};
    parcel->iov = (struct iovec){&parcel->byte, 1};
    parcel->header = (struct msghdr){.msg_iov = &parcel->iov,
                                     .msg_iovlen = 1,
                                     .msg_control = &parcel->control,
                                     .msg_controllen = sizeof parcel->control};
    if (!fds)
        return &parcel->header;
    parcel->header.msg_controllen = CMSG_SPACE(count * sizeof *fds);
    parcel->control.head = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof *fds)};
    memcpy(CMSG_DATA(&parcel->control.head), fds, count * sizeof *fds);
    return &parcel->header;
}

static ssize_t send_fds(int local, const int *fds, size_t count)
{
    struct parcel parcel;
    return sendmsg(local, parcel_of(&parcel, fds, count), 0);
}

/* How many came; -1 without a message. */
static int receive_fds(int local, int *fds, int flags)
{
    struct parcel parcel;
    if (recvmsg(local, parcel_of(&parcel, NULL, 0), flags) != 1 || parcel.byte != 'p')
        return -1;
    struct cmsghdr *part = CMSG_FIRSTHDR(&parcel.header);
    if (!part || part->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
    memcpy(fds, CMSG_DATA(part), count * sizeof *fds);
    return (int)count;
}

/* In a child: takes one descriptor and converses on it. The status tells what went wrong. */
static int converse(int local, int flags)
{
    char text[8] = "";
    int fd = -1;
    if (receive_fds(local, &fd, flags) != 1)
        return 1;
    if (fcntl(fd, F_GETFD) != (flags & MSG_CMSG_CLOEXEC ? FD_CLOEXEC : 0))
        return 2;
    if (net_read_all(fd, text, 3) != 3 || memcmp(text, "ask", 3) != 0)
        return 3;
    return write(fd, "answer", 6) == 6 ? 0 : 4;
}

static int converse_role(int argc, char **argv)
{
    (void)argc;
    return converse(atoi(argv[1]), 0);
}

/* The peer's part: what it says and hears, until the clean end. */
static void converse_with(int fd)
{
    assert_int_equal(write(fd, "ask", 3), 3);
    net_expect_text(fd, "answer");
    net_expect_end(fd);
}

static void to_a_child_over(const struct net *net, int type, bool before_the_first, int flags)
{
    int pair[2], local[2];
    assert_int_equal(socketpair(AF_UNIX, type, 0, local), 0);
    if (!before_the_first)
        net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(local[0]);
        if (!before_the_first)
            close(pair[0]), close(pair[1]);
        exit(converse(local[1], flags));
    }
    if (before_the_first)
        net_warm_pair(net, pair);
    assert_int_equal(send_fds(local[0], pair, 1), 1);
    close(pair[0]); /* at once: on its way it is nobody's */
    close(local[0]), close(local[1]);
    converse_with(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

static void to_a_child(const struct net *net)
{
    to_a_child_over(net, SOCK_STREAM, false, 0);
    to_a_child_over(net, SOCK_DGRAM, false, MSG_CMSG_CLOEXEC);
    to_a_child_over(net, SOCK_SEQPACKET, false, 0);
}

/* Forked when there was no sealed connection yet. */
static void to_a_child_that_is_older_than_the_connection(const struct net *net)
{
    to_a_child_over(net, SOCK_STREAM, true, MSG_CMSG_CLOEXEC);
    to_a_child_over(net, SOCK_DGRAM, true, 0);
}

/* Another program, which has no sealed connection of its own. */
static void to_another_program(const struct net *net)
{
    int pair[2], local[2];
    char number[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    snprintf(number, sizeof number, "%d", local[1]);
    fcntl(local[0], F_SETFD, FD_CLOEXEC);
    pid_t child = suite_spawn("converse", (const char *[]){number, NULL}, NULL, -1, -1);
    net_warm_pair(net, pair);
    assert_int_equal(send_fds(local[0], pair, 1), 1);
    close(pair[0]), close(local[0]), close(local[1]);
    converse_with(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

/* Another program that has connections of its own already. */
static int converse_beside_role(int argc, char **argv)
{
    int own[2];
    const struct net *net = strcmp(argv[2], "sealed") == 0 ? &net_sealed : &net_plain;
    (void)argc;
    net_warm_pair(net, own);
    int status = converse(atoi(argv[1]), 0);
    char byte;
    if (write(own[0], "x", 1) != 1 || read(own[1], &byte, 1) != 1)
        return 5;
    return status;
}

/* Twice the same one, as for a program's standard input and output. */
static int twins_beside_role(int argc, char **argv)
{
    int own[2], fds[FDS_MAX];
    const struct net *net = strcmp(argv[2], "sealed") == 0 ? &net_sealed : &net_plain;
    char text[8] = "";
    (void)argc;
    net_warm_pair(net, own);
    if (receive_fds(atoi(argv[1]), fds, 0) != 2)
        return 6;
    if (net_read_all(fds[0], text, 3) != 3 || close(fds[0]) != 0)
        return 7;
    return write(fds[1], "answer", 6) == 6 ? 0 : 8;
}

/* Starts a program with connections of its own and passes it one, under `copies` numbers; *peer is the other
 * end. */
static pid_t pass_to_role(const char *role, const struct net *net, size_t copies, int *peer)
{
    int pair[2], local[2];
    char number[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    snprintf(number, sizeof number, "%d", local[1]);
    fcntl(local[0], F_SETFD, FD_CLOEXEC);
    pid_t child = suite_spawn(role, (const char *[]){number, net->name, NULL}, NULL, -1, -1);
    net_warm_pair(net, pair);
    assert_int_equal(send_fds(local[0], (const int[]){pair[0], pair[0]}, copies), 1);
    close(pair[0]), close(local[0]), close(local[1]);
    *peer = pair[1];
    return child;
}

static void twice_to_a_program_with_connections(const struct net *net)
{
    int peer;
    pid_t child = pass_to_role("twins beside", net, 2, &peer);
    converse_with(peer);
    assert_int_equal(suite_wait(child), 0);
}

/* One, looking at the message first. */
static int look_beside_role(int argc, char **argv)
{
    int own[2], look = -1;
    const struct net *net = strcmp(argv[2], "sealed") == 0 ? &net_sealed : &net_plain;
    char text[8] = "";
    (void)argc;
    net_warm_pair(net, own);
    if (receive_fds(atoi(argv[1]), &look, MSG_PEEK) != 1)
        return 6;
    if (net_read_all(look, text, 1) != 1 || *text != '?' || write(look, "!", 1) != 1 || close(look) != 0)
        return 7;
    return converse(atoi(argv[1]), 0);
}

static void looked_at_first_by_a_program_with_connections(const struct net *net)
{
    int peer;
    pid_t child = pass_to_role("look beside", net, 1, &peer);
    assert_int_equal(write(peer, "?", 1), 1);
    net_expect_text(peer, "!");
    converse_with(peer);
    assert_int_equal(suite_wait(child), 0);
}

static void to_a_program_with_connections(const struct net *net)
{
    int peer;
    pid_t child = pass_to_role("converse beside", net, 1, &peer);
    converse_with(peer);
    assert_int_equal(suite_wait(child), 0);
}

/* Passed on from one process to the next, and back. */
static void from_hand_to_hand(const struct net *net)
{
    enum { ROUNDS = 20 };
    int pair[2], local[2];
    net_warm_pair(net, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[0]), close(pair[1]), close(local[0]);
        for (int i = 0, fd; i < ROUNDS; i++) {
            if (receive_fds(local[1], &fd, 0) != 1 || write(fd, "child", 5) != 5 ||
                send_fds(local[1], &fd, 1) != 1)
                _exit(1);
            close(fd);
        }
        _exit(0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(send_fds(local[0], pair, 1), 1);
        close(pair[0]);
        net_expect_text(pair[1], "child");
        assert_int_equal(receive_fds(local[0], pair, MSG_CMSG_CLOEXEC), 1);
        assert_int_equal(write(pair[0], "parent", 6), 6);
        net_expect_text(pair[1], "parent");
    }
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]), close(local[0]), close(local[1]);
    net_expect_end(pair[1]);
}

static void several_among_plain_ones(const struct net *net)
{
    int one[2], two[2], local[2], ends[2], got[FDS_MAX];
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    assert_int_equal(pipe(ends), 0);
    const int fds[] = {ends[0], one[0], ends[1], two[0], one[0]};
    assert_int_equal(send_fds(local[0], fds, suite_count(fds)), 1);
    close(one[0]), close(two[0]), close(ends[0]), close(ends[1]);
    assert_int_equal(receive_fds(local[1], got, 0), suite_count(fds));
    assert_int_equal(write(got[2], "pipe", 4), 4);
    net_expect_text(got[0], "pipe");
    assert_int_equal(write(got[1], "one", 3), 3);
    assert_int_equal(write(got[4], "again", 5), 5);
    net_expect_text(one[1], "oneagain");
    assert_int_equal(write(two[1], "two", 3), 3);
    net_expect_text(got[3], "two");
    close(got[1]), close(got[2]), close(got[0]), close(got[3]);
    net_expect_end(two[1]);
    assert_int_equal(net_wait(one[1], POLLIN, 30), 0);
    close(got[4]);
    net_expect_end(one[1]);
    close(local[0]), close(local[1]);
}

static void by_sendmmsg_and_recvmmsg(const struct net *net)
{
    int pair[2], local[2], got[2];
    struct parcel parcels[2];
    struct mmsghdr messages[2];
    net_warm_pair(net, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, local), 0);
    for (int i = 0; i < 2; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = *parcel_of(&parcels[i], &pair[i], 1)};
    assert_int_equal(sendmmsg(local[0], messages, 2, 0), 2);
    close(pair[0]), close(pair[1]);
    for (int i = 0; i < 2; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = *parcel_of(&parcels[i], NULL, 0)};
    assert_int_equal(recvmmsg(local[1], messages, 2, MSG_CMSG_CLOEXEC, NULL), 2);
    for (int i = 0; i < 2; i++)
        memcpy(&got[i], CMSG_DATA(CMSG_FIRSTHDR(&messages[i].msg_hdr)), sizeof(int));
    assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(got[0], "many", 4), 4);
    net_expect_text(got[1], "many");
    close(got[0]);
    net_expect_end(got[1]);
    close(local[0]), close(local[1]);
}

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* Each look gives descriptors of its own (complaint 18: the duplicates leak); none is left afterwards. */
static void looked_at_first(const struct net *net)
{
    int pair[2], local[2], look = -1, fd = -1;
    net_warm_pair(net, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    assert_int_equal(send_fds(local[0], pair, 1), 1);
    int before = count_descriptors();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(receive_fds(local[1], &look, MSG_PEEK | MSG_CMSG_CLOEXEC), 1);
        assert_int_equal(write(look, "look", 4), 4);
        net_expect_text(pair[1], "look");
        close(look);
        assert_int_equal(count_descriptors(), before);
    }
    assert_int_equal(receive_fds(local[1], &fd, MSG_CMSG_CLOEXEC), 1);
    close(pair[0]);
    assert_int_equal(write(fd, "taken", 5), 5);
    net_expect_text(pair[1], "taken");
    close(fd);
    assert_in_range(count_descriptors(), 1, before - 1); /* with the library's own for its memory */
    net_expect_end(pair[1]);
    close(local[0]), close(local[1]);
}

/* Nobody takes it: the sender's close is not the end, for somebody may; when that is over, it ends. */
static void in_a_message_that_nobody_reads(const struct net *net)
{
    int pair[2], local[2];
    char byte;
    net_warm_pair(net, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    assert_int_equal(send_fds(local[0], pair, 1), 1);
    close(pair[0]);
    assert_int_equal(net_wait(pair[1], POLLIN, 30), 0);
    close(local[0]), close(local[1]);
    assert_true(net_wait(pair[1], POLLIN, 3000));
    ssize_t n = read(pair[1], &byte, 1);
    assert_true(n == 0 || (net->sealed && n < 0 && errno == ECONNRESET));
    close(pair[1]);
}

static void to_oneself_amid_the_handshake(const struct net *net)
{
    struct sockaddr_in address;
    int local[2], fd;
    int listener = net_listen(net, 4, &address), one = net_connect(net, &address);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    assert_int_equal(send_fds(local[0], &one, 1), 1);
    close(one);
    assert_int_equal(receive_fds(local[1], &fd, 0), 1);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(write(fd, "hello", 5), 5);
    net_expect_text(two, "hello");
    assert_int_equal(write(two, "world", 5), 5);
    net_expect_text(fd, "world");
    close(fd), close(listener), close(local[0]), close(local[1]);
    net_expect_end(two);
}

static void amid_the_handshake(const struct net *net)
{
    struct sockaddr_in address;
    int local[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        close(local[0]), close(listener);
        exit(converse(local[1], 0));
    }
    int one = net_connect(net, &address);
    assert_int_equal(send_fds(local[0], &one, 1), 1);
    close(one), close(local[0]), close(local[1]);
    int two = accept(listener, NULL, NULL);
    close(listener);
    converse_with(two);
    assert_int_equal(suite_wait(child), 0);
}

/* The message cannot be sent: all as before. */
static void a_message_that_is_refused(const struct net *net)
{
    int pair[2], local[2];
    net_warm_pair(net, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    close(local[1]);
    struct parcel parcel;
    int before = count_descriptors();
    assert_int_equal(sendmsg(local[0], parcel_of(&parcel, pair, 1), MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    const int bad[] = {pair[0], 998};
    assert_int_equal(sendmsg(local[0], parcel_of(&parcel, bad, 2), MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]), close(local[0]);
    net_expect_end(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "to a child", .run = to_a_child},
    {.name = "to a child older than the connection", .run = to_a_child_that_is_older_than_the_connection},
    {.name = "to another program", .run = to_another_program},
    {.name = "to a program with connections", .run = to_a_program_with_connections},
    {.name = "from hand to hand", .run = from_hand_to_hand},
    {.name = "several among plain ones", .run = several_among_plain_ones},
    {.name = "by sendmmsg and recvmmsg", .run = by_sendmmsg_and_recvmmsg},
    {.name = "looked at first", .run = looked_at_first},
    {.name = "looked at first by a program with connections",
     .run = looked_at_first_by_a_program_with_connections},
    {.name = "twice to a program with connections", .run = twice_to_a_program_with_connections},
    {.name = "in a message that nobody reads", .run = in_a_message_that_nobody_reads},
    {.name = "to oneself, amid the handshake", .run = to_oneself_amid_the_handshake},
    {.name = "amid the handshake", .run = amid_the_handshake},
    {.name = "a message that is refused", .run = a_message_that_is_refused},
};

/* Without the library: what it holds is dead, and what it writes reaches nobody. */
static int unsealed_role(int argc, char **argv)
{
    int fd = -1;
    (void)argc;
    if (receive_fds(atoi(argv[1]), &fd, 0) != 1)
        return 1;
    ssize_t sent = send(fd, "in the clear", 12, MSG_NOSIGNAL);
    return sent < 0 ? 0 : 2;
}

static void to_a_process_without_the_library(void)
{
    int pair[2], local[2];
    char number[16];
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    snprintf(number, sizeof number, "%d", local[1]);
    pid_t child = suite_spawn("unsealed", (const char *[]){number, NULL},
                              (const char *[]){"LD_PRELOAD", "SOCKSEAL_PORTS=", NULL}, -1, -1);
    assert_int_equal(send_fds(local[0], pair, 1), 1);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]), close(pair[1]), close(local[0]), close(local[1]);
}

/* Whoever controls the shared memory controls who reads it: not with another user. */
static void to_another_users_process(void)
{
    int pair[2], listener, fd, gate[2];
    char byte;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(pipe(gate), 0);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(listener, 1), 0);
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(gate[1]);
        if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
            setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        int local = socket(AF_UNIX, SOCK_STREAM, 0);
        _exit(connect(local, (struct sockaddr *)&name, len) < 0 || read(gate[0], &byte, 1) != 0);
    }
    fd = accept(listener, NULL, NULL);
    assert_int_equal(send_fds(fd, pair, 1), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(send_fds(fd, &listener, 1), 1); /* others may pass */
    close(gate[0]), close(gate[1]);
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener), close(pair[0]);
    net_expect_end(pair[1]);
}

/* As servers do whose worker has given up root's rights: the pair was made before that. */
static void to_the_process_it_came_from(void)
{
    int pair[2], local[2], fds[8];
    if (geteuid() != 0)
        skip();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
            setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        _exit(send_fds(local[1], pair, 1) == 1 ? 0 : errno);
    }
    close(pair[0]);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(receive_fds(local[0], fds, 0), 1);
    assert_int_equal(write(fds[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(fds[0]), close(pair[1]), close(local[0]), close(local[1]);
}

static const struct suite_test tests[] = {
    {.name = "to a process without the library", .run = to_a_process_without_the_library},
    {.name = "to another user's process", .run = to_another_users_process},
    {.name = "to the process it came from, as another user", .run = to_the_process_it_came_from},
};

static const struct suite_role test_roles[] = {
    {"converse", converse_role},         {"converse beside", converse_beside_role},
    {"twins beside", twins_beside_role}, {"look beside", look_beside_role},
    {"unsealed", unsealed_role},
};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
