/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LIBRARY_H
#define SOCKSEAL_LIBRARY_H

#include <stdbool.h>

/* Whether the dynamic linker of a program that this process runs can load the library's file. It cannot after
 * chroot(2), in another mount namespace or as another user, if the file is out of reach there, nor from a
 * file system without execution; and it would go on without. */
bool library_is_loadable(void);

#endif
