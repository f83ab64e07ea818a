/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REVOKE_H
#define SOCKSEAL_REVOKE_H

/*
 * SOCKSEAL_REMOVED_KEYS=close: a connection whose key is taken out of the key file, or replaced under its
 * identity, ends with EKEYREVOKED. The program may be blocked in a call, or make none. So the
 * worker (io/worker.h) checks the file once a second, in this mode only, while the process has a sealed
 * connection, and until the file cannot be read any more (keyring_freeze()).
 */

#include <stdint.h>

/* Starts the checks, if they are wanted. Called when a connection is sealed or taken over, and in a forked
 * child. */
void revoke_watch(void);

/* For the worker: when it is to check next, a time of net_now_ms(), INT64_MAX: never; the check, if it is
 * time; and a line in the log, once, if there can be no worker. */
int64_t revoke_next(void);
void revoke_check(void);
void revoke_impossible(void);

#endif
