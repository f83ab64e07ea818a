/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * How long a program takes that does nothing: spawn COUNT PROGRAM [NAME=VALUE...], with these variables added
 * to the programs' environment (this one is to be started without a preloaded library). Prints the median and
 * the mean in nanoseconds as JSON.
 */

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double once(char *program)
{
    char *const arguments[] = {program, NULL};
    const double start = now();
    pid_t child;
    int status;
    if (posix_spawn(&child, program, NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        exit(1);
    return now() - start;
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
    qsort(times, count, sizeof *times, compare);
    printf("{\"median\": %.0f, \"mean\": %.0f}\n", times[count / 2], sum / (double)count);
    free(times);
    return 0;
}
