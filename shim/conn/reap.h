/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SWEEP_H
#define SOCKSEAL_SWEEP_H

/*
 * Connections whose processes were killed: nobody is left who would give back their slots and chunks. Whoever
 * makes a new connection looks at a few slots of the tree for it, so that what is lost stays in proportion to
 * what is in use.
 */
void reap_dead_holders(void);

#endif
