/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/library.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config/environment.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/program.h"

struct capabilities {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static long control(int option, long argument, long capability)
{
    return sys_call(SYS_prctl, option, argument, capability, 0, 0, 0);
}

/* Whether exec(2) leaves this capability to a program whose file has none (capabilities(7), "Transformation
 * of capabilities during execve()"). */
static bool survives_exec(unsigned capability, const struct capabilities *now)
{
    const long securebits = control(PR_GET_SECUREBITS, 0, 0);
    if (sys_geteuid() != 0 || securebits < 0 || (securebits & SECBIT_NOROOT))
        return control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, (long)capability) == 1;
    return (now->data[0].inheritable & (1u << capability)) ||
           control(PR_CAPBSET_READ, (long)capability, 0) == 1;
}

/* A process may have the right to read every file, and lose it with exec(2), or the other way round. *then:
 * what it has then, as far as it can take that on now. Whether that differs from what it has now. */
static bool changes_rights(struct capabilities *now, struct capabilities *then)
{
    const unsigned reading[] = {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH};
    *now = (struct capabilities){.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
    if (sys_call3(SYS_capget, sys_ptr(&now->header), sys_ptr(now->data), 0) < 0)
        return false;
    *then = *now;
    for (size_t i = 0; i < sizeof reading / sizeof reading[0]; i++) {
        const uint32_t bit = 1u << reading[i];
        then->data[0].effective &= ~bit;
        if (survives_exec(reading[i], now))
            then->data[0].effective |= bit & then->data[0].permitted;
    }
    return then->data[0].effective != now->data[0].effective;
}

/* setfsuid(2): exec(2) takes the effective user instead. access(2) asks for the real one, which is the same
 * where a library can be preloaded. */
static bool is_readable_without_fsuid(const char *path)
{
    const long none = -1;
    if (sys_call3(SYS_setfsuid, none, 0, 0) == sys_geteuid() &&
        sys_call3(SYS_setfsgid, none, 0, 0) == sys_getegid())
        return true;
    return sys_call3(SYS_faccessat, SYS_AT_FDCWD, sys_ptr(path), R_OK) == 0;
}

static bool set_capabilities(struct capabilities *to)
{
    return sys_call3(SYS_capset, sys_ptr(&to->header), sys_ptr(to->data), 0) == 0;
}

static int open_as_linker(const char *path)
{
    struct capabilities now, then;
    if (!*path || !is_readable_without_fsuid(path))
        return -ENOENT;
    if (!changes_rights(&now, &then))
        return sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (environment_is_filtered() || !set_capabilities(&then)) /* a filter may end the process for the call */
        return -EPERM;
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    set_capabilities(&now);
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
