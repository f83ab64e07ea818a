/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shortage.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NOBODY = 65534, DESCRIPTORS = 4, MEMORY = 1 << 20 };

static const struct {
    enum shortage kind;
    __rlimit_resource_t resource;
    rlim_t least;
    const char *name;
} limits[] = {
    {SHORTAGE_DESCRIPTORS, RLIMIT_NOFILE, DESCRIPTORS, "descriptors"},
    {SHORTAGE_MEMORY, RLIMIT_AS, MEMORY, "memory"},
    {SHORTAGE_THREADS, RLIMIT_NPROC, 0, "threads"},
    {SHORTAGE_FILES, RLIMIT_FSIZE, 0, "files"},
};

enum { COUNT = sizeof limits / sizeof limits[0] };

static bool set_limits(pid_t pid, unsigned set)
{
    for (int i = 0; i < COUNT; i++) {
        struct rlimit limit;
        if (prlimit(pid, limits[i].resource, NULL, &limit) != 0)
            return false;
        limit.rlim_cur = set & limits[i].kind ? limits[i].least : limit.rlim_max;
        if (prlimit(pid, limits[i].resource, &limit, NULL) != 0)
            return false;
    }
    return true;
}

/* For another process's limits the kernel asks for its user and group, whatever the caller's rights, or for
 * CAP_SYS_RESOURCE, which root may not have in a container. */
bool shortage_set(pid_t pid, unsigned set)
{
    if (geteuid() != 0)
        return set_limits(pid, set);
    const bool was_set =
        setresgid(NOBODY, NOBODY, 0) == 0 && setresuid(NOBODY, NOBODY, 0) == 0 && set_limits(pid, set);
    return setresuid(0, 0, 0) == 0 && setresgid(0, 0, 0) == 0 && was_set;
}

bool shortage_become_user(void)
{
    if (geteuid() != 0)
        return true;
    return setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
           prctl(PR_SET_DUMPABLE, 1) == 0;
}

const char *shortage_name(unsigned set)
{
    static char text[64];
    int len = 0;
    text[0] = '\0';
    for (int i = 0; i < COUNT; i++)
        if (set & limits[i].kind)
            len += snprintf(text + len, sizeof text - (size_t)len, "%s%s", len ? "+" : "", limits[i].name);
    return text;
}
