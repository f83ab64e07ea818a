/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXEC_ADOPT_H
#define SOCKSEAL_EXEC_ADOPT_H

/*
 * A program starts with descriptors that it was given. `text` is the state that the program before it handed
 * over (process/exec_handover.h), or NULL. The connections of that state are taken over; those marked "close
 * after exec" are closed. Any other TCP connection that is open at the start and that a rule matches becomes
 * a sealed one, whose handshake is still to come: it comes from a program without the library (an inetd,
 * say), and must not go on in the clear. From the constructor. Ends the process if state that was handed over
 * cannot be used.
 */
void exec_adopt_inherited(const char *text);

struct conn;

/* Makes fd, which another process has passed to this one, a descriptor of the connection. */
void exec_adopt_passed(int fd, struct conn *conn);

/* The same for an fd that came without its connection's state: one more descriptor of a connection that this
 * process has already, or, if a rule matches, of a new one (socket_inherited()). */
void exec_adopt_stray(int fd);

#endif
