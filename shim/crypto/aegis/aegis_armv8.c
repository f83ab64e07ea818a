/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* AEGIS with Armv8's AES instructions. Compiled with the flags for it. */

#include "crypto/aegis/aegis_backend.h"

#ifdef __aarch64__

#include "crypto/aegis/aegis_arm.h"

#define BACKEND      aegis_armv8
#define BACKEND_NAME "Armv8 AES"
#include "crypto/aegis/aegis_single.h"

#endif
