/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_MOVING_H
#define SOCKSEAL_MOVING_H

/*
 * A connection of another tree, whose arena is in this memfd, moves into ours: its state is copied, and the
 * sender cannot use it any more (ENOTCONN), as he seldom wants to. NULL if somebody is at work with it at
 * this moment, or it is not there, or there is no memory. The sender must be trusted, for what his memory
 * says is believed.
 */

#include "conn/conn.h"

struct conn *moving_in(int arena, uint64_t cookie);

#endif
