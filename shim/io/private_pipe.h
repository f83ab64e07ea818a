/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PRIVATE_PIPE_H
#define SOCKSEAL_PRIVATE_PIPE_H

/*
 * A pipe of the shim's own, through which bytes come out of the program's pipe, or go into it, without being
 * lost or blocking half-way: tee(2) shows what stands in a pipe and leaves it there, splice(2) puts in what
 * there is room for and waits for nothing. Both move pages, and copy nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct private_pipe {
    int read_end, write_end; /* both with O_NONBLOCK */
    bool kept;               /* the process's one, not a temporary one */
};

/* An empty pipe for this thread alone: 0 or -errno. To be given back before anything that may block, so that
 * one is enough for a process; a second user at the same moment gets a temporary one. */
int private_pipe_take(struct private_pipe *own);

/* Gives it back; `left`: bytes that may still stand in it, to be thrown away. */
void private_pipe_give(struct private_pipe *own, size_t left);

/* Takes up to `len` bytes out of any pipe and throws them away, without waiting. */
void private_pipe_discard(int fd, size_t len);

/* Opens what needs a file, before a program forbids itself to open one (sandbox.h). */
void private_pipe_ready(void);

/* In a forked child, which must not use its parent's. */
void private_pipe_after_fork(void);

#endif
