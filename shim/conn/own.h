/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_OWN_H
#define SOCKSEAL_OWN_H

/*
 * Descriptors of the shim's own. They stand at high numbers, survive close(), closefrom() and close_range(),
 * give way when the program puts something at their number, and look closed to it.
 */

#include <stdbool.h>

enum own_kind { OWN_EPOLL, OWN_ARENA, OWN_LOG, OWN_PIPE_READ, OWN_PIPE_WRITE, OWN_NULL, OWN_KINDS };

/* OWN_PIPE_READ, OWN_PIPE_WRITE and OWN_NULL: private_pipe.h. */

/* Moves fd to a high number, close-on-exec, closes the low one and records it as this kind. Gives the new
 * number, or -1 with fd closed. If another thread has recorded one meanwhile, gives that. */
int own_keep(enum own_kind kind, int fd);

/* The same; false, with fd closed, if none is recorded or another one is. */
bool own_keep_first(enum own_kind kind, int fd);

/* A close-on-exec copy of fd at a high number if there is one left, else at any; -1 if there is none. */
int own_duplicate(int fd);

/* The descriptor, or -1. */
int own_get(enum own_kind kind);

/* Closes it, if there is one. */
void own_drop(enum own_kind kind);

/* Whether fd is one of ours, orphans (closing.h) included. */
bool own_is(int fd);

/* One past the highest descriptor that is sealed or ours. */
int own_bound(void);

/* If fd is one of ours, moves that elsewhere: the program is about to put something there. (A vfork(2) child
 * replaces its own copy only.) */
void own_make_way(int fd);

#endif
