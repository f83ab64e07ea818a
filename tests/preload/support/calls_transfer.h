/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_CALLS_TRANSFER_H
#define PRELOAD_CALLS_TRANSFER_H

/*
 * The calls of a scenario (calls.h) that move bytes between A's end and a pipe or a file. All are made in
 * this process. A pipe's write end is ends[1].
 */

#include "scene.h"

#include <sys/types.h>

/* splice(2) from A into a pipe, or from a pipe to A; told with the result. */
long t_splice_in(struct scene *scene, const int pipe[2], size_t len, unsigned flags);
long t_splice_out(struct scene *scene, const int pipe[2], size_t len, unsigned flags);

/* sendfile(2) to A; told with the offset, or else the file's, afterwards. */
long t_sendfile(struct scene *scene, int file, off_t *offset, size_t len);

/* The pipe's other user, untold: puts text in. */
void t_pipe_put(const int pipe[2], const char *text);

/* ... fills it with pattern bytes from `place` on until not a page is left; gives how many. */
size_t t_pipe_fill(const int pipe[2], uint64_t place);

/* Tells how many bytes stand in the pipe; reads and tells up to `len` of them. */
void t_pipe_holds(struct scene *scene, const int pipe[2]);
void t_pipe_take(struct scene *scene, const int pipe[2], size_t len);

/* Tells the result of any call, with its name, made here. */
void t_tell_call(struct scene *scene, const char *name, long result);

/* A file of pattern bytes. */
int t_pattern_file(size_t len);

#endif
