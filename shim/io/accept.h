/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ACCEPT_H
#define SOCKSEAL_ACCEPT_H

/* Connections that come to a listening socket. */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

/* accept4(2): a descriptor or -errno. Without a usable key a connection to be sealed is closed: -ENOKEY. */
int accept_from(int fd, struct sockaddr *address, socklen_t *len, int flags);

/* Before listen(2): reads the keys if connections to this socket may be sealed ones. */
void accept_prepare_listener(int fd);

/* Whether this process has, or was born with, a listening socket whose connections may be sealed ones; and
 * whether this is one. Another program must not serve it in the clear. */
extern _Atomic bool accept_listens;
bool accept_is_listener(int fd);

#endif
