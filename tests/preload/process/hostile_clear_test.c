/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * A process that shares a connection writes to its memory, and the other holder's bytes stay sealed all the
 * same. Here one process is both: it writes a byte anywhere in the connection's state, then sends a text, and
 * a peer without the library looks for that text in what arrives.
 */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STATE_BYTES = 600, /* of a struct conn, about */
    GENERATION = 0,
    LOCKS = 4, /* where its pins and locks are: who changes these makes others wait */
    LOCKS_END = 28,
#if defined(__x86_64__) /* shim/shm/region_layout.h */
    CHUNKS = 4 * 20480, /* before the page with the state, in the memory of each connection */
    AREA = CHUNKS + 4096,
#else
    CHUNKS = 2 * 65536,
    AREA = CHUNKS + 65536,
#endif
    FOUND = 77,
    OPEN_MOST = 4000, /* of the peer */
};

static const char text[] = "in the clear, in the clear";

/* Looks at what has arrived: FOUND; 1: it is at its end, and closed; 0: neither. */
static int look_at(int fd)
{
    static char got[1 << 16];
    const ssize_t n = read(fd, got, sizeof got);
    if (n > 0)
        return memmem(got, (size_t)n, text, sizeof text - 1) ? FOUND : 0;
    close(fd);
    return 1;
}

/* The peer: takes every connection, and reads it to its end. What was written to may keep one open. */
static int be_listener(int argc, char **argv)
{
    struct sockaddr_in address;
    const int listener = net_listen(&net_sealed, 64, &address);
    (void)argc, (void)argv;
    if (write(1, &address, sizeof address) != sizeof address)
        return 1;
    static struct pollfd polled[OPEN_MOST];
    polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (nfds_t count = 1; poll(polled, count, -1) > 0;) {
        for (nfds_t k = count; k-- > 1;) {
            const int found = polled[k].revents ? look_at(polled[k].fd) : 0;
            if (found == FOUND)
                return FOUND;
            if (found)
                polled[k] = polled[--count];
        }
        if (polled[0].revents && count < OPEN_MOST)
            polled[count++] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
    }
    return 1;
}

static pid_t begin_listener(struct sockaddr_in *address)
{
    int told[2];
    assert_int_equal(pipe(told), 0);
    const pid_t listener = suite_spawn("listener", (const char *[]){NULL},
                                       (const char *[]){"SOCKSEAL_PORTS=", NULL}, told[1], -1);
    close(told[1]);
    assert_int_equal(net_read_all(told[0], address, sizeof *address), sizeof *address);
    close(told[0]);
    return listener;
}

/* Writes a byte in the state of each connection that is in this mapping. A page that is locked in memory is a
 * mapping of its own. Whether there was one. */
static bool write_states(uint8_t *mapping, unsigned long len, int offset, int value)
{
    unsigned long at = len == AREA - CHUNKS ? 0 : CHUNKS;
    const bool any = at < len;
    for (; at < len; at += AREA)
        mapping[at + (unsigned long)offset] = (uint8_t)value;
    return any;
}

/* The same in all of them. */
static void write_state(int offset, int value)
{
    char line[512];
    bool any = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[5], path[256] = "";
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &from, &to, rights, path) == 4 &&
            strcmp(rights, "rw-s") == 0 && strcmp(path, "/memfd:sockseal") == 0)
            any |= write_states((uint8_t *)from, to - from, offset, value); // NOLINT: from the kernel
    }
    if (maps)
        fclose(maps);
    assert_true(any);
}

/* Ends it without a word. */
static void drop(int fd)
{
    const struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void attack(const struct sockaddr_in *address, int offset, int value)
{
    const int fd = net_connect(&net_sealed, address);
    write_state(offset, value);
    (void)!send(fd, text, sizeof text, MSG_DONTWAIT);
    (void)!send(fd, text, sizeof text, MSG_DONTWAIT);
    drop(fd);
}

static void any_byte_of_the_state(void)
{
    static const int values[] = {0, 1, 2, 5, 255};
    struct sockaddr_in address;
    if (!suite_has_library())
        skip();
    signal(SIGPIPE, SIG_IGN);
    const pid_t listener = begin_listener(&address);
    for (int offset = 0; offset < STATE_BYTES; offset++) {
        const bool locks = offset >= LOCKS && offset < LOCKS_END;
        for (size_t i = 0; i < suite_count(values) && !locks; i++)
            attack(&address, offset, values[i]);
    }
    kill(listener, SIGTERM);
    assert_int_equal(suite_wait(listener), 1000 + SIGTERM);
}

/* A socket that is being connected has no peer yet: it must not be taken for another file's. */
static void while_it_connects(void)
{
    enum { FULL = 3 };
    struct sockaddr_in address;
    int fds[FULL];
    if (!suite_has_library())
        skip();
    const int listener = net_listen(&net_sealed, 0, &address);
    for (int i = 0; i < FULL; i++) {
        fds[i] = net_client(&net_plain, SOCK_NONBLOCK);
        net_connect_to(fds[i], &address);
    }
    const int fd = net_client(&net_sealed, SOCK_NONBLOCK);
    assert_int_equal(net_connect_to(fd, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    write_state(GENERATION, 0);
    assert_int_equal(write(fd, text, sizeof text), -1);
    assert_int_equal(errno, EBADF);
    close(fd), close(listener);
    for (int i = 0; i < FULL; i++)
        close(fds[i]);
}

static const struct suite_test tests[] = {
    {"any byte of the state", any_byte_of_the_state, 200},
    {"while it connects", while_it_connects, 30},
};

static const struct suite_role roles[] = {{"listener", be_listener}};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_roles(roles, suite_count(roles));
    return suite_run(argc, argv);
}
