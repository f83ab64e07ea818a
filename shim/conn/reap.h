/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REAP_H
#define SOCKSEAL_REAP_H

/*
 * Connections whose processes were killed: no process is left that would give back their slots and chunks. So
 * each new connection checks a few slots of the arena for such connections. What is lost stays in proportion
 * to what is in use.
 */
void reap_dead_holders(void);

#endif
