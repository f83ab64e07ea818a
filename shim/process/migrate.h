/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_MIGRATE_H
#define SOCKSEAL_MIGRATE_H

/*
 * A connection of another process tree, whose arena is in this memfd, is migrated into the local arena: its
 * state is copied. If the sender has a descriptor for it still, the sender's connection becomes a stub, which
 * gives ENOTCONN and becomes a connection again when it is passed back. The sender must be trusted, since the
 * contents of its memory are believed.
 */

#include "conn/conn.h"

/* NULL if another thread holds its locks at this moment, or it is not there, or there is no memory. `here` is
 * the socket's stub in the local arena, or NULL. The message that it came with was counted among its holders
 * there, and is counted here on return. `peek`: the message is not received yet; if nothing is migrated, it
 * goes on being counted there. */
struct conn *migrate_in(int arena, uint64_t cookie, struct conn *here, bool peek);

/* A message came with a connection that was migrated before: it is not counted there any more. */
void migrate_arrived(int arena, uint64_t cookie);

#endif
