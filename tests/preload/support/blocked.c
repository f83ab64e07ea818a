/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "net.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { MOMENT_MS = 10, LIMIT_MS = 10000, RUNNING = -1, GONE = -2 };

/* How often a sleeping thread has gone to sleep so far (proc(5): voluntary_ctxt_switches). */
static long sleeps_of(pid_t thread)
{
    static const char field[] = "\nvoluntary_ctxt_switches:";
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return GONE;
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    const char *state = strstr(text, "\nState:\t"), *sleeps = strstr(text, field);
    if (state == NULL || sleeps == NULL || state[8] == 'Z' || state[8] == 'X')
        return GONE;
    return state[8] == 'S' ? atol(sleeps + sizeof field - 1) : RUNNING;
}

void suite_until_blocked(pid_t thread)
{
    long before = RUNNING;
    for (int64_t end = net_now_ms() + LIMIT_MS; net_now_ms() < end; net_sleep_ms(MOMENT_MS)) {
        long now = sleeps_of(thread);
        if (now == GONE || (now != RUNNING && now == before))
            return;
        before = now;
    }
    fail_msg("thread %d does not block", (int)thread);
}

void suite_until_thread_blocked(const _Atomic pid_t *id)
{
    while (*id == 0)
        sched_yield();
    suite_until_blocked(*id);
}
