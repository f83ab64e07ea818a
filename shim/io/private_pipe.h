/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PRIVATE_PIPE_H
#define SOCKSEAL_PRIVATE_PIPE_H

/*
 * A pipe of the library's own, through which bytes are moved from the program's pipe, or to it, without
 * losing any or blocking half-way. tee(2) shows what is in a pipe and leaves it there; splice(2) puts in what
 * there is room for. Both move pages and copy nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct private_pipe {
    int read_end, write_end; /* both with O_NONBLOCK */
    bool kept;               /* it is the one that the process keeps, not a temporary one */
};

/* Takes an empty pipe for this thread alone: 0 or -errno. To be given back before any call that may block, so
 * that the process needs only one. A second user at the same moment gets a temporary one. */
int private_pipe_take(struct private_pipe *own);

/* Gives it back. `left`: at most so many bytes are still in it, and are thrown away. */
void private_pipe_give(struct private_pipe *own, size_t left);

/* Takes up to `len` bytes out of a pipe, the program's or the library's, and throws them away. Does not wait.
 */
void private_pipe_discard(int fd, size_t len);

/* Opens /dev/null before the program forbids itself to open files (process/seccomp.h). */
void private_pipe_ready(void);

/* In a forked child: drops the pipe, which is its parent's. */
void private_pipe_after_fork(void);

#endif
