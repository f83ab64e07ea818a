/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONNECT_H
#define SOCKSEAL_CONNECT_H

/* Connections that this process makes. */

#include "conn/fdtable.h"

/* connect(2): 0 or -errno. A connection to be sealed without a usable key is not made: -ENOKEY. */
int connect_to(int fd, const struct sockaddr *address, socklen_t len);

/* For a descriptor whose TCP connection is not made yet: 0 when it is, -errno of what the kernel says
 * meanwhile; waits if the descriptor and `flags` (MSG_) are blocking. */
int connect_wait(const struct conn_handle *handle, int flags);

#endif
