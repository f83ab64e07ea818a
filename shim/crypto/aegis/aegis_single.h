/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * No guard: a backend with one AES block a register, of which wider vectors are made by unrolling. Included
 * behind the vector v1, with BACKEND, the object's name, and BACKEND_NAME, which people read.
 */

#include "crypto/aegis/aegis_backend.h"
#include "crypto/aegis/aegis_common.h"

#define HALF  1
#define WHOLE 2
#include "crypto/aegis/aegis_pair.h"

#define HALF  2
#define WHOLE 4
#include "crypto/aegis/aegis_pair.h"

#define LANES       1
#define REGISTERS   1
#define WIPED_STACK 320
#include "crypto/aegis/aegis_lanes.h"

#define LANES       2
#define REGISTERS   2
#define WIPED_STACK 896
#include "crypto/aegis/aegis_lanes.h"

#define LANES       4
#define REGISTERS   4
#define WIPED_STACK 1664
#include "crypto/aegis/aegis_lanes.h"

const struct aegis_backend BACKEND = {
    BACKEND_NAME,
    AEGIS_128L,
    {{seal_x1, open_x1}, {seal_x2, open_x2}, {seal_x4, open_x4}},
};
