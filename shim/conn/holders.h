/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HOLDERS_H
#define SOCKSEAL_HOLDERS_H

/*
 * The processes that have a descriptor for a connection. They are counted, and the ids of the first
 * CONN_HOLDERS of them are recorded, so that one that was killed can be removed. A process that hands a
 * connection over counts the receiver before it exists: before fork, in a vfork child's exec, or while a
 * message with the connection is in a Unix socket.
 */

#include "conn/conn.h"

/* Counts process `pid` and records its id; and the inverse. */
void holders_add(struct conn *conn, int pid);
void holders_remove(struct conn *conn, int pid);

/* Counts one more, whose id is not known yet: a child, or a message. */
void holders_count(struct conn *conn);

/* Counts one fewer. Whether that was the last. */
bool holders_uncount(struct conn *conn);

/* Records the id of a process that is counted already. */
void holders_name(struct conn *conn, int pid);

/* Removes process `pid`, and every recorded one that is dead. Whether that left none. */
bool holders_leave(struct conn *conn, int pid);

/* Whether the id of process `pid` is recorded. It may be missing if there are more than CONN_HOLDERS. */
bool holders_include(const struct conn *conn, int pid);

/* This process has got the connection from another one, perhaps of another PID namespace. */
void holders_meet(struct conn *conn);

/* Whether no other process than the caller's holds the connection. */
bool holders_only(struct conn *conn);

#endif
