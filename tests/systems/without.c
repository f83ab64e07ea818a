/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * without NAME,NAME PROGRAM ARGUMENT...: runs a program on a kernel that does not have these system calls
 * (ENOSYS), as one that is older, or built or confined otherwise. Linked statically: a preloaded library has
 * no part in it.
 */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned number;
} calls[] = {
    {"memfd_secret", 447},
    {"memfd_create", SYS_memfd_create},
    {"landlock", 444}, /* landlock_create_ruleset: asked first, by whoever uses it */
    {"epoll_pwait2", 441},
    {"close_range", 436},
    {"openat2", 437},
    {"pidfd_open", 434},
    {"pidfd_getfd", 438},
    {"clone3", 435},
    {"io_uring_setup", 425},
    {"statx", SYS_statx},
    {"membarrier", SYS_membarrier},
    {"getrandom", SYS_getrandom},
    {"preadv2", SYS_preadv2},
    {"execveat", SYS_execveat},
    {"kcmp", SYS_kcmp},
    {"rseq", SYS_rseq},
    {"eventfd2", SYS_eventfd2},
};

enum { MAX = 64, CALLS = sizeof calls / sizeof calls[0] };

static int number_of(const char *name, size_t len)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (strlen(calls[i].name) == len && memcmp(calls[i].name, name, len) == 0)
            return (int)calls[i].number;
    }
    return -1;
}

/* Each call is two instructions: is it this one? Then it is refused. */
static int refuse(const char *names)
{
    struct sock_filter code[2 * MAX + 2];
    unsigned short count = 0;
    code[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    while (*names && count < 2 * MAX) {
        const size_t len = strcspn(names, ",");
        const int number = number_of(names, len);
        if (number < 0) {
            fprintf(stderr, "without: no system call of this name is known: %s\n", names);
            return -1;
        }
        code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1);
        code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
        names += len + (names[len] == ',');
    }
    code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = count, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return 0;
    perror("without: seccomp");
    return -1;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: without NAME,NAME PROGRAM ARGUMENT...\n");
        return 2;
    }
    if (refuse(argv[1]) < 0)
        return 2;
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
