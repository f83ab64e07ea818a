/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/region_file.h"

#include <sys/resource.h>

#include "sys/file.h"
#include "sys/net.h"

static size_t file_size(unsigned areas)
{
    return (size_t)areas * (REGION_STRIDE + REGION_ANNEX);
}

size_t region_file_area(const struct region *region, unsigned index)
{
    return (size_t)region->areas * REGION_ANNEX + (size_t)index * REGION_STRIDE;
}

size_t region_file_annex(unsigned index)
{
    return (size_t)index * REGION_ANNEX;
}

/* Sets the memfd's size with write(2): a program that filters its system calls (process/seccomp.h) has
 * allowed that, but perhaps not ftruncate(2). RLIMIT_FSIZE counts for a memfd too, and exceeding it raises
 * SIGXFSZ, which the program does not expect: so the limit is asked for first. Who shares the memory cannot
 * take it away by truncating the file. */
static bool set_size(int fd, size_t size)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, sys_ptr(&limit), 0, 0) == 0 && limit.rlim_cur < size)
        return false;
    return sys_call3(SYS_lseek, fd, (long)size - 1, SEEK_SET) >= 0 &&
           sys_call3(SYS_write, fd, sys_ptr(""), 1) == 1 &&
           net_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

int region_file_make(unsigned areas)
{
    int fd = (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal"), MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (fd >= 0 && set_size(fd, file_size(areas)))
        return fd;
    if (fd >= 0)
        sys_close(fd);
    return -1;
}

unsigned region_file_areas(int fd, struct stat *info)
{
    const int seals = net_fcntl(fd, F_GET_SEALS, 0);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || sys_fstat(fd, info) < 0 || !S_ISREG(info->st_mode))
        return 0;
    const uint64_t areas = (uint64_t)info->st_size / file_size(1);
    return areas <= REGION_AREAS && (uint64_t)info->st_size == file_size((unsigned)areas) ? (unsigned)areas
                                                                                          : 0;
}

int region_file_descriptor(const struct region *region, unsigned index)
{
    const int fd = ownfd_get(region_table_kind(region));
    const size_t at = region_file_area(region, index) + REGION_ROOM + REGION_CONNECTION_SIZE +
                      offsetof(struct region_tail, id);
    uint64_t id = 0;
    return fd >= 0 && sys_call(SYS_pread64, fd, sys_ptr(&id), sizeof id, (long)at, 0, 0) == (long)sizeof id &&
                   id == region->id
               ? fd
               : -1;
}

static void ask_file(struct region *region)
{
    struct stat info;
    if (region->inode || sys_fstat(ownfd_get(region_table_kind(region)), &info) < 0)
        return;
    region->device = info.st_dev;
    region->inode = info.st_ino;
}

struct region *region_file_find(const struct stat *info)
{
    const uint32_t count = atomic_load(&region_table_end);
    for (uint32_t i = 1; i < count; i++) {
        if (!region_table_in_use(&region_table[i]) || region_table[i].anonymous)
            continue;
        ask_file(&region_table[i]);
        if (region_table[i].inode == info->st_ino && region_table[i].device == info->st_dev)
            return &region_table[i];
    }
    return NULL;
}
