/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ADOPTION_H
#define SOCKSEAL_ADOPTION_H

/*
 * A program begins with descriptors that it was given. `text` is what the program before left
 * (process/exec_handover.h), NULL if nothing: its connections are taken over, those that are doomed are
 * closed. Any other TCP connection that this process was born with and that a rule matches becomes a sealed
 * one, with its handshake before it: it comes from a program without the shim (an inetd, say), and must not
 * go on in the clear. From the constructor. Ends the process when state that was handed over cannot be used.
 */
void exec_adopt_inherited(const char *text);

struct conn;

/* Lets fd, which another process has passed to this one, stand for the connection. */
void exec_adopt_passed(int fd, struct conn *conn);

/* The same for an fd that came without word of its connection: one more for a connection that stands here
 * already, or, if a rule matches, for a new one (socket_inherited()). */
void exec_adopt_stray(int fd);

#endif
