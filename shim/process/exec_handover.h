/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXEC_HANDOVER_H
#define SOCKSEAL_EXEC_HANDOVER_H

/*
 * exec(2): sealed descriptors that the program has not marked close-on-exec reach the next program, with the
 * state of their connections. That state is in regions (shm/region.h), whose descriptors go along. A file,
 * the manifest, says for each socket which area of which region its connection is in: the next program finds
 * it there by SO_COOKIE, whatever the descriptor's number is.
 *
 * A region of several connections would bring the memory of others along. If no other process holds the
 * connection, a copy in a region of its own goes along instead, and it stays locked here until the exec.
 *
 * For the kernel every sealed descriptor is close-on-exec, so that a call that passes no door gives it to
 * nobody. The flag is cleared for the exec alone. The standard descriptors go by other numbers, and an empty
 * file that cannot be written takes their place until the library in the next program has moved them back:
 * neither a message of the dynamic linker to descriptor 2 nor a program that the library was not loaded into
 * may write to the connection.
 *
 * A connection whose last descriptor in the last process is close-on-exec is handed over too, marked "close
 * after exec": the next program sends close_notify and closes it, as the kernel goes on sending after an
 * exec.
 *
 * All of this works in a vfork(2) child, too, which has its parent's memory and descriptors of its own: there
 * the kernel's flag counts for descriptors that the child has made itself, and the parent's flag for all
 * others.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

enum { EXEC_HANDOVER_TEXT = 128, EXEC_HANDOVER_STANDARD = 3, EXEC_HANDOVER_PLACES = 32 };

/* The manifest is one struct exec_manifest and, for each connection, one struct exec_place. Who reads it
 * relies on these seals (F_ADD_SEALS, fcntl(2)). */
enum { EXEC_HANDOVER_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

struct exec_manifest {
    uint64_t tree; /* inherit_tree() */
};

struct exec_place {
    uint64_t cookie;
    int32_t region;
    uint32_t area;
};

struct exec_handover {
    bool any;           /* this process has sealed descriptors */
    bool ours;          /* the descriptor table is this process's */
    unsigned surviving; /* sealed descriptors that the next program gets */
    bool late;          /* another process has released a connection since the plan was made */
    int manifest;       /* -1: there is none */
    unsigned unwritten; /* of `places` */
    struct exec_place places[EXEC_HANDOVER_PLACES];
    int error;                            /* why a connection cannot be handed over, or 0 */
    unsigned close_after_exec;            /* connections that it is to end */
    int standard[EXEC_HANDOVER_STANDARD]; /* the numbers of 0, 1 and 2 meanwhile; -1: not moved */
    int aside[EXEC_HANDOVER_STANDARD];    /* copies of those to close after exec; -1: none */
    char text[EXEC_HANDOVER_TEXT];        /* for the next program: the value of ENVIRONMENT_STATE */
};

/* Finds what there is to hand over, without changing anything; false: this process has no sealed descriptor.
 */
bool exec_handover_plan(struct exec_handover *plan);

/* To be called just before exec(2), also when nothing survives, for the counting of holders. 0, or -errno
 * with everything as before; -EAGAIN: make the plan again. */
int exec_handover_begin(struct exec_handover *plan);

/* exec(2) has failed: makes everything as before. */
void exec_handover_undo(struct exec_handover *plan);

/* Sockets that the next program would get, listening on a named port or bound to one: a program without the
 * library would serve in the clear on it. Finds them; marks them close-on-exec, or takes that back. Of more
 * than so many the rest are marked at once, for good. */
enum { EXEC_HANDOVER_LISTENERS = 64 };

struct listeners {
    unsigned count;
    int fd[EXEC_HANDOVER_LISTENERS];
};

void exec_handover_find_listeners(struct listeners *found);
void exec_handover_keep_listeners(const struct listeners *found, bool keep);

/* The next program cannot close the connections marked "close after exec": ends them here, waiting as exit
 * would. */
void exec_handover_end_closing(void);

#endif
