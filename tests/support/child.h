/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

/* Runs a piece of a test in a process of its own: for what can happen once in a process, or ends it. */

struct child_result {
    int status;        /* as exit(3) got it, or 128 + the signal's number */
    char output[8192]; /* what it wrote to standard error, terminated */
};

/* `function` gives the exit status; the child ends without flushing or cleaning up. */
void child_run(struct child_result *result, int (*function)(void *), void *argument);

#endif
