/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What cannot be sealed is refused rather than sent in the clear; what fails says so with the right error. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

int pidfd_getfd(int process, int fd, unsigned flags) __THROW;

static void skip_unless_loaded(void)
{
    if (!suite_has_library())
        skip();
}

/* The byte must not leave, whatever the call returns; and the connection goes on. */
static void out_of_band_data(void)
{
    int pair[2];
    char text[8];
    skip_unless_loaded();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(send(pair[0], "!", 1, MSG_OOB), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    assert_int_equal(recv(pair[1], text, 1, MSG_OOB), -1);
    assert_int_equal(write(pair[0], "in band", 7), 7);
    assert_int_equal(net_read_all(pair[1], text, 7), 7);
    assert_memory_equal(text, "in band", 7);
    close(pair[0]), close(pair[1]);
}

static void zero_copy(void)
{
    int pair[2], on = 1;
    skip_unless_loaded();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    close(pair[0]), close(pair[1]);
}

/* Set on a socket that is not sealed yet: the program would wait for notes about its buffers. */
static void zero_copy_from_before(void)
{
    struct sockaddr_in address;
    int on = 1;
    skip_unless_loaded();
    int listener = net_listen(&net_sealed, 4, &address), one = net_client(&net_sealed, 0);
    assert_int_equal(setsockopt(one, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
    assert_int_equal(net_connect_to(one, &address), 0);
    assert_int_equal(send(one, "copy", 4, MSG_ZEROCOPY), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(send(one, "copy", 4, 0), 4);
    close(one), close(listener);
}

/* Options that show, or move, what stands in the kernel's queues. */
static void options_of_the_queues(void)
{
    static const struct {
        int level, name, error;
    } options[] = {
        {SOL_SOCKET, SO_PEEK_OFF, EOPNOTSUPP},
        {IPPROTO_TCP, TCP_REPAIR, EPERM},
        {IPPROTO_TCP, TCP_INQ, ENOPROTOOPT},
    };
    int pair[2], on = 1, fresh = socket(AF_INET, SOCK_STREAM, 0);
    char room[256] = "";
    socklen_t len = sizeof room;
    skip_unless_loaded();
    net_warm_pair(&net_sealed, pair);
    for (size_t i = 0; i < suite_count(options); i++) {
        assert_int_equal(setsockopt(pair[0], options[i].level, options[i].name, &on, sizeof on), -1);
        assert_int_equal(errno, options[i].error);
    }
    assert_int_equal(setsockopt(fresh, SOL_SOCKET, SO_PEEK_OFF, &on, sizeof on), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    assert_int_equal(write(pair[0], "secret", 6), 6);
    assert_true(net_wait(pair[1], POLLIN, 3000) & POLLIN);
    assert_int_equal(getsockopt(pair[1], IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, room, &len), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(net_read_all(pair[1], room, 6), 6);
    assert_memory_equal(room, "secret", 6);
    close(pair[0]), close(pair[1]), close(fresh);
}

/* A stranger on the way can mark a byte as urgent, which then stands beside the stream, not authenticated. */
static void urgent_data_of_a_stranger(void)
{
    int pair[2];
    char text[8];
    skip_unless_loaded();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(sys_call(SYS_sendto, pair[0], sys_ptr("!"), 1, MSG_OOB, 0, 0), 1); /* past the doors */
    assert_true(net_wait(pair[1], POLLPRI, 3000) & POLLPRI);
    struct iovec iov = {text, sizeof text};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    assert_int_equal(recv(pair[1], text, 1, MSG_OOB), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(recvfrom(pair[1], text, 1, MSG_OOB, NULL, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(recvmsg(pair[1], &message, MSG_OOB), -1);
    assert_int_equal(errno, EINVAL);
    close(pair[0]), close(pair[1]);
}

/* Connections that libc makes inside: the rule of these tests names every port. */
static void remote_shells(void)
{
    char name[] = "127.77.0.1", *host = name;
    skip_unless_loaded();
    assert_int_equal(rcmd(&host, htons(9), "me", "you", "true", NULL), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(rcmd_af(&host, htons(9), "me", "you", "true", NULL, AF_INET), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(rexec(&host, htons(9), "you", "pass", "true", NULL), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(rexec_af(&host, htons(9), "you", "pass", "true", NULL, AF_INET), -1);
    assert_int_equal(errno, EACCES);
}

/* A sealed connection of a process that has nothing to do with this one, and a pipe of it. */
static void descriptors_of_another_process(void)
{
    int pipes[2], pair[2], numbers[2] = {-1, -1};
    skip_unless_loaded();
    assert_int_equal(pipe(pipes), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        net_warm_pair(&net_sealed, pair);
        memcpy(numbers, (int[]){pair[0], pipes[0]}, sizeof numbers);
        if (write(pipes[1], numbers, sizeof numbers) == sizeof numbers)
            pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], numbers, sizeof numbers), sizeof numbers);
    int process = (int)syscall(SYS_pidfd_open, child, 0);
    assert_int_equal(pidfd_getfd(process, numbers[0], 0), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(syscall(SYS_pidfd_getfd, process, numbers[0], 0), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(pidfd_getfd(process, 12345, 0), -1);
    assert_int_equal(errno, EBADF);
    int copy = pidfd_getfd(process, numbers[1], 0);
    assert_true(copy >= 0);
    kill(child, SIGKILL);
    suite_wait(child);
    close(copy), close(process), close(pipes[0]), close(pipes[1]);
}

/* What stands in the queue of a connection without keys is not sent yet. */
static void unsent_bytes_before_the_keys(void)
{
    struct sockaddr_in address;
    int unsent = 0;
    skip_unless_loaded();
    int listener = net_listen(&net_sealed, 4, &address), one = net_connect(&net_sealed, &address);
    net_set_nonblock(one, true);
    for (int i = 0; i < 10; i++)
        assert_int_equal(write(one, "0123456789", 10), 10);
    assert_int_equal(ioctl(one, SIOCOUTQ, &unsent), 0);
    assert_in_range(unsent, 100, 2000);
    close(one), close(listener);
}

static void upper_layer_protocol(void)
{
    int pair[2];
    skip_unless_loaded();
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(setsockopt(pair[0], IPPROTO_TCP, TCP_ULP, "tls", 3), -1);
    assert_true(errno == ENOENT || errno == EOPNOTSUPP); /* as a kernel without it says */
    close(pair[0]), close(pair[1]);
}

/* An address given to a connected stream socket is ignored or refused by the kernel, in the same way for
 * both. */
static void an_address_on_a_connected_socket(const struct net *net)
{
    int pair[2];
    char text[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = 9};
    net_warm_pair(net, pair);
    assert_int_equal(sendto(pair[0], "hello", 5, 0, (struct sockaddr *)&address, sizeof address), 5);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    assert_memory_equal(text, "hello", 5);
    close(pair[0]), close(pair[1]);
}

static void bad_counts(const struct net *net)
{
    int pair[2];
    char text[8];
    struct iovec iov = {text, sizeof text};
    static volatile int negative = -1, too_many = 5000; /* volatile: the compiler would warn, rightly */
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "bytes", 5), 5);
    assert_int_equal(net_wait(pair[1], POLLIN, 3000), POLLIN);
    assert_int_equal(readv(pair[1], &iov, negative), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(writev(pair[0], &iov, negative), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(writev(pair[0], &iov, too_many), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(writev(pair[0], &iov, 0), 0);
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = (size_t)too_many};
    assert_int_equal(sendmsg(pair[0], &message, 0), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(recvmsg(pair[1], &message, 0), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    assert_memory_equal(text, "bytes", 5);
    close(pair[0]), close(pair[1]);
}

/* Roles for processes with an environment of their own. Each prints one line with what it saw. */
static int report(const char *what, ssize_t result)
{
    printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "fine");
    fflush(stdout);
    return 0;
}

static int connecting_role(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char byte;
    if (argc < 3)
        return 2;
    int one = net_listen(&net_sealed, 1, &address); /* for the address alone */
    close(one);
    address.sin_port = (in_port_t)atoi(argv[1]);
    one = net_client(&net_sealed, 0);
    if (net_connect_to(one, &address) < 0)
        return report("connect", -1);
    int64_t start = net_now_ms();
    short ready = strcmp(argv[2], "poll") == 0 ? net_wait(one, POLLIN, 8000) : POLLIN;
    ssize_t n = ready & POLLIN ? read(one, &byte, 1) : 0;
    report(ready & POLLIN ? "read" : "poll", n);
    int error = errno;
    errno = 0;
    assert_int_equal(read(one, &byte, 1), -1);
    assert_int_equal(errno, error);
    assert_int_equal(send(one, "x", 1, MSG_NOSIGNAL), -1);
    assert_in_range(net_now_ms() - start, 700, 3000);
    return 0;
}

static void read_line(int fd, char *line, size_t room)
{
    size_t n = net_read_all(fd, line, room - 1);
    line[n] = '\0';
}

/* Runs the role against a listener that does not accept and gives the line it printed. */
static void against_a_silent_listener(const char *how, const char *change, const char *expected)
{
    struct sockaddr_in address;
    char port[16], line[256];
    int pipes[2], null = open("/dev/null", O_WRONLY);
    int listener = net_listen(&net_sealed, 4, &address);
    snprintf(port, sizeof port, "%u", address.sin_port);
    const char *args[] = {port, how, NULL};
    const char *changes[] = {change, NULL};
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = suite_spawn("connecting", args, changes, pipes[1], null);
    close(pipes[1]);
    read_line(pipes[0], line, sizeof line);
    assert_string_equal(line, expected);
    assert_int_equal(suite_wait(child), 0);
    close(pipes[0]), close(listener), close(null);
}

static void a_silent_listener_times_out_a_read(void)
{
    skip_unless_loaded();
    against_a_silent_listener("read", "SOCKSEAL_CONNECT_TIMEOUT=1", "read ETIMEDOUT\n");
}

static void a_silent_listener_times_out_a_poll(void)
{
    skip_unless_loaded();
    against_a_silent_listener("poll", "SOCKSEAL_CONNECT_TIMEOUT=1", "read ETIMEDOUT\n");
}

/* No usable key: connect itself says so, and nothing has gone out. */
static void no_key_file(void)
{
    skip_unless_loaded();
    against_a_silent_listener("read", "SOCKSEAL_KEY_FILE=/nonexistent/keys", "connect ENOKEY\n");
}

/* Asks for options that are refused, on two connections. */
static int asking_role(int argc, char **argv)
{
    const int on = 1;
    (void)argc, (void)argv;
    for (int i = 0; i < 2; i++) {
        int pair[2];
        net_pair(&net_sealed, pair);
        for (int side = 0; side < 2; side++) {
            setsockopt(pair[side], IPPROTO_TCP, TCP_INQ, &on, sizeof on);
            setsockopt(pair[side], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
        }
    }
    return 0;
}

static unsigned times(const char *text, const char *word)
{
    unsigned found = 0;
    for (text = strstr(text, word); text; text = strstr(text + 1, word))
        found++;
    return found;
}

static void a_refused_option_is_said_once(void)
{
    static const struct {
        const char *level;
        unsigned lines;
    } levels[] = {{"SOCKSEAL_LOG=info", 1}, {"SOCKSEAL_LOG=warn", 0}};
    skip_unless_loaded();
    for (size_t i = 0; i < suite_count(levels); i++) {
        const char *args[] = {NULL}, *changes[] = {levels[i].level, NULL};
        static char text[65536];
        int pipes[2];
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        pid_t child = suite_spawn("asking", args, changes, -1, pipes[1]);
        close(pipes[1]);
        text[net_read_all(pipes[0], text, sizeof text - 1)] = '\0';
        assert_int_equal(suite_wait(child), 0);
        close(pipes[0]);
        assert_int_equal(times(text, "TCP_INQ is refused"), levels[i].lines);
        assert_int_equal(times(text, "SO_ZEROCOPY is refused"), levels[i].lines);
        assert_int_equal(times(text, "?:0"), 0);
    }
}

static const struct suite_test tests[] = {
    {.name = "a refused option is said once", .run = a_refused_option_is_said_once},
    {.name = "out-of-band data", .run = out_of_band_data},
    {.name = "SO_ZEROCOPY", .run = zero_copy},
    {.name = "TCP_ULP", .run = upper_layer_protocol},
    {.name = "SO_ZEROCOPY from before", .run = zero_copy_from_before},
    {.name = "options of the kernel's queues", .run = options_of_the_queues},
    {.name = "urgent data of a stranger", .run = urgent_data_of_a_stranger},
    {.name = "rcmd and rexec", .run = remote_shells},
    {.name = "pidfd_getfd", .run = descriptors_of_another_process},
    {.name = "SIOCOUTQ before the keys", .run = unsent_bytes_before_the_keys},
    {.name = "a silent listener times out a read", .run = a_silent_listener_times_out_a_read},
    {.name = "a silent listener times out a poll", .run = a_silent_listener_times_out_a_poll},
    {.name = "no key file", .run = no_key_file},
};

static const struct suite_case cases[] = {
    {.name = "an address on a connected socket", .run = an_address_on_a_connected_socket},
    {.name = "bad counts", .run = bad_counts},
};

static const struct suite_role roles[] = {{.name = "asking", .run = asking_role},
                                          {"connecting", connecting_role}};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
