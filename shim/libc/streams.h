/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_STREAMS_H
#define SOCKSEAL_STREAMS_H

/*
 * Streams of stdio over sealed descriptors. glibc's own streams call the kernel without passing a door, so
 * these are cookie streams (fopencookie(3)), whose reading and writing come back to the doors.
 *
 * stdin, stdout and stderr are variables: while their descriptor is sealed they point to a cookie stream, and
 * otherwise to glibc's own. What stands in the buffer of the one moves to the other. Any other stream of
 * glibc's whose descriptor becomes sealed under it (dup2) loses the descriptor: an error rather than a byte
 * in the clear.
 */

#include <stdbool.h>
#include <stdio.h>

/* A cookie stream over fd, as fdopen(3) would make it; NULL and errno. */
FILE *streams_open(int fd, const char *mode);

/* To be called when something else stands at descriptor fd than before; may allocate, if fd is a standard
 * descriptor that has become sealed, or plain again. Keeps errno. */
void streams_follow(int fd);

/* The same after dup2(2) onto fd, where another stream may be. */
void streams_replaced(int fd);

/* In a child that only goes on to another program, and was made without fork(3)'s care for libc's locks: from
 * now on streams stay as they are. */
void streams_leave(void);

/* Has `last` called when the process ends by exit(3): after its destructors, after every stream was flushed.
 * From the constructor. False if that cannot be had. */
bool streams_at_end(void (*last)(void));

/* From the destructor: the end is near. */
void streams_end_comes(void);

#endif
