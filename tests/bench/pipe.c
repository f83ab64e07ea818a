/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * What a preloaded library costs where there is nothing to do: one byte through a pipe, there and back
 * between two processes, and written and read by one. Usage: pipe SECONDS. Prints nanoseconds, medians, as
 * JSON.
 */

#include "times.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 64, BATCHES_MAX = 1 << 16 };

static double times[BATCHES_MAX];

static void exchange(int out, int in)
{
    char byte = 0;
    if (write(out, &byte, 1) != 1 || read(in, &byte, 1) != 1)
        exit(1);
}

/* The median time of one exchange, by batches. */
static double measure(int out, int in, double seconds)
{
    const double end = times_now() + seconds * 1e9;
    size_t count = 0;
    while (count < BATCHES_MAX && times_now() < end) {
        const double start = times_now();
        for (int i = 0; i < BATCH; i++)
            exchange(out, in);
        times[count++] = (times_now() - start) / (double)BATCH;
    }
    qsort(times, count, sizeof *times, times_compare);
    return count ? times[count / 2] : 0;
}

static void reflect(int in, int out)
{
    char byte;
    while (read(in, &byte, 1) == 1)
        if (write(out, &byte, 1) != 1)
            break;
    _exit(0);
}

int main(int argc, char *argv[])
{
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    int there[2], back[2];
    if (pipe(there) < 0 || pipe(back) < 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        close(there[1]);
        reflect(there[0], back[1]);
    }
    const double two = measure(there[1], back[0], seconds / 2);
    close(there[1]);
    waitpid(child, NULL, 0);
    const double one = measure(back[1], back[0], seconds / 2);
    printf("{\"pingpong\": %.1f, \"one_process\": %.1f}\n", two, one);
    return 0;
}
