/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_MOVING_H
#define SOCKSEAL_MOVING_H

/*
 * A connection of another tree, whose arena is in this memfd, moves into ours: its state is copied. The
 * sender, if he has a descriptor for it still, cannot use it any more (ENOTCONN), as he seldom wants to: he
 * has an empty shell. It becomes the connection again when that comes back. The sender must be trusted, for
 * what his memory says is believed.
 */

#include "conn/conn.h"

/* NULL if somebody is at work with it at this moment, or it is not there, or there is no memory. `here` is
 * what stands for the socket in our arena already, a shell, or NULL. The message that it came with was
 * counted among its holders there, and is counted here on return. `peek`: the message is not received yet; if
 * nothing is moved, it goes on being counted there. */
struct conn *migrate_in(int arena, uint64_t cookie, struct conn *here, bool peek);

/* A message came with a connection that has moved here before: it is not counted there any more. */
void migrate_arrived(int arena, uint64_t cookie);

#endif
