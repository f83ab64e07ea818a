/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* AEGIS with AES-NI in the encoding that came with AVX, which needs fewer moves between registers. Compiled
 * with the flags for it. */

#include "crypto/aegis/aegis_backend.h"

#ifdef __x86_64__

#define REGISTER_BLOCKS 1
#include "crypto/aegis/aegis_x86.h"

#define BACKEND      aegis_avx
#define BACKEND_NAME "AES-NI, AVX"
#include "crypto/aegis/aegis_single.h"

#endif
