/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_OPEN_H
#define SOCKSEAL_OPEN_H

/* Which connections become sealed ones, and how. */

#include "conn/registry.h"

/* connect(2): 0 or -errno. A connection to be sealed without a usable key is not made: -ENOKEY. */
int open_connect(int fd, const struct sockaddr *address, socklen_t len);

/* accept4(2): a descriptor or -errno. Without a usable key a connection to be sealed is closed: -ENOKEY. */
int open_accept(int fd, struct sockaddr *address, socklen_t *len, int flags);

/* For a descriptor whose TCP connection is not made yet: 0 when it is, -errno of what the kernel says
 * meanwhile; waits if the descriptor and `flags` (MSG_) are blocking. */
int open_wait_connected(const struct sealed *sealed, int flags);

/* Before listen(2): reads the keys if connections to this socket may be sealed ones. */
void open_prepare_listener(int fd);

/* Whether this process has, or was born with, a listening socket whose connections may be sealed ones; and
 * whether this is one. Another program must not serve it in the clear. */
extern _Atomic bool open_listens;
bool open_is_listener(int fd);

/* Whether connecting fd, not sealed yet, to this address would make a sealed connection. */
bool open_wants(int fd, const struct sockaddr *address, socklen_t len);

/* For a descriptor that this process was born with, and that no program with the shim has handed over: if it
 * is a TCP connection that a rule matches, it is sealed from here on, as the side that the rule names. One
 * that cannot be is shut down. */
void open_inherited(int fd);

/* Makes the cryptography ready, once in a process, before its first connection. False if that cannot be had.
 */
bool open_crypto(void);

/* Whether fd is a TCP socket, in any state. */
bool open_is_tcp(int fd);
/* Whether fd is a TCP connection that a rule names, in one direction or the other, whoever made it. */
bool open_names(int fd);

/* The address in short form. */
struct conn_address open_address(const struct sockaddr *address);

/* Fills in conn->local, for log lines, if that has not been done. */
void open_name_local(const struct sealed *sealed);

#endif
