/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Handshakes never stop the program: orders of connect, accept, read and write that work on plain TCP. */

#include "suite.h"

#include "calls.h"
#include "net.h"
#include "scene.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void the_accepting_side_speaks_first(struct scene *s)
{
    t_write(s, B, "220 ready");
    t_wait(s, A, POLLIN, 3000);
    t_settle(s, A, 9);
    t_read(s, A, 100);
    t_write(s, A, "QUIT");
    t_settle(s, B, 4);
    t_read(s, B, 100);
}

static void blocking_read_first(struct scene *s)
{
    t_write(s, B, "x");
    t_read(s, A, 10);
    t_write(s, A, "y");
    t_read(s, B, 10);
}

static void both_speak_at_once(struct scene *s)
{
    t_write(s, A, "from A");
    t_write(s, B, "from B");
    t_give(s, A, 100000);
    t_give(s, B, 100000);
    t_recv(s, A, 6, MSG_WAITALL);
    t_recv(s, B, 6, MSG_WAITALL);
    t_take(s, A, 100000);
    t_take(s, B, 100000);
}

static void a_large_write_before_a_read(struct scene *s)
{
    t_give(s, A, 200000);
    t_take(s, B, 200000);
    t_ready(s, B);
}

static void nobody_says_anything(struct scene *s)
{
    t_wait(s, A, POLLIN, 50);
    t_wait(s, B, POLLIN, 50);
    t_ready(s, A);
    t_ready(s, B);
}

static const struct scenario scenarios[] = {
    {.name = "one side speaks first", .run = the_accepting_side_speaks_first},
    {.name = "blocking read first", .run = blocking_read_first},
    {.name = "both speak at once", .run = both_speak_at_once},
    {.name = "a large write before a read", .run = a_large_write_before_a_read},
    {.name = "nobody says anything", .run = nobody_says_anything},
};

/* connect, write and only then accept, all in one thread. */
static void both_ends_in_one_thread(const struct net *net)
{
    static uint8_t data[100000], got[100000];
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    int one = net_connect(net, &address);
    net_pattern(data, sizeof data, 0);
    int64_t start = net_now_ms();
    assert_int_equal(net_write_all(one, data, sizeof data), sizeof data);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(two, got, sizeof got), sizeof got);
    assert_memory_equal(data, got, sizeof data);
    assert_int_equal(net_write_all(two, data, 1000), 1000);
    assert_int_equal(net_read_all(one, got, 1000), 1000);
    assert_in_range(net_now_ms() - start, 0, 2000);
    close(one), close(two), close(listener);
}

/* One of two programs that connect to each other, write, and accept only then. `steps` keeps them abreast. */
static void connect_write_accept(const struct net *net, int listener, const struct sockaddr_in *other,
                                 int steps[2])
{
    char byte = 's', text[16] = "";
    int out = net_connect(net, other);
    assert_int_equal(write(steps[1], &byte, 1), 1);
    assert_int_equal(read(steps[0], &byte, 1), 1);
    assert_int_equal(write(out, "greetings", 9), 9);
    assert_int_equal(write(steps[1], &byte, 1), 1);
    assert_int_equal(read(steps[0], &byte, 1), 1);
    int in = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(in, text, 9), 9);
    assert_string_equal(text, "greetings");
    assert_int_equal(write(in, "answer", 6), 6);
    assert_int_equal(net_read_all(out, text, 6), 6);
    assert_memory_equal(text, "answer", 6);
    close(out), close(in), close(listener);
}

static void two_programs_connect_before_they_accept(const struct net *net)
{
    struct sockaddr_in addresses[2];
    int listeners[2], there[2], back[2];
    for (int i = 0; i < 2; i++)
        listeners[i] = net_listen(net, 4, &addresses[i]);
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        int steps[2] = {there[0], back[1]};
        close(listeners[0]);
        connect_write_accept(net, listeners[1], &addresses[0], steps);
        exit(0);
    }
    int steps[2] = {back[0], there[1]};
    close(listeners[1]);
    connect_write_accept(net, listeners[0], &addresses[1], steps);
    assert_int_equal(suite_wait(child), 0);
    for (int i = 0; i < 2; i++)
        close(there[i]), close(back[i]);
}

