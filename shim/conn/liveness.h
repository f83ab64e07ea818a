/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LIVENESS_H
#define SOCKSEAL_LIVENESS_H

/* Whether a process that holds a connection, or a thread that holds a lock, is still alive. */

#include <stdbool.h>
#include <stdint.h>

/* Whether the thread of this id in this process's PID namespace is certainly dead. A zombie is dead. */
bool liveness_thread_dead(uint32_t id);

/* The same for a process. One whose first thread alone has ended is alive, though it looks like a zombie. */
bool liveness_process_dead(uint32_t id);

/* For work on all connections at once, which may all have the same holders: from liveness_begin_round() to
 * liveness_end_round() this thread asks the kernel for each process once. The two nest. */
void liveness_begin_round(void);
void liveness_end_round(void);

/* Finds out which PID namespace this process is in (self_space). */
void liveness_note_namespace(void);

/* From now on /proc is not read, so that zombies are not recognised (process/seccomp.h). */
void liveness_disable_proc(void);

#endif
