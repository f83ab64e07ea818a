/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SOCKET_H
#define SOCKSEAL_SOCKET_H

/* Which sockets are to be sealed, and how they become so. */

#include "conn/fdtable.h"

/* Initialises libsodium, once in a process, before its first connection. False if that fails. */
bool socket_init_crypto(void);

/* Whether connections can be sealed: 0; -ENOKEY, there is no usable key; -EIO, there are no random numbers.
 * The log says what is wrong. */
int socket_check_keys(void);

/* For a connection that there is no memory for: a line in the log, and -ENOBUFS. */
int socket_no_memory(void);

/* Whether this process has set SO_RCVLOWAT on a socket that was not sealed then. */
extern _Atomic bool socket_low_water_used;

/* Makes fd a sealed descriptor of this new connection, and starts the handshake. `inherit`: the program wants
 * fd to survive exec. 0, or -errno with the connection discarded. */
int socket_seal(int fd, struct conn *conn, bool inherit);

/* Undoes it: fd is a plain descriptor again. */
void socket_unseal(const struct conn_handle *handle);

/* Removes the table entry of an earlier descriptor of this number, which was closed without passing a door.
 */
void socket_forget_stale(int fd);

/* Copies the program's address, and zeroes what is behind its end. False if it is not IPv4 or IPv6. */
bool socket_copy_peer(const struct sockaddr *address, socklen_t len, struct sockaddr_storage *copy);

/* Whether connecting fd, not sealed yet, to this address would make a sealed connection. *peer: the address
 * that the kernel connects it to. */
bool socket_wants(int fd, const struct sockaddr *address, socklen_t len, struct sockaddr_storage *peer);

/* With SOCKSEAL_STRICT: whether a rule names the address, but fd is not a TCP socket and cannot be sealed.
 * Logs that. */
bool socket_strictly_refused(int fd, const struct sockaddr *address, socklen_t len);

/* Whether connections that come to this socket's port may have to be sealed. */
bool socket_names_port(int fd);

/* Whether fd is a TCP connection that a rule names in one direction or the other, whoever made it. */
bool socket_names(int fd);

/* The same of one that connect(2) has made, so that only rules for connecting count. */
bool socket_names_connected(int fd);

/* For a descriptor that this process was started with, and that no program with the library has handed over.
 * If it is a TCP connection that a rule matches, it is sealed from now on, in the role that the rule names.
 * If it cannot be sealed, it is shut down. */
void socket_inherited(int fd);

/* Counts a connection that is to be sealed, and for which socket_check_keys() has given `error`. Gives that.
 */
int socket_without_key(int error);

/* Counts a connection from or to this peer that is not sealed, and logs it at level debug. `port` is what
 * rules compare. */
void socket_note_unsealed(const char *direction, const struct sockaddr *peer, uint16_t port);

#endif
