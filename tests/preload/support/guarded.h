/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_GUARDED_H
#define PRELOAD_GUARDED_H

/* Memory, of whole pages, between two pages that cannot be touched; guarded_free takes what guarded gave. */

#include <stddef.h>

enum { GUARDED_PAGE = 65536 }; /* the largest page there is */

char *guarded(size_t size);
void guarded_free(char *memory, size_t size);

#endif
