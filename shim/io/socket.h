/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SOCKET_H
#define SOCKSEAL_SOCKET_H

/* Which sockets become sealed ones, and how. */

#include "conn/fdtable.h"

/* Makes the cryptography ready, once in a process, before its first connection. False if that cannot be had.
 */
bool socket_init_crypto(void);

/* Whether there is a usable key. What is wrong with the key file is in the log then. */
bool socket_have_keys(void);

/* Whether this process has set SO_RCVLOWAT on a socket that was not sealed then. */
extern _Atomic bool socket_low_water_used;

/* Makes fd a sealed descriptor. 0 or -errno; then conn is gone. `inherit`: the program wants it to survive
 * exec. */
int socket_seal(int fd, struct conn *conn, bool inherit);

/* Takes that back: fd is a plain descriptor again. */
void socket_unseal(const struct conn_handle *handle);

/* A table entry that outlived its descriptor, which was closed behind the doors' back: the number is another
 * socket now. */
void socket_forget_stale(int fd);

/* A copy of the program's address, zeroed behind its end. False if it is none that is known. */
bool socket_copy_peer(const struct sockaddr *address, socklen_t len, struct sockaddr_storage *copy);

/* Whether connecting fd, not sealed yet, to this address would make a sealed connection. */
bool socket_wants(int fd, const struct sockaddr *address, socklen_t len);

/* SOCKSEAL_STRICT: whether a rule names the address, and this is no TCP socket, which cannot be sealed. */
bool socket_strictly_refused(int fd, const struct sockaddr *address, socklen_t len);

/* Whether connections that come to this socket's port may be sealed ones. */
bool socket_names_port(int fd);

/* Whether fd is a TCP connection that a rule names, in one direction or the other, whoever made it. */
bool socket_names(int fd);

/* For a descriptor that this process was born with, and that no program with the library has handed over: if
 * it is a TCP connection that a rule matches, it is sealed from here on, as the side that the rule names. One
 * that cannot be is shut down. */
void socket_inherited(int fd);

/* Logs, at level debug, that a connection from or to this peer is not sealed. `port` is what rules compare.
 */
void socket_note_unsealed(const char *direction, const struct sockaddr *peer, uint16_t port);

#endif