/* connect and write do not wait for an accept that never comes. */
static void a_listener_that_never_accepts(const struct net *net)
{
    struct sockaddr_in address;
    int64_t start = net_now_ms();
    int listener = net_listen(net, 4, &address);
    int fd = net_connect(net, &address);
    assert_int_equal(write(fd, "hello", 5), 5);
    assert_int_equal(write(fd, "hello", 5), 5);
    assert_int_equal(net_wait(fd, POLLIN, 50), 0);
    assert_in_range(net_now_ms() - start, 0, 3000);
    net_set_nonblock(fd, true);
    assert_int_equal(read(fd, &start, 1), -1);
    assert_int_equal(errno, EAGAIN);
    close(listener);
    close(fd);
}

/* Connects some sockets and says nothing, until it is killed. Without the library. */
static int silent_role(int argc, char **argv)
{
    struct net net = {.server = argv[1], .client = argv[2]};
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (argc < 5)
        return 2;
    int listener = net_listen(&net, 1, &address);
    address.sin_port = (in_port_t)atoi(argv[3]);
    close(listener);
    for (int i = 0; i < atoi(argv[4]); i++)
        net_connect(&net, &address);
    if (write(1, "r", 1) != 1)
        return 1;
    pause();
    return 0;
}

static pid_t start_silent(const struct net *net, const struct sockaddr_in *address, const char *count)
{
    char port[16], byte;
    int pipes[2];
    snprintf(port, sizeof port, "%u", address->sin_port);
    const char *args[] = {net->server, net->client, port, count, NULL};
    const char *changes[] = {"LD_PRELOAD", "SOCKSEAL_PORTS=", NULL};
    assert_int_equal(pipe(pipes), 0);
    pid_t child = suite_spawn("silent", args, changes, pipes[1], -1);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]), close(pipes[1]);
    return child;
}

enum { GOOD = 100, SLOTS = 128 };

static void echo_once(struct pollfd *entry)
{
    char text[16];
    ssize_t n = recv(entry->fd, text, sizeof text, MSG_DONTWAIT);
    if (n > 0) {
        net_write_all(entry->fd, text, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        close(entry->fd);
        entry->fd = -1;
    }
}

/* A poll loop; ends after its hundredth answered connection has closed. */
static int echo_server(int listener)
{
    struct pollfd entries[SLOTS] = {{.fd = listener, .events = POLLIN}};
    nfds_t count = 1;
    int closed = 0;
    while (closed < GOOD) {
        if (poll(entries, count, 10000) <= 0)
            return 1;
        for (nfds_t i = 1; i < count; i++) {
            if (entries[i].fd >= 0 && entries[i].revents != 0) {
                echo_once(&entries[i]);
                closed += entries[i].fd < 0;
            }
        }
        if (entries[0].revents & POLLIN)
            entries[count++] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
    }
    return 0;
}

static void silent_peers_beside_a_hundred_good_ones(const struct net *net)
{
    struct sockaddr_in address;
    char text[4];
    int listener = net_listen(net, 64, &address);
    pid_t server = suite_fork();
    if (server == 0)
        exit(echo_server(listener));
    close(listener);
    pid_t silent = start_silent(net, &address, "10");
    int64_t start = net_now_ms();
    for (int i = 0; i < GOOD; i++) {
        int fd = net_connect(net, &address);
        assert_int_equal(write(fd, "ping", 4), 4);
        assert_int_equal(net_read_all(fd, text, 4), 4);
        assert_memory_equal(text, "ping", 4);
        close(fd);
    }
    assert_in_range(net_now_ms() - start, 0, 5000);
    assert_int_equal(suite_wait(server), 0);
    kill(silent, SIGTERM);
    suite_wait(silent);
}

/* Writes and leaves, in the given way, before the other side accepts. */
static void write_and_leave(const struct net *net, int how)
{
    struct sockaddr_in address;
    char text[16] = "";
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        int fd = net_connect(net, &address);
        ssize_t n = write(fd, "farewell", 8);
        if (how == 0)
            close(fd);
        if (how == 2)
            exit(n == 8 ? 0 : 1);
        _exit(n == 8 ? 0 : 1);
    }
    suite_until_blocked(child);
    int fd = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(fd, text, sizeof text), 8);
    assert_memory_equal(text, "farewell", 8);
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener);
}

