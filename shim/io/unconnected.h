/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_UNCONNECTED_H
#define SOCKSEAL_UNCONNECTED_H

/*
 * TCP sockets that have no connection yet. One socket may have several names: numbers in this process and in
 * others. connect(2) under one of them connects it under all, and while a thread is about to send, another
 * one may connect. So each such descriptor is in the table (FDTABLE_UNCONNECTED) until it is known what has
 * become of it:
 *
 *   - It is sealed: the connection is found by the socket's cookie, and the descriptor is one more of it.
 *   - It is a plain one: no rule matches.
 *   - A rule matches, and the connection is not known: a process without the library, or of another process
 *     tree, has connected it. Every call fails with EBADF.
 *
 * Calls that move bytes never do so on a socket that was unconnected when it was looked up. They wait first,
 * as the kernel does, and look it up again. Other calls ask only where there may be copies.
 */

#include "conn/fdtable.h"

/* Has the table ask what unconnected sockets have become. */
void unconnected_begin(void);

/* Enters fd, which may be anything, if it is a TCP socket without a connection that does not listen. False if
 * it is not. */
bool unconnected_note(int fd);

/* For a call with these MSG_ flags that is to send, or to receive: waits until the socket is connected, or
 * the call fails. 0: it has been looked up again. Else -errno; SIGPIPE is raised where the kernel does it. */
int unconnected_before_send(struct conn_handle *handle, int flags);
int unconnected_before_receive(struct conn_handle *handle, int flags);

#endif
