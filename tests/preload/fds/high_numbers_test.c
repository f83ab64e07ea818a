/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Descriptors whose numbers are beyond the limit that the program begins with (RLIMIT_NOFILE): they outlive
 * its being lowered. */

#include "suite.h"

#include "net.h"
#include "script.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOW = 1024, HIGH = 3000 };

static void lower_limit(void)
{
    const struct rlimit low = {LOW, LOW};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
}

static void allow_high_numbers(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max <= HIGH || setrlimit(RLIMIT_NOFILE, &limit) < 0)
        skip();
}

/* Runs the steps as the next program, with fd at the number HIGH. */
static pid_t start(int fd, const char *const *steps)
{
    pid_t child = suite_fork();
    if (child == 0) {
        char *argv[SCRIPT_WORDS];
        assert_int_equal(dup2(fd, HIGH), HIGH);
        close(fd);
        lower_limit();
        script_arguments(steps, argv);
        execv(argv[0], argv);
        _exit(126);
    }
    return child;
}

static void handed_over(const struct net *net)
{
    int pair[2];
    allow_high_numbers();
    net_warm_pair(net, pair);
    pid_t child = start(pair[0], (const char *[]){"r 3000 ask", "w 3000 answer", NULL});
    close(pair[0]);
    assert_int_equal(write(pair[1], "ask", 3), 3);
    net_expect_text(pair[1], "answer");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* The next program connects the socket by a low number, and writes by the high one. */
static int connector_role(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f4d0001)};
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    int low = dup(HIGH);
    (void)argc;
    if (low < 0 || net_connect_to(low, &address) < 0)
        return 1;
    return write(HIGH, "words", 5) != 5;
}

static void connected_by_another_number(void)
{
    struct sockaddr_in address;
    char port[16];
    allow_high_numbers();
    int listener = net_listen(&net_sealed, 4, &address), fd = net_client(&net_sealed, 0);
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    pid_t child = suite_fork();
    if (child == 0) {
        assert_int_equal(dup2(fd, HIGH), HIGH);
        lower_limit();
        _exit(suite_wait(
            suite_spawn("connector", (const char *[]){port, NULL}, (const char *[]){NULL}, -1, -1)));
    }
    close(fd);
    int two = accept(listener, NULL, NULL);
    net_expect_text(two, "words");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(two);
    close(listener);
}

static const struct suite_case cases[] = {{.name = "handed over beyond the limit", .run = handed_over}};

static const struct suite_test tests[] = {
    {.name = "connected by another number", .run = connected_by_another_number},
};

static const struct suite_role connector = {"connector", connector_role};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_roles(&connector, 1);
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
