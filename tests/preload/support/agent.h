/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_AGENT_H
#define PRELOAD_AGENT_H

/*
 * A second process that makes calls when it is told to. It is forked before any connection exists, so that
 * its end of a connection has nothing in common with that of the test. Pointers in arguments must lie in
 * memory that was shared before.
 */

#include <sys/types.h>

enum { AGENT_ARGS = 6 };

/* One call: what to run, and what came of it. */
struct agent_call {
    long (*run)(const long *arg);
    long arg[AGENT_ARGS];
    long result;
    int error; /* errno after it; on entry it was AGENT_ERRNO */
};

enum { AGENT_ERRNO = 4095 }; /* a value that no call sets */

struct agent;

struct agent *agent_start(void);

/* Runs the call in the agent's process or, with agent == NULL, here. */
void agent_run(struct agent *agent, struct agent_call *call);

/* Ends the process in an orderly way. */
void agent_end(struct agent *agent);

#endif
