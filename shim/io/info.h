/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_INFO_H
#define SOCKSEAL_INFO_H

/* What programs can ask about a descriptor (sockseal.h). */

#include "conn/fdtable.h"
#include "sockseal.h"

/* Fills in `info`. handle->conn is NULL for a descriptor that is not sealed. */
void info_fill(const struct conn_handle *handle, struct sockseal_info *info);

#endif
