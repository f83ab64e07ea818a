/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXIT_H
#define SOCKSEAL_EXIT_H

/* The end of a process. It waits for what the kernel does not have yet (io/close.h), until each orphan's
 * deadline at most, and no longer than SOCKSEAL_CLOSE_TIMEOUT in all. */

/* Waits until the orphans are done. */
void exit_wait_orphans(void);

/* Ends every connection that only this process holds. Waits as said above. Does nothing when called again. */
void exit_finish(void);

#endif
