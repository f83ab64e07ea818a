/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAULTS_PLAN_H
#define SOCKSEAL_FAULTS_PLAN_H

/* What happens in one case, made from its number alone, so that a number is all that it takes to repeat it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the wire does, in one direction, from one offset on. */
enum fault {
    /* Harmless: all must arrive. */
    FAULT_NONE,
    FAULT_DELAY,   /* a pause */
    FAULT_DRIBBLE, /* a few bytes at a time */
    FAULT_HARMFUL, /* those below: a right prefix, and then an error or the true end */
    FAULT_FLIP = FAULT_HARMFUL,
    FAULT_DROP,
    FAULT_REPEAT,
    FAULT_REORDER,      /* two pieces of `len` bytes exchanged */
    FAULT_INSERT,       /* garbage */
    FAULT_SWAP_RECORDS, /* the record at the offset comes behind the next */
    FAULT_DROP_RECORD,
    FAULT_REPLAY,   /* the record at the offset comes once more behind the next */
    FAULT_SPLICE,   /* bytes of another connection, from the same place */
    FAULT_REFLECT,  /* what follows goes back to its sender, too */
    FAULT_TRUNCATE, /* nothing more, and a FIN, in this direction */
    FAULT_CLOSE,    /* FINs in both */
    FAULT_RESET,    /* a RST to the receiver, the sender is closed */
    FAULT_RESET_BOTH,
    FAULTS,
    FAULT_KILL = FAULTS, /* one of the programs ends by a signal: deaths alone, plan_of_death() */
    FAULT_SHORTAGE,      /* one gets nothing more from the kernel, for a while: plan_of_shortage() */
    FAULTS_NAMED,
};

extern const char *const fault_names[FAULTS_NAMED];

/* How the programs use their sockets. */
enum mode { MODE_BLOCKING, MODE_EPOLL, MODE_EDGE, MODES };

struct plan {
    uint64_t number;
    enum fault fault;
    bool to_client; /* the direction */
    size_t at, len;
    uint8_t mask;
    enum mode client_mode, server_mode;
    bool server_first;               /* with two blocking programs: who writes before it reads */
    size_t from_client, from_server; /* bytes of plaintext */
    size_t chunk;                    /* a write's size */
    bool hits_client;                /* with FAULT_KILL and FAULT_SHORTAGE: which program */
    int signal;                      /* by which it is killed */
    bool is_first;                   /* it has had no connection before */
    unsigned shortage;               /* the set of what it does not get: shortage.h */
};

/* The first cases go through the faults and directions at every offset of handshake and first records; the
 * others are at random. */
struct plan plan_of(uint64_t number);

/* The same with a death in the wire's fault's place. */
struct plan plan_of_death(uint64_t number);

/* The same with a shortage there. */
struct plan plan_of_shortage(uint64_t number);

#endif
