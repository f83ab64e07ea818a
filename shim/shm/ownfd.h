/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_OWNFD_H
#define SOCKSEAL_OWNFD_H

/*
 * Descriptors of the library's own. They have high numbers, survive close(), closefrom() and close_range(),
 * give way when the program puts something at their number (io/close.h), and look closed to the program.
 */

#include <stdbool.h>

enum ownfd_kind {
    OWNFD_EPOLL, /* connections with something pending (conn/pending.h) */
    OWNFD_ARENA, /* the memory that a process tree shares (shm/segments.h) */
    OWNFD_LOG,   /* the log file */
    OWNFD_PIPE_READ,
    OWNFD_PIPE_WRITE,
    OWNFD_NULL,  /* /dev/null; these three: io/private_pipe.h */
    OWNFD_FENCE, /* a ruleset (process/fence.h) */
    OWNFD_KINDS
};

/* The lowest number that is given to descriptors of the library's own. */
int ownfd_base(void);

/* Moves fd to a high number, close-on-exec, closes the low one and records it as this kind. Returns the new
 * number, or -1 with fd closed. If another thread has recorded one meanwhile, returns that. */
int ownfd_keep(enum ownfd_kind kind, int fd);

/* The same; false, with fd closed, if none is recorded or another one is. */
bool ownfd_keep_first(enum ownfd_kind kind, int fd);

/* A close-on-exec copy of fd at a high number if there is one left, else at any; -1 if there is none. */
int ownfd_duplicate(int fd);

/* The descriptor of this kind, or -1. */
int ownfd_get(enum ownfd_kind kind);

/* Closes it, if there is one. */
void ownfd_drop(enum ownfd_kind kind);

/* Whether fd is one of these. */
bool ownfd_is(int fd);

/* One past the highest of these; 0: there is none. */
int ownfd_bound(void);

/* If fd is one of these, moves it to another number. True if the log's descriptor has moved: to
 * ownfd_get(OWNFD_LOG). */
bool ownfd_make_way(int fd);

#endif
