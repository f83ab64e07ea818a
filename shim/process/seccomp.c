/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
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

/* Allowed to every program: the library asks who it is, and when, without a connection too. */
static const unsigned ALWAYS[] = {
    SYS_getpid,        SYS_gettid,         SYS_getppid,    SYS_sched_yield,
    SYS_clock_gettime, SYS_rt_sigprocmask, SYS_exit_group,
};

/* What a connection needs, whatever the arguments are. */
static const unsigned CONNECTION[] = {
    SYS_read,       SYS_write,         SYS_recvfrom,        SYS_recvmsg, SYS_shutdown,
    SYS_getsockopt, SYS_getsockname,   SYS_getpeername,     SYS_ppoll,   SYS_epoll_create1,
    SYS_epoll_ctl,  SYS_epoll_pwait,   SYS_futex,           SYS_close,   SYS_munmap,
    SYS_lseek,      SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_pread64, SYS_writev,
    SYS_getrandom,  SYS_eventfd2,      SYS_mlock,
};

/* For splice(2), sendfile(2) and their kin. */
static const unsigned TRANSFER[] = {SYS_splice, SYS_tee, SYS_pipe2};

/* For exec: before it and behind it; and the calls of a fence (process/fence.h), which can only take rights
 * away. */
static const unsigned FOR_EXEC[] = {
    SYS_seccomp,
    444 /* landlock_create_ruleset */,
    445 /* landlock_add_rule */,
    446 /* landlock_restrict_self */,
    SYS_getdents64,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_fgetxattr,
    SYS_faccessat2,
    SYS_dup3,
    SYS_capget,
    SYS_mlock,
    SYS_munlock,
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
    {SYS_setsockopt, {{BPF_LOW(1), IPPROTO_TCP}, {BPF_LOW(2), TCP_NODELAY}}},
    {SYS_setsockopt, {{BPF_LOW(1), SOL_SOCKET}, {BPF_LOW(2), SO_RCVLOWAT}}},
    {SYS_setsockopt, {{BPF_LOW(1), IPPROTO_TCP}, {BPF_LOW(2), TCP_QUICKACK}}},
    {SYS_setsockopt, {{BPF_LOW(1), IPPROTO_TCP}, {BPF_LOW(2), TCP_NOTSENT_LOWAT}}},
    {SYS_sendto, {{BPF_LOW(4), 0}, {BPF_HIGH(4), 0}}}, /* to no address */
    {SYS_fcntl, {{BPF_LOW(1), F_GETFL}}},
    {SYS_fcntl, {{BPF_LOW(1), F_GETFD}}},
    {SYS_fcntl, {{BPF_LOW(1), F_SETFD}}},
    {SYS_fcntl, {{BPF_LOW(1), F_DUPFD_CLOEXEC}}},
    {SYS_fcntl, {{BPF_LOW(1), F_DUPFD}}},
    {SYS_fcntl, {{BPF_LOW(1), F_ADD_SEALS}}},
    {SYS_fcntl, {{BPF_LOW(1), F_GET_SEALS}}},
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
    /* shm/region_file.h */
    {SYS_mmap, {{BPF_LOW(2), PROT_READ | PROT_WRITE}, {BPF_LOW(3), MAP_SHARED | MAP_NORESERVE}}},
    {SYS_mmap, {{BPF_LOW(2), PROT_READ | PROT_WRITE}, {BPF_LOW(3), MAP_SHARED | MAP_NORESERVE | MAP_FIXED}}},
    {SYS_mmap,
     {{BPF_LOW(2), PROT_READ | PROT_WRITE}, {BPF_LOW(3), MAP_SHARED | MAP_NORESERVE | MAP_ANONYMOUS}}},
    {SYS_mmap,
     {{BPF_LOW(2), PROT_READ | PROT_WRITE},
      {BPF_LOW(3), MAP_SHARED | MAP_NORESERVE | MAP_ANONYMOUS | MAP_FIXED}}},
    {SYS_mmap,
     {{BPF_LOW(2), PROT_READ | PROT_WRITE}, {BPF_LOW(3), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE}}},
    {SYS_mmap,
     {{BPF_LOW(2), PROT_READ | PROT_WRITE},
      {BPF_LOW(3), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED}}},
    {SYS_mprotect, {{BPF_LOW(2), PROT_READ}}}, /* sys/ro_after_init.h */
    {SYS_madvise, {{BPF_LOW(2), MADV_REMOVE}}},
    {SYS_madvise, {{BPF_LOW(2), MADV_DONTDUMP}}},
    {SYS_madvise, {{BPF_LOW(2), MADV_WIPEONFORK}}},
    {SYS_prctl, {{BPF_LOW(0), PR_GET_NO_NEW_PRIVS}}},
    {SYS_prctl, {{BPF_LOW(0), PR_GET_SECUREBITS}}}, /* this and the next: process/library.c */
    {SYS_prctl, {{BPF_LOW(0), PR_CAPBSET_READ}}},
    {SYS_prctl, {{BPF_LOW(0), PR_CAP_AMBIENT}, {BPF_LOW(1), PR_CAP_AMBIENT_IS_SET}}},
    {SYS_sigaltstack, {{BPF_LOW(0), 0}, {BPF_HIGH(0), 0}}}, /* asks only */
    {SYS_unshare, {{BPF_LOW(0), CLONE_THREAD}}},            /* asks only */
    {SYS_setfsuid, {{BPF_LOW(0), UINT32_MAX}}},             /* asks only */
    {SYS_setfsgid, {{BPF_LOW(0), UINT32_MAX}}},
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void put_list(struct bpf_writer *writer, const unsigned *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bpf_equal(writer, numbers[i], 0, 1);
        bpf_allow(writer);
    }
}

