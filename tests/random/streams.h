/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RANDOM_STREAMS_H
#define SOCKSEAL_RANDOM_STREAMS_H

/*
 * The connections that all threads and processes use, and how far each direction has come. The counts lie in
 * memory that the processes share. Who writes or reads holds a direction's lock meanwhile, so that the byte
 * at each offset is known.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 4, IN_FLIGHT_MAX = 48 * 1024, STATE_FD = 200, LIMIT_S = 60 };

struct stream {
    pthread_mutex_t writing, reading;
    _Atomic uint64_t written, received;
};

struct state {
    uint64_t seed;
    int fds[CONNECTIONS][2];
    struct stream streams[CONNECTIONS][2]; /* [i][e]: what end e of connection i sends */
    /* A connection of the signal handlers' own: they write what they can, one at a time. */
    int handler_fds[2];
    _Atomic bool handler_writes;
    _Atomic uint64_t handler_written;
    _Atomic uint64_t calls, handled, forks, visits;
};

extern struct state *state;

/* Held for reading while a thread makes a connection. */
extern pthread_rwlock_t streams_connecting;

/* A random number below `below`, of the calling thread's own sequence. */
unsigned draw(unsigned below);
void draw_from(uint64_t seed);

uint8_t stream_byte(unsigned connection, unsigned end, uint64_t offset);

/* Ends the process tree's run: says what is wrong, with the seed. */
void broken(const char *what, long a, long b) __attribute__((noreturn));

/* Makes the shared memory at STATE_FD, and the connections. */
void streams_create(uint64_t seed, const char *from, const char *to);

/* The memory that a process before this one made. */
void streams_attach(void);

/* Both ends of a new connection between these addresses. */
void streams_connect(int fds[2], const char *from, const char *to);

/* One random call on a random connection. */
void streams_call(void);

/* What a handler does: a write on the handlers' connection, or a look at another one. */
void streams_in_handler(void);

/* A connection made, used and closed by the calling thread alone. */
void streams_visit(const char *from, const char *to);

/* All directions are ended, and everything that was written must be there, and then the end. */
void streams_finish(void);

#endif
