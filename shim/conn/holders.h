/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HOLDERS_H
#define SOCKSEAL_HOLDERS_H

/*
 * The processes that have a descriptor for a connection. They are counted, and the first CONN_HOLDERS of them
 * are named, so that one that was killed can be taken out. Whoever hands a connection over counts the
 * receiver before that exists: before fork, in a vfork child's exec, in a message on its way.
 */

#include "conn/conn.h"

/* Counts process `pid` and names it; and the reverse. */
void holders_add(struct conn *conn, int pid);
void holders_remove(struct conn *conn, int pid);

/* Counts one more that has no name yet (a child, a message), and one fewer: whether that was the last. */
void holders_count(struct conn *conn);
bool holders_uncount(struct conn *conn);

/* Names a process that is counted already. */
void holders_name(struct conn *conn, int pid);

/* Takes process `pid` out, and those that are dead: whether that left none. */
bool holders_leave(struct conn *conn, int pid);

/* Whether process `pid` is named; false also where there were more than can be named. */
bool holders_include(const struct conn *conn, int pid);

/* Takes out the named ones of which `dead` says so: whether that left none. */
bool holders_drop_dead(struct conn *conn, bool (*dead)(uint32_t pid));

/* Whether no other process holds the connection. */
bool holders_only(struct conn *conn);

#endif
