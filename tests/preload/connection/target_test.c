/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a connection is to, where the call alone does not tell: the unspecified address, and sockets that were
 * something else before. */

#include "suite.h"

#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void converse(int listener, int one)
{
    int two = accept(listener, NULL, NULL);
    assert_true(two >= 0);
    assert_int_equal(write(one, "there", 5), 5);
    net_expect_text(two, "there");
    assert_int_equal(write(two, "back", 4), 4);
    net_expect_text(one, "back");
    close(one), close(two), close(listener);
}

/* A listener at the address that connecting sockets are bound to. */
static int listen_at_client(const struct net *net, struct sockaddr_in *address)
{
    const struct net same = {net->name, net->client, net->client, net->sealed};
    return net_listen(&same, 4, address);
}

/* connect(2) to 0.0.0.0 is to the address that the socket is bound to, not always to 127.0.0.1. */
static void bound_to_an_address(const struct net *net)
{
    struct sockaddr_in address;
    int listener = listen_at_client(net, &address), one = net_client(net, 0);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    assert_int_equal(net_connect_to(one, &address), 0);
    converse(listener, one);
}

static void bound_to_a_mapped_address(const struct net *net)
{
    struct sockaddr_in address;
    struct sockaddr_in6 own = {.sin6_family = AF_INET6}, to = {.sin6_family = AF_INET6};
    char text[64];
    int listener = listen_at_client(net, &address), one = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one < 0)
        skip();
    snprintf(text, sizeof text, "::ffff:%s", net->client);
    assert_int_equal(inet_pton(AF_INET6, text, &own.sin6_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:0.0.0.0", &to.sin6_addr), 1);
    to.sin6_port = address.sin_port;
    assert_int_equal(bind(one, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(one, (struct sockaddr *)&to, sizeof to), 0);
    converse(listener, one);
}

/* ---- sockets that were something else ---- */

static void expect_refused(int fd, const struct sockaddr_in *address)
{
    int log = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(2);
    dup2(log, 2);
    errno = 0;
    int result = net_connect_to(fd, address), error = errno;
    dup2(saved, 2);
    assert_int_equal(result, -1);
    assert_int_equal(error, EACCES);
    close(log), close(saved);
}

static void disconnect(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    assert_int_equal(connect(fd, &none, sizeof none), 0);
}

/* By whichever of its names. Those from before are known to be plain, in this process and in its children. */
static void connected_in_the_clear_before(void)
{
    struct sockaddr_in plain, sealed;
    if (!suite_has_library())
        skip();
    int here = net_listen(&net_plain, 4, &plain), there = net_listen(&net_sealed, 4, &sealed);
    int fd = net_connect(&net_plain, &plain), copy = dup(fd);
    disconnect(fd);
    expect_refused(fd, &sealed);
    expect_refused(copy, &sealed);
    int later = dup(fd);
    expect_refused(later, &sealed);
    assert_int_equal(net_connect_to(copy, &plain), 0); /* the plain one is no matter */
    close(fd), close(copy), close(later);
    fd = net_connect(&net_sealed, &sealed); /* the same number, and another socket */
    close(here);
    converse(there, fd);
}

/* A sealed one is known by all its names. */
static void sealed_before(void)
{
    struct sockaddr_in sealed;
    int there = net_listen(&net_sealed, 4, &sealed), fd = net_connect(&net_sealed, &sealed);
    close(accept(there, NULL, NULL));
    disconnect(fd);
    assert_int_equal(net_connect_to(fd, &sealed), 0);
    converse(there, fd);
}

static void listening_before(void)
{
    struct sockaddr_in plain, sealed;
    if (!suite_has_library())
        skip();
    int fd = net_listen(&net_plain, 4, &plain), there = net_listen(&net_sealed, 4, &sealed), copy = dup(fd);
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    expect_refused(fd, &sealed);
    expect_refused(copy, &sealed);
    close(fd), close(copy), close(there);
}

static const struct suite_case cases[] = {
    {.name = "bound, to the unspecified address", .run = bound_to_an_address},
    {.name = "bound, to the unspecified mapped address", .run = bound_to_a_mapped_address},
};

static const struct suite_test tests[] = {
    {.name = "connected in the clear before", .run = connected_in_the_clear_before},
    {.name = "sealed before", .run = sealed_before},
    {.name = "listening before", .run = listening_before},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
