/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PRELOAD_H
#define SOCKSEAL_PRELOAD_H

/* libsockseal.so in LD_PRELOAD. */

#include <limits.h>
#include <stdbool.h>

/* Where libsockseal.so lies relative to this program: beside it in the build directory, in lib when
 * installed. False after a message. */
bool preload_find(char path[static PATH_MAX]);

/*
 * Puts the library into LD_PRELOAD: before whatever else is there, so that it sees the calls first, but
 * behind libraries that replace connect(2) themselves, as proxychains and torsocks do: what they send to
 * their proxy is to be sealed. Entries that are the library already, or a copy of it, are left out. False
 * after a message.
 */
bool preload_set(const char *path);

/* Whether the library is loaded into this very program. */
bool preload_is_loaded(void);

#endif
