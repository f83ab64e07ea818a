/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_LEAKS_H
#define PRELOAD_LEAKS_H

#include <stdbool.h>

/* Remembers which descriptors are open. */
void leaks_remember(void);

/* Prints the descriptors that are open and were not then, and tells whether there are any. The library's own
 * stand far above those that a program opens, and do not count. */
bool leaks_found(void);

/* Memory that the library shares between processes, in bytes. */
long leaks_shared_memory(void);

#endif
