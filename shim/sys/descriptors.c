/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/descriptors.h"

#include <fcntl.h>
#include <stdint.h>

#include "sys/sys.h"

enum { GUESS = 1024 };

/* The kernel's struct linux_dirent64 (getdents(2)). */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* -1 for "." and "..". */
static int number_of(const char *name)
{
    int number = 0;
    if (*name < '0' || *name > '9')
        return -1;
    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + (*name - '0');
    return number;
}

static void each_entry(int directory, void (*visit)(int fd, void *context), void *context)
{
    _Alignas(struct entry) char buffer[2048];
    long len;
    while ((len = sys_call3(SYS_getdents64, directory, sys_ptr(buffer), sizeof buffer)) > 0) {
        for (long at = 0; at < len;) {
            const struct entry *entry = (const struct entry *)(const void *)(buffer + at);
            int fd = number_of(entry->name);
            if (fd >= 0 && fd != directory)
                visit(fd, context);
            at += entry->size;
        }
    }
}

void descriptors_each(void (*visit)(int fd, void *context), void *context)
{
    int directory = sys_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory >= 0) {
        each_entry(directory, visit, context);
        sys_close(directory);
        return;
    }
    for (int fd = 0; fd < GUESS; fd++) {
        if (sys_call3(SYS_fcntl, fd, F_GETFD, 0) >= 0)
            visit(fd, context);
    }
}
