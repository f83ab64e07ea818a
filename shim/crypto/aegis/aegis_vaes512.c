/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* AEGIS with VAES and AVX-512: four blocks a register. Compiled with the flags for it. */

#include "crypto/aegis/aegis_backend.h"

#ifdef __x86_64__

#define REGISTER_BLOCKS 4
#include "crypto/aegis/aegis_x86.h"

#include "crypto/aegis/aegis_common.h"

#define LANES       1
#define REGISTERS   1
#define WIPED_STACK 320
#include "crypto/aegis/aegis_lanes.h"

#define LANES       2
#define REGISTERS   1
#define WIPED_STACK 512
#include "crypto/aegis/aegis_lanes.h"

#define LANES       4
#define REGISTERS   1
#define WIPED_STACK 704
#include "crypto/aegis/aegis_lanes.h"

const struct aegis_backend aegis_vaes512 = {
    "VAES, AVX-512",
    AEGIS_128X4,
    {{seal_x1, open_x1}, {seal_x2, open_x2}, {seal_x4, open_x4}},
};

#endif
