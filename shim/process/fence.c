/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "process/bpf.h"
#include "sys/sys.h"
#include "sys/text.h"

/* landlock(7); headers older than the kernel lack some of it. */
enum {
    CALL_CREATE_RULESET = 444,
    CALL_ADD_RULE = 445,
    CALL_RESTRICT_SELF = 446,
    CREATE_RULESET_VERSION = 1,
    RULE_NET_PORT = 2,
    ACCESS_BIND_TCP = 1,
    ACCESS_CONNECT_TCP = 2,
    ABI_WITH_PORTS = 4,
};

struct ruleset_attributes {
    uint64_t files, network;
};

struct port_rule {
    uint64_t access, port;
};

enum { PORTS = 65536, EPHEMERAL_FIRST = 32768, EPHEMERAL_LAST = 60999 };

/* The ports of which the kernel takes one for bind(2) to port 0 (ip(7)). */
static void ephemeral_ports(int *first, int *last)
{
    char text[64] = "";
    const char *at = text;
    int fd = sys_open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        sys_read(fd, text, sizeof text - 1);
        sys_close(fd);
    }
    if (!text_take_number(&at, first) || !text_take_number(&at, last)) {
        *first = EPHEMERAL_FIRST;
        *last = EPHEMERAL_LAST;
    }
}

static bool may_bind_any(const struct rules *rules)
{
    int first, last;
    ephemeral_ports(&first, &last);
    for (int port = first; port <= last && port < PORTS; port++) {
        if (rules_may_match(rules, RULES_LISTEN, (uint16_t)port))
            return false;
    }
    return true;
}

static int allow_port(int ruleset, const struct rules *rules, unsigned port)
{
    struct port_rule rule = {.port = port};
    bool bind = port ? !rules_may_match(rules, RULES_LISTEN, (uint16_t)port) : may_bind_any(rules);
    if (bind)
        rule.access |= ACCESS_BIND_TCP;
    if (!rules_may_match(rules, RULES_CONNECT, (uint16_t)port))
        rule.access |= ACCESS_CONNECT_TCP;
    return rule.access ? (int)sys_call(CALL_ADD_RULE, ruleset, RULE_NET_PORT, sys_ptr(&rule), 0, 0, 0) : 0;
}

int fence_ruleset(const struct rules *rules)
{
    const struct ruleset_attributes attributes = {.network = ACCESS_BIND_TCP | ACCESS_CONNECT_TCP};
    if (sys_call3(CALL_CREATE_RULESET, 0, 0, CREATE_RULESET_VERSION) < ABI_WITH_PORTS)
        return -EOPNOTSUPP;
    int ruleset = (int)sys_call3(CALL_CREATE_RULESET, sys_ptr(&attributes), sizeof attributes, 0), error = 0;
    if (ruleset < 0)
        return ruleset == -EMFILE || ruleset == -ENFILE || ruleset == -ENOMEM ? ruleset : -EOPNOTSUPP;
    for (unsigned port = 0; port < PORTS && error == 0; port++)
        error = allow_port(ruleset, rules, port);
    if (error < 0) {
        sys_close(ruleset);
        return error;
    }
    return ruleset;
}

/* ---- ways around Landlock ---- */

enum {
    PROTOCOL_SMC = 256,
    PROTOCOL_MPTCP = 262,
    DOMAIN_SMC = 43,
    CALL_IO_URING_SETUP = 425,
    CALL_X32 = 0x40000000, /* x32's system calls have numbers from here on */
};

/* Numbers of system calls in 32-bit programs. (These may use socketcall(2) too, whose arguments no filter
 * sees.) */
#if defined(__x86_64__)
enum {
    COMPAT_ARCHITECTURE = AUDIT_ARCH_I386,
    COMPAT_SOCKET = 359,
    COMPAT_SENDTO = 369,
    COMPAT_SENDMSG = 370,
    COMPAT_SENDMMSG = 345,
};
#elif defined(__aarch64__)
enum {
    COMPAT_ARCHITECTURE = AUDIT_ARCH_ARM,
    COMPAT_SOCKET = 281,
    COMPAT_SENDTO = 290,
    COMPAT_SENDMSG = 296,
    COMPAT_SENDMMSG = 374,
};
#endif

/* A system call that fails with `error` if its argument, compared with `value`, is so. */
struct denial {
    unsigned number, compat_number, argument, condition;
    uint32_t value;
    int error;
};

