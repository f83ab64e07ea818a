/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_BLOCKING_H
#define SOCKSEAL_BLOCKING_H

/*
 * Calls that block or not as the kernel decides (O_NONBLOCK, SO_RCVTIMEO, signals), made with a role PARKED.
 * They are cancellation points, as the calls that they stand for are; a cancelled thread leaves the role in
 * order.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "conn/registry.h"

/* send(2) of ciphertext with the role tx. A byte count or -errno. -ESTALE: the role was lost while we were
 * away (see role_unpark), and is not held any more. */
ssize_t blocking_send(const struct sealed *sealed, const void *data, size_t len, int flags);

/* recv(2) and recvmsg(2) with the role rx; the same. If the descriptor was closed meanwhile
 * (registry_current()), what came is from its connection still, but its number may be another's: no further
 * call may be made on it. */
ssize_t blocking_receive(const struct sealed *sealed, void *buffer, size_t len, int flags);
ssize_t blocking_receive_message(const struct sealed *sealed, struct msghdr *message, int flags);

/* Whether a call on this descriptor with these MSG_ flags may block; asks the kernel. */
bool blocking_allowed(int fd, int flags);

/* Whether a system call that a signal has interrupted is to go on, because every handler of this process was
 * installed with SA_RESTART. poll(2), which we wait in, never restarts by itself. */
bool blocking_restarts(void);

/* Absolute end, in net_now_ms() milliseconds, of a wait under SO_RCVTIMEO or SO_SNDTIMEO; INT64_MAX: none. */
int64_t blocking_limit(int fd, int option);

#endif
