/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAULTS_PROGRAM_H
#define SOCKSEAL_FAULTS_PROGRAM_H

/* The sealed programs at the ends of the wire. Each carries out orders that come over descriptor 3. */

#include "plan.h"

#include <sys/types.h>

enum { PROGRAM_ORDERS = 3, PROGRAM_LIMIT_MS = 20000 };

struct order {
    uint64_t number;
    enum mode mode;
    bool writes_first;
    bool client;
    uint16_t port; /* where a client connects to */
    size_t out, in, chunk;
};

struct report {
    uint64_t number;
    size_t received;
    ssize_t wrong; /* the offset of the first byte that is not what was sent; -1: all are */
    int end;       /* how reading ended: 0, or the errno; ETIME: it did not in time */
    int write_error;
};

/* The byte at an offset of a stream. */
static inline uint8_t stream_byte(uint64_t number, bool from_client, size_t offset)
{
    uint64_t x = (number * 2 + from_client) * 0x9e3779b97f4a7c15 + offset / 8 * 0xbf58476d1ce4e5b9;
    x ^= x >> 29;
    x *= 0x94d049bb133111eb;
    return (uint8_t)(x >> (offset % 8 * 8));
}

/* The main program of one. A server's first message is its port. */
int program_main(bool client);

#endif
