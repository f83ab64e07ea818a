/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HANDOVER_H
#define SOCKSEAL_HANDOVER_H

/*
 * exec(2): sealed descriptors that the program has not marked close-on-exec reach the next program, with the
 * state of their connections. That state lies in the arena, whose memfd goes along; the next program finds a
 * descriptor's connection by its socket (arena_find()), whatever number it came by.
 *
 * For the kernel every sealed descriptor is close-on-exec, so that none escapes by a way that is no door. It
 * is cleared for the exec alone. The standard descriptors go by other numbers, and an empty file that cannot
 * be written stands in for them, until the shim in the next program has put them back: what the dynamic
 * linker has to say to descriptor 2, or a program that the shim did not get into, must not reach the wire.
 *
 * A connection whose last descriptor in the last process is close-on-exec is handed over too, marked as
 * doomed: the next program ends it in good order, as the kernel goes on sending behind an exec.
 *
 * All of this works in a vfork(2) child, too, which has its parent's memory and descriptors of its own: there
 * the kernel's flag is the program's word (descriptors that it has made itself), or the parent's mark.
 */

#include <stdbool.h>

enum { EXEC_HANDOVER_TEXT = 128, EXEC_HANDOVER_STANDARD = 3 };

struct exec_handover {
    bool any;                             /* this process has sealed descriptors */
    bool ours;                            /* the registry is this process's */
    unsigned surviving;                   /* sealed descriptors that the next program gets */
    bool late;                            /* another process has given up a connection since we looked */
    unsigned close_after_exec;            /* connections that it is to end */
    int standard[EXEC_HANDOVER_STANDARD]; /* where 0, 1 and 2 stand meanwhile, -1: nowhere */
    int aside[EXEC_HANDOVER_STANDARD];    /* copies of those that are doomed; -1: none */
    char text[EXEC_HANDOVER_TEXT];        /* for the next program: the value of ENVIRONMENT_STATE */
};

/* Looks what there is to hand over, without changing anything; false: this process has no sealed descriptor.
 */
bool exec_handover_plan(struct exec_handover *plan);

/* To be called just before exec(2), also when nothing survives, for the bookkeeping: 0 or -errno, after which
 * everything stands as before. -EAGAIN: plan anew. */
int exec_handover_begin(struct exec_handover *plan);

/* exec(2) has failed: everything stands as before. */
void exec_handover_undo(struct exec_handover *plan);

/* Listening sockets that the next program would get, and whose connections are to be sealed: whether there
 * are some; and keeps them from it (they are marked close-on-exec), or takes that back. */
enum { EXEC_HANDOVER_LISTENERS = 64 };

struct listeners {
    unsigned count; /* the first so many are named */
    int fd[EXEC_HANDOVER_LISTENERS];
};

bool exec_handover_listeners(struct listeners *found);
void exec_handover_keep_listeners(const struct listeners *found, bool keep);

/* The next program cannot take care of doomed connections: ends them here, waiting as exit would. */
void exec_handover_end_closing(void);

#endif
