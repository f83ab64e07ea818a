/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LIVENESS_H
#define SOCKSEAL_LIVENESS_H

/* Whether a process or a thread that has a part in a connection is still alive. */

#include <stdbool.h>
#include <stdint.h>

/* Whether the thread of this id is certainly dead; a zombie is. A process is not, whose first thread has
 * ended before others. */
bool liveness_thread_dead(uint32_t id);
bool liveness_process_dead(uint32_t id);

/* The same, but a zombie is not taken for one: asks the kernel only. */
bool liveness_gone(uint32_t id);

/* Looks whether this process is in the arena's first process's PID namespace; if not, ids tell nothing any
 * more, and nobody is taken for dead. */
void liveness_note_namespace(void);

/* From now on no file is opened to see whether a process is a zombie (process/seccomp.h). */
void liveness_disable_proc(void);

#endif
