/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * How long a program takes that does nothing: spawn COUNT PROGRAM [NAME=VALUE...], with these variables added
 * to the programs' environment (this one is to be started without a preloaded library). Prints the median and
 * the mean in nanoseconds as JSON.
 */

#include "times.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

static double once(char *program)
{
    char *const arguments[] = {program, NULL};
    const double start = times_now();
    pid_t child;
    int status;
    if (posix_spawn(&child, program, NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        exit(1);
    return times_now() - start;
}

int main(int argc, char *argv[])
{
    const size_t count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    double *times = count ? calloc(count, sizeof *times) : NULL, sum = 0;
    if (!times)
        return 2;
    for (int i = 3; i < argc; i++)
        putenv(argv[i]);
    for (size_t i = 0; i < count; i++)
        sum += times[i] = once(argv[2]);
    qsort(times, count, sizeof *times, times_compare);
    printf("{\"median\": %.0f, \"mean\": %.0f}\n", times[count / 2], sum / (double)count);
    free(times);
    return 0;
}
