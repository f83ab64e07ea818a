/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXEC_FENCED_H
#define SOCKSEAL_EXEC_FENCED_H

/*
 * execve(2) inside a fence (process/fence.h); which programs are run so: process/exec.h. An exec can fail, a
 * fence cannot be undone. So a thread made for this enters the fence and makes the call. If that succeeds,
 * the kernel ends all other threads, and the process goes on with what the thread had: the fence. If it
 * fails, only that thread is inside, and it ends.
 */

#include <stdbool.h>

enum { EXEC_ARGUMENTS = 5 };

/* execve(2) or execveat(2). */
struct exec_call {
    long number, arguments[EXEC_ARGUMENTS];
};

/* Returns only if it fails: -errno of the call or, with *outside, that of fence_enter(). Where the kernel
 * gives no thread, the calling thread enters the fence, and is inside afterwards. */
int exec_fenced(const struct exec_call *call, int ruleset, bool raises_rights, bool *outside);

#endif
