/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONN_INFO_H
#define SOCKSEAL_CONN_INFO_H

/* What sockseal.h promises to programs that ask about a descriptor. */

#include "conn/fdtable.h"
#include "sockseal.h"

/* Fills in `info` for a descriptor; sealed->conn is NULL for one that is not sealed. */
void info_fill(const struct conn_handle *handle, struct sockseal_info *info);

#endif
