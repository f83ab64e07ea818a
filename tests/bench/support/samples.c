/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec time = {0};
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t samples_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void samples_add(struct samples *samples, uint64_t nanoseconds)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 1 << 16;
        samples->values = realloc(samples->values, samples->room * sizeof *samples->values);
        if (!samples->values)
            options_die("samples");
    }
    samples->values[samples->count++] = nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds;
}

struct cost samples_clocks(const struct options *options)
{
    struct cost cost = {.wall = samples_now(), .client = read_clock(CLOCK_PROCESS_CPUTIME_ID)};
    for (size_t i = 0; i < options->pid_count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(options->pids[i], &clock) == 0)
            cost.server += read_clock(clock);
    }
    return cost;
}

struct cost samples_since(const struct cost *start, const struct options *options)
{
    struct cost now = samples_clocks(options);
    return (struct cost){.wall = now.wall - start->wall,
                         .client = now.client - start->client,
                         .server = now.server - start->server};
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct samples *samples, double part)
{
    if (samples->count == 0)
        return 0;
    return samples->values[(size_t)(part * (double)(samples->count - 1))];
}

void samples_print(struct samples *samples, const struct cost *cost, size_t errors, const char *suite)
{
    const double count = samples->count ? (double)samples->count : 1;
    qsort(samples->values, samples->count, sizeof *samples->values, compare);
    printf("{\"count\": %zu, \"errors\": %zu, \"rate\": %.1f, \"p50\": %.0f, \"p99\": %.0f, \"p999\": %.0f, "
           "\"client_cpu\": %.1f, \"server_cpu\": %.1f, \"suite\": \"%s\"}\n",
           samples->count, errors, (double)samples->count * 1e9 / (double)cost->wall, quantile(samples, 0.5),
           quantile(samples, 0.99), quantile(samples, 0.999), (double)cost->client / count,
           (double)cost->server / count, suite);
    free(samples->values);
}
