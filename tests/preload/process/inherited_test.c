/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Programs that begin with descriptors of others: from a process without the library; and with an environment
 * that is not what the program before had. */

#include "suite.h"

#include "net.h"
#include "script.h"
#include "sys/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void run_script(const char *const *steps, char *const envp[])
{
    char *argv[SCRIPT_WORDS];
    script_arguments(steps, argv);
    execve(argv[0], argv, envp);
    _exit(126);
}

/* ---- from a process without the library ---- */

/* As inetd: accepts, or connects, without the library, and gives what comes of it to a program with it, which
 * has it at 0, 1 and 2. Arguments: listener (or -1), address, port, the library, the ports, and the steps. */
static int superserver_role(int argc, char **argv)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    int listener = atoi(argv[1]), fd;
    inet_pton(AF_INET, argv[2], &peer.sin_addr);
    if (listener >= 0)
        fd = accept(listener, NULL, NULL);
    else if ((fd = net_client(&net_sealed, 0)) >= 0 && net_connect_to(fd, &peer) < 0)
        return 120;
    if (fd < 0)
        return 121;
    for (int to = 0; to < 3; to++)
        dup2(fd, to);
    close(fd), close(listener);
    setenv("LD_PRELOAD", argv[4], 1);
    setenv("SOCKSEAL_PORTS", argv[5], 1);
    (void)argc;
    run_script((const char *const *)(uintptr_t)(argv + 6), environ);
    return 126;
}

static pid_t start_superserver(int listener, const struct sockaddr_in *address, const char *key_file,
                               const char *const *steps)
{
    char numbers[2][16], host[INET_ADDRSTRLEN], key[4096];
    const char *args[30] = {numbers[0], host, numbers[1], getenv("LD_PRELOAD"),
                            listener < 0 ? "connect:127.77.0.0/16:1-65535" : "listen:127.77.0.0/16:1-65535"};
    snprintf(numbers[0], 16, "%d", listener), snprintf(numbers[1], 16, "%d", ntohs(address->sin_port));
    snprintf(key, sizeof key, "SOCKSEAL_KEY_FILE=%s", key_file ? key_file : getenv("SOCKSEAL_KEY_FILE"));
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    for (int i = 0; steps[i]; i++)
        args[5 + i] = steps[i];
    if (listener >= 0)
        fcntl(listener, F_SETFD, 0);
    return suite_spawn("superserver", args, (const char *[]){"LD_PRELOAD", "SOCKSEAL_PORTS", key, NULL}, -1,
                       -1);
}

/* Connects without the library, and passes the connection. Arguments: a Unix socket, the port. */
static int donor_role(int argc, char **argv)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    int fd = net_client(&net_sealed, 0);
    struct iovec iov = {(void *)"x", 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control = {.head = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    const struct msghdr message = {NULL, 0, &iov, 1, &control, sizeof control, 0};
    (void)argc;
    inet_pton(AF_INET, net_sealed.server, &peer.sin_addr);
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    return net_connect_to(fd, &peer) < 0 || sendmsg(atoi(argv[1]), &message, 0) != 1;
}

static long by_recvmsg(int fd, struct mmsghdr *message)
{
    return recvmsg(fd, &message->msg_hdr, 0);
}

static long by_recvmmsg(int fd, struct mmsghdr *message)
{
    return recvmmsg(fd, message, 1, 0, NULL);
}

static long by_syscall_recvmsg(int fd, struct mmsghdr *message)
{
    return syscall(SYS_recvmsg, fd, &message->msg_hdr, 0);
}

static long by_syscall_recvmmsg(int fd, struct mmsghdr *message)
{
    return syscall(SYS_recvmmsg, fd, message, 1, 0, NULL);
}

static long (*const receiving[])(int, struct mmsghdr *) = {by_recvmsg, by_recvmmsg, by_syscall_recvmsg,
                                                           by_syscall_recvmmsg};

/* Receives a connection, and writes on it. Arguments: the way, a Unix socket. */
static int receiver_role(int argc, char **argv)
{
    int fd;
    char byte, control[CMSG_SPACE(sizeof fd)];
    struct iovec iov = {&byte, 1};
    struct mmsghdr message = {.msg_hdr = {NULL, 0, &iov, 1, control, sizeof control, 0}};
    (void)argc;
    if (receiving[atoi(argv[1])](atoi(argv[2]), &message) != 1)
        return 1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message.msg_hdr)), sizeof fd);
    return write(fd, "words", 5) != 5;
}

