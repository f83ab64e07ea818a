/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "config/environment.h"
#include "config/keyring.h"
#include "conn/fdtable.h"
#include "conn/liveness.h"
#include "diag/log.h"
#include "io/private_pipe.h"
#include "io/worker.h"
#include "process/bpf.h"
#include "process/privilege.h"
#include "sys/net.h"

/* Allowed whatever their arguments are. */
static const unsigned FREE[] = {
    SYS_read,           SYS_write,         SYS_recvfrom,        SYS_recvmsg,     SYS_shutdown,
    SYS_getsockopt,     SYS_setsockopt,    SYS_getsockname,     SYS_getpeername, SYS_ppoll,
    SYS_epoll_create1,  SYS_epoll_ctl,     SYS_epoll_pwait,     SYS_futex,       SYS_getpid,
    SYS_gettid,         SYS_sched_yield,   SYS_close,           SYS_munmap,      SYS_clock_gettime,
    SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_exit_group,  SYS_pread64,
    SYS_lseek,          SYS_writev,        SYS_splice,          SYS_tee,         SYS_pipe2,
    SYS_getrandom,      SYS_eventfd2,      SYS_getppid,
};

/* The same, for exec: before it and behind it. */
static const unsigned FOR_EXEC[] = {
    SYS_getdents64, SYS_getuid, SYS_geteuid, SYS_getgid,  SYS_getegid,
    SYS_fgetxattr,  SYS_dup3,   SYS_mlock,   SYS_munlock,
};

enum { CONDITIONS = 2 };

struct condition {
    size_t offset;
    uint32_t value;
};

/* Allowed if what these conditions say is so; one without an offset says nothing. */
static const struct {
    unsigned number;
    struct condition conditions[CONDITIONS];
} WITH[] = {
    {SYS_sendto, {{BPF_LOW(4), 0}, {BPF_HIGH(4), 0}}}, /* to no address */
    {SYS_fcntl, {{BPF_LOW(1), F_GETFL}}},
    {SYS_fcntl, {{BPF_LOW(1), F_GETFD}}},
    {SYS_fcntl, {{BPF_LOW(1), F_SETFD}}},
    {SYS_fcntl, {{BPF_LOW(1), F_DUPFD_CLOEXEC}}},
    {SYS_fcntl, {{BPF_LOW(1), F_DUPFD}}},
    {SYS_fcntl, {{BPF_LOW(1), F_ADD_SEALS}}},
    {SYS_fcntl, {{BPF_LOW(1), F_GETPIPE_SZ}}},
    {SYS_memfd_create, {{BPF_LOW(1), MFD_CLOEXEC}}},
    {SYS_memfd_create, {{BPF_LOW(1), MFD_CLOEXEC | MFD_ALLOW_SEALING}}},
    {SYS_ioctl, {{BPF_LOW(1), SIOCOUTQNSD}}},
    {SYS_ioctl, {{BPF_LOW(1), FIONREAD}}},
    {SYS_kill, {{BPF_LOW(1), 0}}},
    {SYS_tgkill, {{BPF_LOW(2), 0}}},
    {SYS_tgkill, {{BPF_LOW(2), SIGPIPE}}},
    {SYS_rt_sigaction, {{BPF_LOW(1), 0}, {BPF_HIGH(1), 0}}}, /* asks only */
    {SYS_prlimit64, {{BPF_LOW(2), 0}, {BPF_HIGH(2), 0}}},    /* the same */
    {SYS_mmap, {{BPF_LOW(2), PROT_READ | PROT_WRITE}, {BPF_LOW(3), MAP_PRIVATE | MAP_ANONYMOUS}}},
    {SYS_mmap,
     {{BPF_LOW(2), PROT_READ | PROT_WRITE}, {BPF_LOW(3), MAP_SHARED | MAP_NORESERVE}}}, /* segments.h */
    {SYS_madvise, {{BPF_LOW(2), MADV_REMOVE}}},
    {SYS_madvise, {{BPF_LOW(2), MADV_DONTDUMP}}},
    {SYS_madvise, {{BPF_LOW(2), MADV_WIPEONFORK}}},
    {SYS_prctl, {{BPF_LOW(0), PR_GET_NO_NEW_PRIVS}}},
};

enum {
    FREE_COUNT = sizeof FREE / sizeof FREE[0],
    EXEC_COUNT = sizeof FOR_EXEC / sizeof FOR_EXEC[0],
    WITH_COUNT = sizeof WITH / sizeof WITH[0]
};

static void put_free(struct bpf_writer *writer, const unsigned *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bpf_equal(writer, numbers[i], 0, 1);
        bpf_allow(writer);
    }
}

/* What is not allowed here falls through to what stands behind. */
static void put_prefix(struct bpf_writer *writer)
{
    enum {
        PER_FREE = 2,
        PER_WITH = 3 + 2 * CONDITIONS,
        LENGTH = 1 + (FREE_COUNT + EXEC_COUNT) * PER_FREE + 1 + WITH_COUNT * PER_WITH
    };
    _Static_assert(LENGTH < 256, "a jump reaches over it");
    bpf_load(writer, offsetof(struct seccomp_data, arch));
    bpf_equal(writer, BPF_OWN_ARCHITECTURE, 0, LENGTH - 1);
    bpf_load(writer, offsetof(struct seccomp_data, nr));
    put_free(writer, FREE, FREE_COUNT);
    put_free(writer, FOR_EXEC, EXEC_COUNT);
    for (size_t i = 0; i < WITH_COUNT; i++) {
        bpf_equal(writer, WITH[i].number, 0, PER_WITH - 1);
        for (unsigned c = 0; c < CONDITIONS; c++) {
            const struct condition *condition = &WITH[i].conditions[WITH[i].conditions[c].offset ? c : 0];
            bpf_load(writer, condition->offset);
            bpf_equal(writer, condition->value, 0, (uint8_t)(2 * (CONDITIONS - 1 - c) + 1));
        }
        bpf_allow(writer);
        bpf_load(writer, offsetof(struct seccomp_data, nr));
    }
}

static void get_ready(void)
{
    worker_forbid();
    environment_mark_filtered();
    if (conn_open_arena())
        fdtable_init();
    keyring_freeze();
    liveness_disable_proc();
    private_pipe_ready();
    privilege_keep_log();
    log_stop_opening();
}

bool seccomp_widen(const struct sock_fprog *from, struct sock_fprog *to,
                   struct sock_filter instructions[static SECCOMP_FILTER_MAX])
{
    struct bpf_writer writer = {instructions, instructions + SECCOMP_FILTER_MAX};
    get_ready();
    put_prefix(&writer);
    if (from->len > (size_t)(writer.end - writer.at)) {
        log_line(
            LOG_WARN,
            "this program's system call filter is too long to be widened: with sealed connections it may "
            "be killed");
        return false;
    }
    memcpy(writer.at, from->filter, from->len * sizeof *from->filter);
    *to = (struct sock_fprog){.len = (unsigned short)((size_t)(writer.at - instructions) + from->len),
                              .filter = instructions};
    log_line(LOG_INFO,
             "this program limits its system calls (seccomp): those that sealed connections need are allowed "
             "beside");
    return true;
}

void seccomp_warn_strict(void)
{
    worker_forbid();
    log_line(LOG_WARN,
             "this program allows itself nothing but read, write and exit (seccomp): with sealed connections "
             "it will be killed");
}
