/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAULTS_WIRE_H
#define SOCKSEAL_FAULTS_WIRE_H

/* What lies between two programs: hands on what they send, and does to it what the plan says. */

#include "plan.h"

#include <sys/types.h>

enum { WIRE_BYTES = 1 << 18 };

/* What travelled in one direction, as it was sent. */
struct trace {
    size_t len;
    uint8_t bytes[WIRE_BYTES];
};

struct wire_result {
    bool applied;   /* the stream was long enough for the fault to happen */
    bool must_fail; /* a protected record that is not the last one was changed */
};

/* Carries one connection until both sides are closed. Closes both descriptors. `traces` (to the server, to
 * the client) holds the last connection's at first, and this one's afterwards. */
struct wire_result wire_carry(int client, int server, const struct plan *plan, struct trace traces[2]);

/* Whom FAULT_KILL ends, and FAULT_SHORTAGE concerns: the wire ends a shortage when nothing happens any more.
 */
extern pid_t wire_victim;

#endif
