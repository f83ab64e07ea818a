/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "leaks.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { DESCRIPTORS = 500 }; /* more than a test opens, fewer than where the library keeps its own */

static bool open_before[DESCRIPTORS];

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

void leaks_remember(void)
{
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        open_before[fd] = is_open(fd);
}

bool leaks_found(void)
{
    bool found = false;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        char path[64], target[256] = "";
        if (open_before[fd] || !is_open(fd))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        fprintf(stderr, "descriptor %d was left open: %.*s\n", fd, (int)(len > 0 ? len : 0), target);
        found = true;
    }
    return found;
}
