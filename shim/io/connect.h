/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONNECT_H
#define SOCKSEAL_CONNECT_H

/* Making connections. connect(2) returns when TCP is connected, and waits for no handshake: two programs that
 * connect to each other before either accepts must work, as on plain TCP. */

#include "conn/fdtable.h"

/* Whether this process has set TCP_QUICKACK to 0 on any socket. */
extern _Atomic bool connect_delayed_ack;

/* fd has just lost its connection in the clear, or has ceased to listen. By other names that it may have it
 * would be used in the clear, so it is not connected to a named port any more. */
void connect_note_used(int fd);

/* connect(2): 0 or -errno. Without a usable key a connection that is to be sealed is not made: -ENOKEY. */
int connect_to(int fd, const struct sockaddr *address, socklen_t len);

/* For a call on a descriptor that TCP may not have connected yet: 0 when it has, else the -errno that the
 * kernel gives to such a call. Waits if the descriptor and the MSG_ `flags` allow blocking, and until the
 * program's own limit at `until_ms` (sysio_limit()): -EAGAIN. */
int connect_wait(const struct conn_handle *handle, int flags, int64_t until_ms);

#endif
