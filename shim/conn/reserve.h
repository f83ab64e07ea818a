/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RESERVE_H
#define SOCKSEAL_RESERVE_H

/*
 * A socket that has no connection yet may get one under another of its names, in another process
 * (io/unconnected.h). All processes that have it must reach the connection's memory then. So a slot is
 * reserved for it before it gets into another process, by fork(2) or SCM_RIGHTS: whoever connects it puts the
 * connection there, and the others find it by the socket's cookie.
 */

#include "conn/conn.h"

/* The slot of the socket's connection, or one that is reserved now. 0 if there is no memory. */
arena_ref reserve_for(int fd);

/* Before a fork: reserves one for each unconnected socket of this process. */
void reserve_copies(void);

/* For a socket that is to be connected: takes the slot that is reserved for it. 0: there is none, or another
 * process has taken it. */
arena_ref reserve_claim(int fd);

/* This process has got a socket with a reserved slot. */
void reserve_arrived(arena_ref slot);

/* Gives up the slots of sockets that this process does not have any more. */
void reserve_sweep(void);

#endif
