/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXIT_H
#define SOCKSEAL_EXIT_H

/* The process's end waits for what the kernel does not have yet (io/close.h), for at most the time that each
 * orphan has. */

/* Waits until the orphans are done. */
void exit_wait_orphans(void);

/* At the process's end: finishes every connection that only this process holds. May wait as said above. */
void exit_finish(void);

#endif
