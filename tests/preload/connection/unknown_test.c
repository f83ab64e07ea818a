/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the library cannot find out, because a filter of system calls refuses its questions, is sealed or
 * refused: no plaintext leaves. And what SOCKSEAL_STRICT says of datagrams. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Refuses this call to this process, past the doors: those would widen the filter. */
static void refuse_call(unsigned number)
{
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {suite_count(instructions), instructions};
    sys_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    assert_int_equal(sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, sys_ptr(&program)), 0);
}

static const struct refusal {
    const char *name;
    unsigned number;
} refusals[] = {
    {"getsockopt", SYS_getsockopt}, {"getsockname", SYS_getsockname}, {"getpeername", SYS_getpeername}};

/* poll(2) behind the doors; not every machine has a system call of that name. */
static long raw_poll(struct pollfd *ready, long limit_ms)
{
    const struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000};
    return sys_call(SYS_ppoll, sys_ptr(ready), 1, sys_ptr(&limit), 0, 0, 0);
}

/* Fails if the other end of a raw descriptor says MARKER. */
static void expect_no_marker(const char *name, int fd)
{
    char got[4096];
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (raw_poll(&ready, 500) <= 0)
            return;
        long len = sys_read(fd, got, sizeof got);
        if (len <= 0)
            return;
        if (memmem(got, (size_t)len, "MARKER", 6))
            fail_msg("%s: plaintext", name);
    }
}

static void say(int fd)
{
    if (fd >= 0)
        write(fd, "MARKER", 6);
    _exit(0);
}

static void a_connecting_side(void)
{
    for (size_t i = 0; i < suite_count(refusals); i++) {
        struct sockaddr_in address;
        int listener = net_listen(&net_sealed, 1, &address);
        pid_t child = suite_fork();
        if (child == 0) {
            int fd = net_client(&net_sealed, 0);
            refuse_call(refusals[i].number);
            say(net_connect_to(fd, &address) == 0 ? fd : -1);
        }
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        if (raw_poll(&ready, 1000) > 0) {
            int fd = (int)sys_call(SYS_accept4, listener, 0, 0, SOCK_CLOEXEC, 0, 0);
            expect_no_marker(refusals[i].name, fd);
            sys_close(fd);
        }
        suite_wait(child);
        close(listener);
    }
}

static void a_listening_side(void)
{
    for (size_t i = 0; i < suite_count(refusals); i++) {
        struct sockaddr_in address;
        int listener = net_listen(&net_sealed, 1, &address);
        pid_t child = suite_fork();
        if (child == 0) {
            refuse_call(refusals[i].number);
            say(accept(listener, NULL, NULL));
        }
        int fd = net_client(&net_sealed, 0);
        assert_int_equal(sys_call3(SYS_connect, fd, sys_ptr(&address), sizeof address), 0);
        expect_no_marker(refusals[i].name, fd);
        sys_close(fd);
        suite_wait(child);
        close(listener);
    }
}

/* A connection that a program was given, by one that does not seal. */
static int given_role(int argc, char **argv)
{
    (void)argc;
    return write(atoi(argv[1]), "MARKER", 6) == 6;
}

static void an_inherited_connection(void)
{
    for (size_t i = 0; i < suite_count(refusals); i++) {
        struct sockaddr_in address;
        char number[16];
        int listener = net_listen(&net_sealed, 1, &address), fd = net_client(&net_sealed, 0);
        assert_int_equal(sys_call3(SYS_connect, fd, sys_ptr(&address), sizeof address), 0);
        int other = (int)sys_call(SYS_accept4, listener, 0, 0, SOCK_CLOEXEC, 0, 0);
        fcntl(fd, F_SETFD, 0);
        snprintf(number, sizeof number, "%d", fd);
        pid_t child = suite_fork();
        if (child == 0) {
            refuse_call(refusals[i].number);
            suite_wait(suite_spawn("given", (const char *[]){number, NULL}, (const char *[]){NULL}, -1, -1));
            _exit(0);
        }
        expect_no_marker(refusals[i].name, other);
        suite_wait(child);
        sys_close(fd), sys_close(other), close(listener);
    }
}

/* In a process with SOCKSEAL_STRICT: no way to send a datagram to a named port, and all to another. */
/* Whether a program can be run, and gets what it needs. */
static void a_program_that_is_run(void)
{
    static const unsigned calls[] = {SYS_faccessat, SYS_faccessat2};
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(calls); i++) {
        pid_t child = suite_fork();
        if (child == 0) {
            char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"test -n \"$SOCKSEAL_PORTS\""}, NULL};
            refuse_call(calls[i]);
            execve("/bin/sh", argv, (char *[]){NULL});
            _exit(126);
        }
        assert_int_equal(suite_wait(child), 0);
    }
}

static int datagrams_role(int argc, char **argv)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    (void)argc, (void)argv;
    for (int named = 0; named < 2; named++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
        struct iovec iov = {(char[]){"words"}, 5};
        struct mmsghdr message = {.msg_hdr = {&to, sizeof to, &iov, 1, NULL, 0, 0}};
        const struct sockaddr *address = (struct sockaddr *)&to;
        inet_pton(AF_INET, named ? "127.77.0.1" : "127.0.0.1", &to.sin_addr);
        struct sockaddr_in unspecified = to; /* as good to the kernel */
        unspecified.sin_family = AF_UNSPEC;
        int other = socket(AF_INET, SOCK_STREAM, 0);
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(sizeof other)];
        } control = {.head = {CMSG_LEN(sizeof other), SOL_SOCKET, SCM_RIGHTS}}; /* ignored by the kernel */
        memcpy(CMSG_DATA(&control.head), &other, sizeof other);
        const struct msghdr beside = {&to, sizeof to, &iov, 1, &control, sizeof control, 0};
        const long results[] = {
            sendto(fd, "words", 5, 0, address, sizeof to),
            sendmsg(fd, &message.msg_hdr, 0),
            sendmsg(fd, &beside, 0),
            sendto(fd, "words", 5, 0, (struct sockaddr *)&unspecified, sizeof unspecified),
            sendmmsg(fd, &message, 1, 0),
            syscall(SYS_sendto, fd, "words", 5, 0, address, sizeof to),
            syscall(SYS_sendmsg, fd, &message.msg_hdr, 0),
            syscall(SYS_sendmmsg, fd, &message, 1, 0),
            connect(fd, address, sizeof to),
        };
        for (size_t i = 0; i < suite_count(results); i++) {
            if ((results[i] < 0) != (named == 1))
                return 10 * named + (int)i + 1;
        }
    }
    return 0;
}

static void datagrams_strictly(void)
{
    if (!suite_has_library())
        skip();
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const char *none[] = {NULL}, *strict[] = {"SOCKSEAL_STRICT=1", NULL};
    assert_int_equal(suite_wait(suite_spawn("datagrams", none, strict, -1, null)), 0);
    close(null);
}

static const struct suite_test tests[] = {
    {.name = "a connecting side", .run = a_connecting_side},
    {.name = "a listening side", .run = a_listening_side},
    {.name = "an inherited connection", .run = an_inherited_connection},
    {.name = "a program that is run", .run = a_program_that_is_run},
    {.name = "datagrams under SOCKSEAL_STRICT", .run = datagrams_strictly},
};

static const struct suite_role test_roles[] = {{"given", given_role}, {"datagrams", datagrams_role}};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