static void close_right_after_the_first_write(const struct net *net)
{
    write_and_leave(net, 0);
}

static void immediate_exit_without_close(const struct net *net)
{
    write_and_leave(net, 1);
}

static void exit_without_close(const struct net *net)
{
    write_and_leave(net, 2);
}

static void the_accepting_side_writes_and_exits(const struct net *net)
{
    struct sockaddr_in address;
    char text[64] = "";
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        int fd = accept(listener, NULL, NULL);
        exit(write(fd, "Hello, World!", 13) == 13 ? 0 : 1);
    }
    int fd = net_connect(net, &address);
    assert_int_equal(net_read_all(fd, text, sizeof text), 13);
    assert_string_equal(text, "Hello, World!");
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener);
}

/* Requests on new connections, with Nagle's algorithm at work: no reply waits for a delayed acknowledgement,
 * which would be 40 ms in each, every time. A busy machine may be as slow once. */
enum { REQUESTS = 20, STALLED_MS = 40 * REQUESTS, TRIES = 8 };

static int64_t requests_take_ms(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 8, &address);
    pid_t server = suite_fork();
    if (server == 0) {
        for (int i = 0; i < REQUESTS; i++) {
            int fd = accept(listener, NULL, NULL);
            for (ssize_t n = read(fd, text, sizeof text); n > 0; n = read(fd, text, sizeof text))
                net_write_all(fd, text, (size_t)n);
            close(fd);
        }
        exit(0);
    }
    int64_t start = net_now_ms();
    for (int i = 0; i < REQUESTS; i++) {
        int fd = net_connect(net, &address);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(write(fd, "ask", 3), 3);
            assert_int_equal(net_read_all(fd, text, 3), 3);
        }
        close(fd);
    }
    const int64_t taken = net_now_ms() - start;
    assert_int_equal(suite_wait(server), 0);
    close(listener);
    return taken;
}

static void requests_on_new_connections_do_not_stall(const struct net *net)
{
    int tries = 0;
    while (requests_take_ms(net) >= STALLED_MS)
        assert_true(++tries < TRIES);
}

/* An answer in two small writes, the first one on its connection. The second waits for the acknowledgement of
 * the first. */
static int64_t answers_take_ms(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int kept[REQUESTS], listener = net_listen(net, 8, &address);
    pid_t server = suite_fork();
    if (server == 0) {
        for (int i = 0; i < REQUESTS; i++) {
            kept[i] = accept(listener, NULL, NULL);
            if (read(kept[i], text, sizeof text) > 0) {
                net_write_all(kept[i], "head", 4);
                net_write_all(kept[i], "body", 4);
            }
        }
        exit(0);
    }
    int64_t start = net_now_ms();
    for (int i = 0; i < REQUESTS; i++) {
        kept[i] = net_connect(net, &address);
        assert_int_equal(write(kept[i], "ask", 3), 3);
        assert_int_equal(net_read_all(kept[i], text, 8), 8);
    }
    const int64_t taken = net_now_ms() - start;
    assert_int_equal(suite_wait(server), 0);
    for (int i = 0; i < REQUESTS; i++)
        close(kept[i]);
    close(listener);
    return taken;
}

static void first_answers_do_not_stall(const struct net *net)
{
    int tries = 0;
    while (answers_take_ms(net) >= STALLED_MS)
        assert_true(++tries < TRIES);
}

