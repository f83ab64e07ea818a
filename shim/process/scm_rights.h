/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SCM_RIGHTS_H
#define SOCKSEAL_SCM_RIGHTS_H

/*
 * SCM_RIGHTS (unix(7)): descriptors that are passed to another process. A process that got a sealed one
 * without its connection's state would send in the clear. It is not known which process will read a message,
 * so the sealed descriptor is not in it. A hand-off socket takes its place: the library in the receiving
 * process takes the sealed descriptor and that of its region out of it, and maps the connection's area. A
 * process without the library has a socket that is of no use.
 *
 * Sender and receiver share the connection from then on. Between process trees of different users that is
 * refused: the sender gets EACCES if it is connected to another user's process; otherwise the receiver gets a
 * socket that is shut down, and a log line.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Whether the message carries a sealed descriptor. */
bool scm_rights_concerns(const struct msghdr *message);

/* sendmsg(2) of such a message on a descriptor that is not sealed: a byte count or -errno. */
ssize_t scm_rights_send(int fd, const struct msghdr *message, int flags);

/* To be called on a message that recvmsg(2) has filled in with these flags: sealed descriptors are taken
 * out. A TCP connection that comes without one, and that a rule matches, is sealed from here on
 * (exec_adopt_stray()). Keeps errno. */
void scm_rights_received(struct msghdr *message, int flags);

#endif