static const struct denial DENIALS[] = {
    {SYS_socket, COMPAT_SOCKET, 0, BPF_JEQ, DOMAIN_SMC, EAFNOSUPPORT},
    {SYS_socket, COMPAT_SOCKET, 2, BPF_JEQ, PROTOCOL_SMC, EPROTONOSUPPORT},
    {SYS_socket, COMPAT_SOCKET, 2, BPF_JEQ, PROTOCOL_MPTCP, EPROTONOSUPPORT},
    {SYS_sendto, COMPAT_SENDTO, 3, BPF_JSET, MSG_FASTOPEN, EOPNOTSUPP},
    {SYS_sendmsg, COMPAT_SENDMSG, 2, BPF_JSET, MSG_FASTOPEN, EOPNOTSUPP},
    {SYS_sendmmsg, COMPAT_SENDMMSG, 3, BPF_JSET, MSG_FASTOPEN, EOPNOTSUPP},
    {CALL_IO_URING_SETUP, CALL_IO_URING_SETUP, 0, BPF_JGE, 0, ENOSYS}, /* whatever its argument is */
};

enum {
    DENIAL_COUNT = sizeof DENIALS / sizeof DENIALS[0],
    PER_DENIAL = 5,
    PER_ARCHITECTURE = DENIAL_COUNT * PER_DENIAL + 1,
    FILTER_LENGTH = 2 + 3 + PER_ARCHITECTURE + 2 + PER_ARCHITECTURE + 1,
};

static void write_denials(struct bpf_writer *writer, bool compat)
{
    for (const struct denial *denial = DENIALS; denial < DENIALS + DENIAL_COUNT; denial++) {
        bpf_load(writer, offsetof(struct seccomp_data, nr));
        bpf_equal(writer, compat ? denial->compat_number : denial->number, 0, PER_DENIAL - 2);
        bpf_load(writer, BPF_LOW(denial->argument));
        bpf_jump(writer, denial->condition, denial->value, 0, 1);
        bpf_fail(writer, denial->error);
    }
    bpf_allow(writer);
}

static void write_filter(struct bpf_writer *writer)
{
    bpf_load(writer, offsetof(struct seccomp_data, arch));
    bpf_equal(writer, BPF_OWN_ARCHITECTURE, 0, 3 + PER_ARCHITECTURE);
    bpf_load(writer, offsetof(struct seccomp_data, nr));
    bpf_jump(writer, BPF_JGE, CALL_X32, 0, 1);
    bpf_fail(writer, ENOSYS);
    write_denials(writer, false);
    bpf_load(writer, offsetof(struct seccomp_data, arch));
    bpf_equal(writer, (uint32_t)COMPAT_ARCHITECTURE, 0, PER_ARCHITECTURE);
    write_denials(writer, true);
    bpf_allow(writer);
}

static int install(const struct bpf_writer *writer, struct sock_filter *instructions)
{
    const struct sock_fprog filter = {(unsigned short)(writer->at - instructions), instructions};
    return (int)sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, sys_ptr(&filter));
}

static int deny_ways_around(void)
{
    struct sock_filter instructions[FILTER_LENGTH];
    struct bpf_writer writer = {instructions, instructions + FILTER_LENGTH};
    write_filter(&writer);
    return install(&writer, instructions);
}

/* The call has the same number for every architecture. */
bool fence_deny_rings(void)
{
    struct sock_filter instructions[4];
    struct bpf_writer writer = {instructions, instructions + 4};
    if (sys_call3(CALL_IO_URING_SETUP, 0, 0, 0) == -ENOSYS)
        return true;
    bpf_load(&writer, offsetof(struct seccomp_data, nr));
    bpf_equal(&writer, CALL_IO_URING_SETUP, 0, 1);
    bpf_fail(&writer, ENOSYS);
    bpf_allow(&writer);
    return install(&writer, instructions) == 0;
}

static int restrict_self(int ruleset)
{
    return (int)sys_call3(CALL_RESTRICT_SELF, ruleset, 0, 0);
}

int fence_enter(int ruleset, bool raises_rights)
{
    int error = restrict_self(ruleset);
    if (error == -EPERM && !raises_rights) {
        sys_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
        error = restrict_self(ruleset);
    }
    return error < 0 ? error : deny_ways_around();
}