/* The server answers, and the client takes the answer: in calls that do not block, and none that waits. */
static int accept_without_waiting(int listener, int client)
{
    char byte;
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    net_set_nonblock(server, true);
    for (int i = 0; i < 1000; i++) {
        recv(server, &byte, 1, MSG_PEEK);
        assert_int_equal(recv(client, &byte, 1, 0), -1);
        assert_int_equal(errno, EAGAIN);
    }
    close(listener);
    return server;
}

static void a_half_close_amid_a_handshake_that_a_read_ends(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 4, &address);
    int client = net_client(net, SOCK_NONBLOCK);
    net_connect_to(client, &address);
    assert_int_equal(write(client, "last", 4), 4);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    int server = accept_without_waiting(listener, client);
    for (ssize_t got = -1; got != 0;) {
        assert_true(net_wait(server, POLLIN, 3000) & POLLIN);
        got = read(server, text, sizeof text);
        assert_true(got == 4 || got == 0 || (got < 0 && errno == EAGAIN));
    }
    close(client), close(server);
}

static void a_full_queue_amid_a_handshake_that_a_read_ends(const struct net *net)
{
    static uint8_t data[200000];
    struct sockaddr_in address;
    size_t put = 0, got = 0;
    int listener = net_listen(net, 4, &address), little = 4096;
    int client = net_client(net, SOCK_NONBLOCK);
    setsockopt(client, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    net_connect_to(client, &address);
    net_pattern(data, sizeof data, 0);
    for (ssize_t n = 1; n > 0 && put<sizeof data; put += n> 0 ? (size_t)n : 0)
        n = write(client, data + put, sizeof data - put);
    assert_true(put > 0);
    int server = accept_without_waiting(listener, client);
    while (got < put) {
        assert_true(net_wait(server, POLLIN, 3000) & POLLIN);
        ssize_t n = read(server, data, sizeof data);
        assert_true(n > 0 ? net_is_pattern(data, (size_t)n, got) : errno == EAGAIN);
        got += n > 0 ? (size_t)n : 0;
    }
    close(client), close(server);
}

/* The server's greeting may have left before the client's Finished came: it does not acknowledge that, and
 * Nagle's algorithm would keep the client's first request back until the server's delayed acknowledgement. */
static void a_request_after_a_greeting_goes_out_at_once(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 1, &address), unsent = -1;
    int fd = net_connect(net, &address);
    int accepted = accept(listener, NULL, NULL);
    assert_int_equal(write(accepted, "hello", 5), 5);
    assert_int_equal(net_read_all(fd, text, 5), 5);
    assert_int_equal(write(fd, "ask", 3), 3);
    assert_int_equal(ioctl(fd, SIOCOUTQNSD, &unsent), 0);
    assert_int_equal(unsent, 0);
    assert_int_equal(net_read_all(accepted, text, 3), 3);
    close(fd), close(accepted), close(listener);
}

static const struct suite_case cases[] = {
    {.name = "both ends in one thread", .run = both_ends_in_one_thread},
    {.name = "two programs connect before they accept", .run = two_programs_connect_before_they_accept},
    {.name = "a listener that never accepts", .run = a_listener_that_never_accepts},
    {.name = "silent peers beside a hundred good ones", .run = silent_peers_beside_a_hundred_good_ones},
    {.name = "requests on new connections do not stall", .run = requests_on_new_connections_do_not_stall},
    {.name = "first answers do not stall", .run = first_answers_do_not_stall},
    {.name = "a half-close amid a handshake that a read ends",
     .run = a_half_close_amid_a_handshake_that_a_read_ends},
    {.name = "a full queue amid a handshake that a read ends",
     .run = a_full_queue_amid_a_handshake_that_a_read_ends},
    {.name = "a request after a greeting goes out at once",
     .run = a_request_after_a_greeting_goes_out_at_once},
    {.name = "close right after the first write", .run = close_right_after_the_first_write},
    {.name = "immediate exit without close", .run = immediate_exit_without_close},
    {.name = "exit without close", .run = exit_without_close},
    {.name = "the accepting side writes and exits", .run = the_accepting_side_writes_and_exits},
};

static const struct suite_role roles[] = {{"silent", silent_role}};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_scenarios(scenarios, suite_count(scenarios));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
