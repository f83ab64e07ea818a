/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLOSE_H
#define SOCKSEAL_CLOSE_H

/*
 * close(2) and shutdown(2) of a sealed descriptor. What ends a direction, and when a reset does so instead
 * (unread data, SO_LINGER), is in io/ending.h; what is left to be done behind a close is an orphan's work
 * (io/orphan.h).
 */

#include "conn/fdtable.h"

/* To be called before the descriptor is closed or replaced: ends the connection if it was the last one. True
 * if the descriptor is hidden now (fdtable_hide()): fdtable_publish(), or fdtable_add() of what replaces it,
 * must follow. False if there is nothing to undo. */
bool close_release(const struct conn_handle *handle);

/* Closes a sealed descriptor, as the program's close(2) would. */
void close_fd(const struct conn_handle *handle);

/* Takes the descriptors out of the table that were closed by calls which passed no door: what the process
 * had of their connections is not held any more. */
void close_lost(void);

/* shutdown(2). 0 or -errno. */
int close_shutdown(const struct conn_handle *handle, int how);

#endif
