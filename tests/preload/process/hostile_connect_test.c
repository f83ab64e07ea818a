/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * A socket that was copied into another process before it is connected: its connection's memory is shared
 * before the handshake begins. A thread stands for the other process. It writes the counts of what is to be
 * offered while the ClientHello is made of them: that must neither crash the process that connects, nor put
 * what lies behind the connection's memory on the wire.
 */

#include "suite.h"

#include "net.h"

#include "tls/tls_call.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 150, CHANGE_EVERY = 64 };

static _Atomic(struct tls_handshake_data *) begun;
static _Atomic bool over;

static void *write_counts(void *context)
{
    (void)context;
    for (unsigned i = 0; !over; i++) {
        struct tls_handshake_data *handshake = begun;
        struct tls_hello_offer *offer = handshake ? &handshake->client.offer : NULL;
        size_t *const counts[] = {offer ? &offer->psk_count : NULL, offer ? &offer->suite_count : NULL,
                                  offer ? &offer->group_count : NULL};
        if (offer)
            __atomic_store_n(counts[i / CHANGE_EVERY % 3], i % 2 ? SIZE_MAX : 100000, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* The memory of the only connection: its first chunk is the handshake's. */
static struct tls_handshake_data *reserved_memory(void)
{
    char line[512];
    unsigned long found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long from;
        char rights[5], path[256] = "";
        if (sscanf(line, "%lx-%*x %4s %*s %*s %*s %255s", &from, rights, path) == 3 &&
            strcmp(rights, "rw-s") == 0 && strcmp(path, "/memfd:sockseal") == 0)
            found = from;
    }
    if (maps)
        fclose(maps);
    return (struct tls_handshake_data *)found; // NOLINT: the address is from the kernel
}

static void connect_once(const struct sockaddr_in *address)
{
    const struct linger now = {1, 0};
    const int fd = net_client(&net_sealed, SOCK_NONBLOCK);
    const pid_t other = suite_fork();
    if (other == 0)
        _exit(0);
    suite_wait(other);
    begun = reserved_memory();
    assert_non_null(begun);
    (void)net_connect_to(fd, address);
    begun = NULL;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void counts_of_the_offer(void)
{
    struct sockaddr_in address;
    pthread_t thread;
    if (!suite_has_library())
        skip();
    const int listener = net_listen(&net_sealed, 4096, &address);
    assert_int_equal(pthread_create(&thread, NULL, write_counts, NULL), 0);
    for (int i = 0; i < ROUNDS; i++)
        connect_once(&address);
    over = true;
    pthread_join(thread, NULL);
    close(listener);
}

static const struct suite_test tests[] = {
    {"counts of the offer, while it is made", counts_of_the_offer, 60},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
