/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* TCP Fast Open: connecting and writing in one call. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* sendto(MSG_FASTOPEN) connects and sends; the address belongs to it, not to an earlier connect. */
static void fast_open(const struct net *net)
{
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        struct sockaddr_in address;
        char text[16];
        int listener = net_listen(net, 4, &address);
        int one = net_client(net, nonblocking ? SOCK_NONBLOCK : 0);
        ssize_t n = sendto(one, "early bird", 10, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
        if (n < 0) {
            assert_true(nonblocking);
            assert_int_equal(errno, EINPROGRESS);
            assert_true(net_wait(one, POLLOUT, 3000) & POLLOUT);
            n = send(one, "early bird", 10, 0);
        }
        assert_int_equal(n, 10);
        int two = accept(listener, NULL, NULL);
        assert_int_equal(net_read_all(two, text, 10), 10);
        assert_memory_equal(text, "early bird", 10);
        assert_int_equal(write(two, "worm", 4), 4);
        net_set_nonblock(one, false);
        assert_int_equal(net_read_all(one, text, 4), 4);
        close(one), close(two), close(listener);
    }
}

/* TCP_FASTOPEN_CONNECT: connect() returns at once and the first write carries the SYN. */
static void fast_open_connect(const struct net *net)
{
    struct sockaddr_in address;
    char text[16];
    int on = 1, listener = net_listen(net, 4, &address);
    int one = net_client(net, 0);
    assert_int_equal(setsockopt(one, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on), 0);
    assert_int_equal(net_connect_to(one, &address), 0);
    assert_int_equal(write(one, "hello", 5), 5);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(two, text, 5), 5);
    assert_memory_equal(text, "hello", 5);
    close(one), close(two), close(listener);
}

static void sendmmsg_with_fast_open(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    struct iovec iov = {(void *)"early bird", 10};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &iov, .msg_iovlen = 1}};
    assert_int_equal(sendmmsg(one, &message, 1, MSG_FASTOPEN), 1);
    assert_int_equal(message.msg_len, 10);
    net_expect_sealed(net, one);
    int two = accept(listener, NULL, NULL);
    net_expect_text(two, "early bird");
    assert_int_equal(write(two, "worm", 4), 4);
    net_expect_text(one, "worm");
    close(one), close(two), close(listener);
}

/* The kernel ignores descriptors that are sent by TCP. */
static void descriptors_beside_the_data(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0), other = net_client(net, 0);
    struct iovec iov = {(void *)"early bird", 10};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof other)];
    } control = {.head = {CMSG_LEN(sizeof other), SOL_SOCKET, SCM_RIGHTS}};
    const struct msghdr message = {&address, sizeof address, &iov, 1, &control, sizeof control, 0};
    memcpy(CMSG_DATA(&control.head), &other, sizeof other);
    assert_int_equal(sendmsg(one, &message, MSG_FASTOPEN), 10);
    net_expect_sealed(net, one);
    int two = accept(listener, NULL, NULL);
    net_expect_text(two, "early bird");
    close(one), close(two), close(other), close(listener);
}

static void complaint_17_sendto_with_fast_open_says_what_it_sent(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    const struct sockaddr *to = (struct sockaddr *)&address;
    assert_int_equal(sendto(one, "early", 5, MSG_FASTOPEN, to, sizeof address), 5);
    int two = accept(listener, NULL, NULL);
    net_expect_text(two, "early");
    assert_int_equal(sendto(one, "again", 5, MSG_FASTOPEN, to, sizeof address), -1);
    assert_int_equal(errno, EISCONN);
    struct iovec iov = {(void *)"again", 5};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    assert_int_equal(sendmsg(two, &message, MSG_FASTOPEN), -1);
    assert_int_equal(errno, EISCONN);
    assert_int_equal(net_wait(two, POLLIN, 20), 0);
    close(one), close(two), close(listener);
}

static const struct suite_case cases[] = {
    {.name = "MSG_FASTOPEN", .run = fast_open},
    {.name = "TCP_FASTOPEN_CONNECT", .run = fast_open_connect},
    {.name = "sendmmsg with MSG_FASTOPEN", .run = sendmmsg_with_fast_open},
    {.name = "descriptors beside the data", .run = descriptors_beside_the_data},
    {.name = "complaint_17_sendto_with_fast_open_says_what_it_sent",
     .run = complaint_17_sendto_with_fast_open_says_what_it_sent},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
