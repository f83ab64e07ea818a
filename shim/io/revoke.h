/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REVOKE_H
#define SOCKSEAL_REVOKE_H

/*
 * SOCKSEAL_REMOVED_KEYS=close: a connection whose key is taken out of the key file, or replaced under its
 * identity, ends with EKEYREVOKED. The program may be blocked in a call, or make none. So a thread of the
 * library's own checks the file once a second. It exists in this mode only, while the process has a sealed
 * connection, handles no signal, and stops looking when the file cannot be read any more (keyring_freeze()).
 */

/* Starts the thread if it is wanted and not there. Called when a connection is sealed or taken over, and in a
 * forked child. */
void revoke_watch(void);

#endif
