/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "leaks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

long leaks_shared_memory(void)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    long sum = 0;
    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        char path[300], target[64] = "";
        struct stat info;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "/memfd:sockseal") &&
            stat(path, &info) == 0)
            sum += (long)info.st_blocks * 512;
    }
    closedir(directory);
    return sum;
}