/* However it is received, it is sealed from there on. */
static void passed_by_a_process_without_the_library(void)
{
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(receiving); i++) {
        struct sockaddr_in address;
        int ends[2], listener = net_listen(&net_sealed, 4, &address);
        const char *port = script_step("%d", ntohs(address.sin_port));
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        pid_t donor = suite_spawn("donor", (const char *[]){script_step("%d", ends[1]), port, NULL},
                                  (const char *[]){"LD_PRELOAD", "SOCKSEAL_PORTS=", NULL}, -1, -1);
        pid_t receiver =
            suite_spawn("receiver", (const char *[]){script_step("%zu", i), script_step("%d", ends[0]), NULL},
                        (const char *[]){"SOCKSEAL_PORTS=connect:127.77.0.0/16:1-65535", NULL}, -1, -1);
        int two = accept(listener, NULL, NULL);
        net_expect_text(two, "words");
        assert_int_equal(suite_wait(donor), 0);
        assert_int_equal(suite_wait(receiver), 0);
        close(two), close(listener), close(ends[0]), close(ends[1]);
    }
}

/* One connection at three numbers: one handshake, as server. */
static void accepted_by_a_process_without_the_library(void)
{
    struct sockaddr_in address;
    if (!suite_has_library())
        skip();
    int listener = net_listen(&net_sealed, 4, &address);
    pid_t child = start_superserver(listener, &address, NULL,
                                    (const char *[]){"r 0 ask", "w 1 answer", "w 2 !", "keeps 0", "keeps 1",
                                                     "exec", "r 1 more", "w 0 end", NULL});
    int one = net_connect(&net_sealed, &address);
    close(listener);
    assert_int_equal(write(one, "ask", 3), 3);
    net_expect_text(one, "answer!");
    assert_int_equal(write(one, "more", 4), 4);
    net_expect_text(one, "end");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(one);
}

static void connected_by_a_process_without_the_library(void)
{
    struct sockaddr_in address;
    if (!suite_has_library())
        skip();
    int listener = net_listen(&net_sealed, 4, &address);
    pid_t child =
        start_superserver(-1, &address, NULL, (const char *[]){"w 1 hello", "r 0 world", "eof 0", NULL});
    int two = accept(listener, NULL, NULL);
    close(listener);
    net_expect_text(two, "hello");
    assert_int_equal(write(two, "world", 5), 5);
    shutdown(two, SHUT_WR);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(two);
}

/* What the program writes into it must reach nobody. */
static void inherited_without_keys(void)
{
    struct sockaddr_in address;
    char byte;
    if (!suite_has_library())
        skip();
    int listener = net_listen(&net_sealed, 4, &address);
    pid_t child = start_superserver(listener, &address, "/nonexistent/keys",
                                    (const char *[]){"eof 0", "w 1 in the clear", NULL});
    int one = net_connect(&net_sealed, &address);
    close(listener);
    assert_int_not_equal(suite_wait(child), 0);
    assert_true(read(one, &byte, 1) <= 0);
    close(one);
}

/* ---- the environment ---- */

