/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ACCEPT_H
#define SOCKSEAL_ACCEPT_H

/* Accepting connections. accept(2) returns when the kernel has a connection, and waits for no handshake: a
 * silent or hostile peer must not stop an accept loop. */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

/* accept4(2): a descriptor or -errno. Without a usable key a connection that is to be sealed is closed:
 * -ENOKEY. */
int accept_from(int fd, struct sockaddr *address, socklen_t *len, int flags);

/* To be called before listen(2): reads the keys if connections to this socket may have to be sealed. */
void accept_prepare_listener(int fd);

/* Whether this process has made, or was started with, a listening socket whose connections may have to be
 * sealed. A program without the library must not serve it in the clear. */
extern _Atomic bool accept_listens;

/* Whether fd is such a socket. */
bool accept_is_listener(int fd);

#endif