enum { PER_CALL = 2, PER_WITH = 3 + 2 * CONDITIONS };

static void put_conditional(struct bpf_writer *writer)
{
    for (size_t i = 0; i < COUNT(WITH); i++) {
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

static bool may_allow_any(const struct sock_fprog *filter, const unsigned *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bpf_may_allow(filter, numbers[i]))
            return true;
    }
    return false;
}

/* Calls by which a sealed connection can come to a process. */
static bool can_get_connection(const struct sock_fprog *filter)
{
    static const unsigned calls[] = {SYS_connect, SYS_accept,  SYS_accept4,  SYS_sendto,
                                     SYS_sendmsg, SYS_recvmsg, SYS_recvmmsg, SYS_pidfd_getfd};
    return may_allow_any(filter, calls, COUNT(calls));
}

static bool has_connection(void)
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        if (fdtable_concerns(fd))
            return true;
    }
    return false;
}

static bool can_run_programs(const struct sock_fprog *filter)
{
    static const unsigned calls[] = {SYS_execve, SYS_execveat};
    return may_allow_any(filter, calls, COUNT(calls));
}

static bool can_transfer(const struct sock_fprog *filter)
{
    static const unsigned calls[] = {SYS_splice, SYS_tee, SYS_vmsplice, SYS_sendfile};
    return may_allow_any(filter, calls, COUNT(calls));
}

/* What is not allowed here falls through to the program's own filter, which follows. */
static void put_prefix(struct bpf_writer *writer, const struct sock_fprog *filter, bool needed)
{
    struct sock_filter *skip;
    bpf_load(writer, offsetof(struct seccomp_data, arch));
    bpf_equal(writer, BPF_OWN_ARCHITECTURE, 1, 0);
    skip = writer->at;
    bpf_statement(writer, BPF_JMP | BPF_JA, 0); /* over all of it */
    bpf_load(writer, offsetof(struct seccomp_data, nr));
    put_list(writer, ALWAYS, COUNT(ALWAYS));
    if (needed) {
        put_list(writer, CONNECTION, COUNT(CONNECTION));
        put_conditional(writer);
    }
    if (needed && can_transfer(filter))
        put_list(writer, TRANSFER, COUNT(TRANSFER));
    if (needed && can_run_programs(filter))
        put_list(writer, FOR_EXEC, COUNT(FOR_EXEC));
    skip->k = (uint32_t)(writer->at - skip - 1);
}

static void get_ready(bool needed)
{
    worker_forbid();
    environment_mark_filtered();
    if (needed) {
        fdtable_init();
        keyring_freeze();
        private_pipe_ready();
    }
    liveness_disable_proc();
    privilege_leave_others();
    privilege_keep_log();
    log_stop_opening();
}

bool seccomp_widen(const struct sock_fprog *from, struct sock_fprog *to,
                   struct sock_filter instructions[static SECCOMP_FILTER_MAX])
{
    struct bpf_writer writer = {instructions, instructions + SECCOMP_FILTER_MAX};
    const bool needed = has_connection() || can_get_connection(from);
    get_ready(needed);
    put_prefix(&writer, from, needed);
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
    if (needed)
        log_line(LOG_INFO,
                 "this program limits its system calls (seccomp): those that sealed connections need are "
                 "allowed, too");
    return true;
}

void seccomp_warn_strict(void)
{
    worker_forbid();
    privilege_leave_others();
    log_line(LOG_WARN,
             "this program allows itself nothing but read, write and exit (seccomp): with sealed connections "
             "it will be killed");
}
