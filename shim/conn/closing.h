/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLOSING_H
#define SOCKSEAL_CLOSING_H

/*
 * How a sealed connection ends. On plain TCP, close() returns at once and the kernel goes on sending. Here
 * what the kernel does not have yet (a handshake that is not over, a queue, the rest of a record,
 * close_notify) is finished by a descriptor of our own, an orphan, which whoever waits drives, and for which
 * the process's end waits, for at most the handshake time-out.
 */

#include "conn/registry.h"

/* Whether this process has set SO_LINGER on any descriptor, listeners among them; saves asking at each close.
 */
extern _Atomic bool closing_linger_used;

/* Whether closing this descriptor may wait (SO_LINGER with a time). */
bool closing_lingers(const struct sealed *sealed);

/* To be called before the descriptor is closed or replaced: ends its connection if it was the last one. True
 * if it is hidden now (registry.h): registry_show(), or registry_add() of what replaces it, must follow.
 * False if there is nothing to do. */
bool closing_release(const struct sealed *sealed);

/* Closes a descriptor of the program's, as its close(2) would. */
void closing_close(const struct sealed *sealed);

/* Waits until the orphans are done, for at most the time that each of them has. */
void closing_wait_orphans(void);

/* shutdown(2). 0 or -errno. */
int closing_shutdown(const struct sealed *sealed, int how);

/* Sends what is due at the end of our direction: the queue, close_notify, a FIN. From drive_step(). */
void closing_finish_step(const struct sealed *sealed);

/* From drive_step(): an orphan is closed when it is over or its time is up; true if it was. */
bool closing_orphan_step(const struct sealed *sealed, bool over);

/* At the process's end: finishes every connection that only this process holds. May wait as said above. */
void closing_at_exit(void);

#endif
