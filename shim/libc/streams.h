/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_STREAMS_H
#define SOCKSEAL_STREAMS_H

/*
 * stdio over sealed descriptors. glibc's streams read, write and close their descriptor with system calls of
 * their own, past the doors, but by way of a table of functions that every stream points to. Here the entries
 * for these three calls are replaced: for a sealed descriptor they call the doors, for any other what stood
 * there before. So every stream of the process is covered, whenever it was made and whoever keeps a pointer
 * to it: stdin, stdout and stderr, what fdopen(3) or popen(3) gave, wide streams, the FILE behind std::cout.
 */

#include <stdbool.h>

/* From the constructor, before a descriptor is sealed; the process has one thread then. False if this C
 * library's tables are not as expected: then a stream could write in the clear, and nothing may be sealed. */
bool streams_begin(void);

/* Puts /dev/null in the place of the connection at fd, for a function of libc's that closes it or puts
 * something else there past the doors. */
void streams_make_way(int fd);

/* Has `last` called when the process ends by exit(3): after its destructors, after every stream was flushed.
 * From the constructor. False if that cannot be had. */
bool streams_at_end(void (*last)(void));

/* From the destructor: the end is near. */
void streams_end_comes(void);

#endif
