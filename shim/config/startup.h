/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_STARTUP_H
#define SOCKSEAL_STARTUP_H

/* What a program would find out later, said when it starts: a key file that cannot be used, a log or key log
 * file that cannot be written. config_load() or config_examine() must have returned. */

/* For the command: looks at all of it, logs each fault, gives their number. Changes and makes no file. */
unsigned startup_check(void);

/*
 * For the library: the same, but what the key file holds is not looked at, and only the first fault is
 * logged. In a process whose parent is under the library nothing is said: the first process of the tree has
 * said it, or has read the keys with rights that this process does not have.
 */
void startup_report(void);

#endif
