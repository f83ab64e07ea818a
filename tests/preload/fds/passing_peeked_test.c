/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SCM_RIGHTS: messages that are looked at before they are taken. */

#include "suite.h"

#include "net.h"

#include <dirent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

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
    {.name = "complaint_18_peeking_at_passed_descriptors_leaks_none",
     .run = complaint_18_peeking_at_passed_descriptors_leaks_none},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
