/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Whoever sleeps makes progress with handshakes meanwhile, by whatever name it sleeps. */

#include "suite.h"

#include "net.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int __nanosleep(const struct timespec *time, struct timespec *left);

/* The absolute sleep of the connecting side is all that can take its handshake on. */
static void an_absolute_sleep_drives(const struct net *net)
{
    struct sockaddr_in address;
    struct timespec until;
    int status = 0, listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        char text[8];
        suite_until_blocked(getppid());
        int fd = accept(listener, NULL, NULL);
        _exit(net_read_all(fd, text, 6) == 6 ? 0 : 1);
    }
    int fd = net_connect(net, &address);
    assert_int_equal(send(fd, "queued", 6, MSG_DONTWAIT), 6);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
    assert_int_equal(waitpid(child, &status, WNOHANG), child); /* it has read while we slept */
    assert_int_equal(status, 0);
    close(fd), close(listener);
}

static void sleeping(const struct net *net)
{
    struct sockaddr_in address;
    struct timespec long_time = {.tv_sec = 100};
    int listener = net_listen(net, 4, &address);
    for (int form = 0; form < 5; form++) {
        pid_t child = suite_fork();
        if (child == 0) {
            int fd = net_client(net, SOCK_NONBLOCK);
            net_connect_to(fd, &address);
            net_wait(fd, POLLOUT, 3000);
            ssize_t sent = write(fd, "hello", 5);
            if (sent == 5 && form == 0)
                nanosleep(&long_time, NULL);
            else if (sent == 5 && form == 1)
                __nanosleep(&long_time, NULL);
            else if (sent == 5 && form == 2)
                clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, NULL);
            else if (sent == 5 && form == 3)
                sleep(100);
            else if (sent == 5)
                usleep(100000000);
            _exit(1);
        }
        int peer = accept(listener, NULL, NULL);
        net_expect_text(peer, "hello");
        kill(child, SIGKILL);
        suite_wait(child);
        close(peer);
    }
    close(listener);
}

static const struct suite_case cases[] = {
    {.name = "an absolute sleep drives", .run = an_absolute_sleep_drives},
    {.name = "every sleep drives", .run = sleeping},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