static void with_environment(const struct net *net, char *const envp[], const char *const *more)
{
    int pair[2];
    const char *steps[SCRIPT_WORDS] = {NULL};
    int count = 0;
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(pair[0], 0), dup2(pair[0], 1);
        steps[count++] = "r 0 ask";
        while (*more)
            steps[count++] = *more++;
        steps[count++] = "noenv SOCKSEAL_STATE";
        steps[count++] = "exec"; /* the next one's environment is what this one was given */
        steps[count++] = "w 1 answer";
        run_script(steps, envp);
    }
    script_expect(pair, child, "answer");
}

static void an_empty_environment(const struct net *net)
{
    with_environment(net, (char *[]){NULL}, (const char *[]){"noenv PATH", NULL});
    with_environment(net, NULL, (const char *[]){"noenv PATH", NULL});
}

static void another_preloaded_library_stays(const struct net *net)
{
    char preload[] = "LD_PRELOAD=/nonexistent/other.so", keys[] = "SOCKSEAL_IDENTITY=", mine[] = "MINE=1";
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(2);
    dup2(null, 2); /* the dynamic linker complains about it */
    with_environment(net, (char *[]){mine, preload, keys, NULL}, (const char *[]){"env MINE=1", NULL});
    dup2(saved, 2);
    close(saved), close(null);
}

static const struct suite_case cases[] = {
    {.name = "an empty environment", .run = an_empty_environment},
    {.name = "another preloaded library stays", .run = another_preloaded_library_stays},
};

/* The library is put before what LD_PRELOAD has. */
static int preload_role(int argc, char **argv)
{
    const char *preload = getenv("LD_PRELOAD");
    (void)argc, (void)argv;
    dprintf(1, "%s",
            preload && strstr(preload, "sockseal") && strstr(preload, ":/nonexistent/b.so") ? "both" : "no");
    return 0;
}

static void both_are_preloaded(void)
{
    int pair[2];
    char preload[] = "LD_PRELOAD=/nonexistent/b.so";
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(pair[0], 1), close(2);
        execle(script_program(), "x", "--role", "preload", (char *)NULL, (char *[]){preload, NULL});
        _exit(126);
    }
    close(pair[0]);
    net_expect_text(pair[1], "both");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* State that is none: the program does not start, rather than use the connections in the clear. */
static void state_that_is_none(void)
{
    char changeable[64];
    const char *const texts[] = {"", "x", "1,2,3", "0,1,1,-1,-1,-1", "999,1,1,-1,-1,-1", changeable};
    if (!suite_has_library())
        skip();
    /* A file that another process could shorten while it is read. */
    const int file = memfd_create("state", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(file, 64), 0);
    snprintf(changeable, sizeof changeable, "%d,1,1,-1,-1,-1", file);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (size_t i = 0; i < suite_count(texts); i++) {
        pid_t child = suite_fork();
        if (child == 0) {
            char *argv[SCRIPT_WORDS];
            script_arguments((const char *[]){"noenv SOCKSEAL_STATE", NULL}, argv);
            setenv("SOCKSEAL_STATE", texts[i], 1);
            dup2(null, 2);
            sys_call3(SYS_execve, sys_ptr(argv[0]), sys_ptr(argv),
                      sys_ptr(environ)); /* no door: those leave it out */
            _exit(126);
        }
        assert_int_equal(suite_wait(child), 78);
    }
    close(null), close(file);
}

static const struct suite_test tests[] = {
    {.name = "accepted by a process without the library", .run = accepted_by_a_process_without_the_library},
    {.name = "connected by a process without the library", .run = connected_by_a_process_without_the_library},
    {.name = "passed by a process without the library", .run = passed_by_a_process_without_the_library},
    {.name = "inherited without keys", .run = inherited_without_keys},
    {.name = "both are preloaded", .run = both_are_preloaded},
    {.name = "state that is none", .run = state_that_is_none},
};

static const struct suite_role test_roles[] = {
    {"superserver", superserver_role},
    {"donor", donor_role},
    {"receiver", receiver_role},
    {"preload", preload_role},
};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
