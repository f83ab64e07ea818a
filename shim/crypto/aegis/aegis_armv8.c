/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* AEGIS with Armv8's AES instructions: one block a register. Compiled with the flags for it. */

#include "crypto/aegis/aegis_backend.h"

#ifdef __aarch64__

#include "crypto/aegis/aegis_arm.h"

#include "crypto/aegis/aegis_common.h"

#define HALF  1
#define WHOLE 2
#include "crypto/aegis/aegis_pair.h"

#define HALF  2
#define WHOLE 4
#include "crypto/aegis/aegis_pair.h"

#define LANES       1
#define WIPED_STACK 320
#include "crypto/aegis/aegis_lanes.h"

#define LANES       2
#define WIPED_STACK 640
#include "crypto/aegis/aegis_lanes.h"

#define LANES       4
#define WIPED_STACK 1536
#include "crypto/aegis/aegis_lanes.h"

const struct aegis_backend aegis_armv8 = {
    "Armv8 AES",
    {{seal_x1, open_x1}, {seal_x2, open_x2}, {seal_x4, open_x4}},
};

#endif
