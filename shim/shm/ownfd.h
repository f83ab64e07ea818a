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
    OWNFD_EPOLL,     /* connections with something pending (conn/pending.h) */
    OWNFD_LOG,       /* the log file */
    OWNFD_PIPE_READ, /* this and the next two: io/private_pipe.h */
    OWNFD_PIPE_WRITE,
    OWNFD_NULL,     /* /dev/null */
    OWNFD_FENCE,    /* a Landlock ruleset (process/fence.h) */
    OWNFD_WAKE,     /* wakes the worker (io/worker.h) */
    OWNFD_COUNTERS, /* this and the next: shm/statusmem.h */
    OWNFD_CONNECTIONS,
    OWNFD_REGIONS, /* this and the following: memory of connections, by the region's number (shm/region.h) */
    OWNFD_KINDS = OWNFD_REGIONS + 4096
};

/* The lowest number that is given to descriptors of the library's own. */
int ownfd_base(void);

/* Moves fd to a high number, close-on-exec, and records it as this kind; fd itself is closed. Gives the new
 * number, or -1 if there is none left. If another thread has recorded one meanwhile, gives that one. */
int ownfd_keep(enum ownfd_kind kind, int fd);

/* The same, for a caller that needs this very descriptor: false, with fd closed, if it was not recorded. */
bool ownfd_keep_first(enum ownfd_kind kind, int fd);

/* Records fd itself, which is at a high number, and marks it close-on-exec. There is none of this kind. */
void ownfd_adopt(enum ownfd_kind kind, int fd);

/* A close-on-exec copy of fd, at a high number if one is left, else at any. -1 if there is none. */
int ownfd_duplicate(int fd);

/* The descriptor of this kind, or -1. */
int ownfd_get(enum ownfd_kind kind);

/* The same for an eventfd, or an epoll. If the program has closed it past the doors, and another file has the
 * number, that is left to the program: -1. */
int ownfd_get_checked(enum ownfd_kind kind);

/* Closes it, if there is one. */
void ownfd_drop(enum ownfd_kind kind);

/* Whether fd is one of these. */
bool ownfd_is(int fd);

/* One past the highest of these; 0: there is none. */
int ownfd_bound(void);

/* If fd is one of these, moves it to another number. True if the log's descriptor was moved; its new number
 * is ownfd_get(OWNFD_LOG). */
bool ownfd_make_way(int fd);

#endif
