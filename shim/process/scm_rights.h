/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PASSING_H
#define SOCKSEAL_PASSING_H

/*
 * SCM_RIGHTS (unix(7)): descriptors that are passed to another process. A process that got a sealed one
 * without its connection's state would send in the clear. Nobody can tell who will read a message, so the
 * sealed descriptor is not in it: in its place goes an envelope, a socket of which nothing can be made but to
 * take out, by the shim in the process that receives it, the sealed descriptor and the arena. A process
 * without the shim holds a dead socket.
 *
 * A process of the same tree has the arena already. One that has none yet maps it, and into another tree the
 * connection moves (process/migrate.h), if the sender runs under the same user: whoever controls the arena
 * controls who reads it. Between users it is refused: the sender gets EACCES where he is connected to another
 * user's process; otherwise the receiver finds a socket that is shut down, and a log line.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Whether the message carries a sealed descriptor. */
bool scm_rights_concerns(const struct msghdr *message);

/* sendmsg(2) of such a message on a descriptor that is not sealed: a byte count or -errno. */
ssize_t scm_rights_send(int fd, const struct msghdr *message, int flags);

/* To be called on a message that recvmsg(2) has filled in with these flags: what is in envelopes is taken
 * out. A TCP connection that comes without one, and that a rule matches, is sealed from here on
 * (exec_adopt_stray()). Keeps errno. */
void scm_rights_received(struct msghdr *message, int flags);

#endif
