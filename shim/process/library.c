/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/library.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>

#include "config/environment.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/program.h"

struct capabilities {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

/* A process that has changed its user may have kept the right to read every file, which exec takes away
 * (capabilities(7)). Gives it up for a while; false if there is nothing to give up. */
static bool give_up_reading(struct capabilities *kept)
{
    const uint32_t reading = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
    *kept = (struct capabilities){.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
    if (sys_geteuid() == 0 || sys_call3(SYS_capget, sys_ptr(&kept->header), sys_ptr(kept->data), 0) < 0 ||
        !(kept->data[0].effective & reading))
        return false;
    struct capabilities less = *kept;
    less.data[0].effective &= ~reading;
    return sys_call3(SYS_capset, sys_ptr(&less.header), sys_ptr(less.data), 0) == 0;
}

static int open_as_linker(const char *path)
{
    struct capabilities kept;
    bool given_up = give_up_reading(&kept);
    int fd = *path ? sys_open(path, O_RDONLY | O_CLOEXEC, 0) : -ENOENT;
    if (given_up)
        sys_call3(SYS_capset, sys_ptr(&kept.header), sys_ptr(kept.data), 0);
    return fd;
}

bool library_is_loadable(void)
{
    unsigned char header[PROGRAM_HEADER];
    int fd = open_as_linker(environment_library());
    if (fd < 0)
        return false;
    void *mapped = net_mmap(sizeof header, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
    bool loadable = mapped != MAP_FAILED && sys_pread(fd, header, sizeof header, 0) == sizeof header &&
                    program_is_native(header);
    if (mapped != MAP_FAILED)
        net_munmap(mapped, sizeof header);
    sys_close(fd);
    return loadable;
}
