/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLI_STATUS_READ_H
#define SOCKSEAL_CLI_STATUS_READ_H

/*
 * Reads what processes publish (diag/statuspage.h), without disturbing them and without any right to their
 * memory. What is read was written by somebody else, perhaps with the intention to deceive: numbers are
 * checked, copies are made before they are looked at, and text is the caller's to escape.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "diag/statuspage.h"

struct status_connection {
    enum statuspage_state state;
    enum statuspage_direction direction;
    int error; /* errno of a failure, 0: none */
    uint16_t suite, group;
    uint32_t handshake_us;
    uint64_t cookie;
    uint64_t sent_bytes, sent_records, received_bytes, received_records;
    int64_t age_ms;
    struct statuspage_address local, peer;
    uint8_t identity_len;
    uint8_t identity[STATUSPAGE_IDENTITY_MAX];
};

struct status_counts {
    dev_t device; /* of the memfd: processes of which both are the same share the counts */
    ino_t inode;
    uint64_t counter[STATUSPAGE_COUNTERS];
    uint64_t failure[STATUSPAGE_FAILURES];
};

struct status_process {
    int pid;
    char program[64]; /* /proc/PID/comm as it is */
    bool counted;     /* `counts` was there */
    struct status_counts counts;
    size_t count; /* of connections */
    struct status_connection *connections;
    uint32_t not_shown; /* further connections, for which the process had no room */
    uint32_t changing;  /* further ones that changed each time that they were read */
};

enum status_result {
    STATUS_READ,         /* the process is described */
    STATUS_NOTHING,      /* it publishes nothing: it has sealed nothing, or does not have the library */
    STATUS_GONE,         /* there is no such process, or /proc hides it (hidepid) */
    STATUS_NOT_READABLE, /* another user's, or one that is protected like that */
    STATUS_NO_MEMORY,
};

/* Reads a process; status_free() follows if the result is STATUS_READ. */
enum status_result status_read(int pid, struct status_process *process);

/* Whether /proc is this process's own: mounted, and of its PID namespace or one above. Else nothing can be
 * read. */
bool status_proc_is_own(void);

/* Whether /proc hides the processes of other users from this one (hidepid=2 of proc(5)). */
bool status_proc_hides_others(void);

/* Whether the process runs a program, as far as /proc tells: a thread of the kernel's does not, nor does one
 * that has ended. */
bool status_may_run_program(int pid);

/* Whether the library is loaded there, as far as /proc tells. */
bool status_has_library(int pid);

void status_free(struct status_process *process);

/* Names for people and for programs. */
const char *status_state_name(enum statuspage_state state);
const char *status_failure_name(enum statuspage_failure failure); /* words with _ between them */

#endif
