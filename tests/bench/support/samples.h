/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

/* Durations and CPU times, and the one line of JSON that a load program prints. */

#include <stddef.h>
#include <stdint.h>

#include "options.h"

struct samples {
    uint32_t *values; /* nanoseconds; longer than 4 s counts as 4 s */
    size_t count, room;
};

/* What ran meanwhile: on the clock, in this process, in the server's processes. Nanoseconds. */
struct cost {
    uint64_t wall, client, server;
};

uint64_t samples_now(void);
void samples_add(struct samples *samples, uint64_t nanoseconds);

/* The clocks of this moment; samples_since() gives what has passed. */
struct cost samples_clocks(const struct options *options);
struct cost samples_since(const struct cost *start, const struct options *options);

/* Prints count, rate, median, p99, p99.9, CPU time per operation, errors and the suite as one line of JSON.
 */
void samples_print(struct samples *samples, const struct cost *cost, size_t errors, const char *suite);

#endif
