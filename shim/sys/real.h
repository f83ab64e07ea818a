/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REAL_H
#define SOCKSEAL_REAL_H

/*
 * libc's own functions behind the doors, bound on first use (sys/lookup.h): for calls that may block
 * on behalf of the program, since these are cancellation points, and for what the doors pass through. They
 * set errno.
 */

#include <aio.h>
#include <dlfcn.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <wordexp.h>

struct termios;
struct winsize;

struct real {
    bool bound;
    int (*clone)(int (*)(void *), void *, int, void *, ...);
    int (*socket)(int, int, int);
    int (*connect)(int, const struct sockaddr *, socklen_t);
    int (*accept)(int, struct sockaddr *, socklen_t *);
    int (*accept4)(int, struct sockaddr *, socklen_t *, int);
    int (*listen)(int, int);
    int (*shutdown)(int, int);
    int (*close)(int);
    int (*getsockopt)(int, int, int, void *, socklen_t *);
    int (*setsockopt)(int, int, int, const void *, socklen_t);
    int (*ioctl)(int, unsigned long, ...);
    int (*fcntl)(int, int, ...);
    int (*fcntl64)(int, int, ...);
    int (*dup)(int);
    int (*dup2)(int, int);
    int (*dup3)(int, int, int);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*readv)(int, const struct iovec *, int);
    ssize_t (*preadv2)(int, const struct iovec *, int, off_t, int);
    ssize_t (*recv)(int, void *, size_t, int);
    ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
    int (*recvmmsg)(int, struct mmsghdr *, unsigned, int, struct timespec *);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*writev)(int, const struct iovec *, int);
    ssize_t (*pwritev2)(int, const struct iovec *, int, off_t, int);
    ssize_t (*send)(int, const void *, size_t, int);
    ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    int (*sendmmsg)(int, struct mmsghdr *, unsigned, int);
    ssize_t (*sendfile)(int, int, off_t *, size_t);
    ssize_t (*splice)(int, off64_t *, int, off64_t *, size_t, unsigned);
    ssize_t (*tee)(int, int, size_t, unsigned);
    ssize_t (*vmsplice)(int, const struct iovec *, size_t, unsigned);
    int (*poll)(struct pollfd *, nfds_t, int);
    int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    int (*pselect)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
    int (*epoll_ctl)(int, int, int, struct epoll_event *);
    int (*epoll_wait)(int, struct epoll_event *, int, int);
    int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
    int (*epoll_pwait2)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
    unsigned (*sleep)(unsigned);
    int (*usleep)(useconds_t);
    int (*nanosleep)(const struct timespec *, struct timespec *);
    int (*clock_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
    int (*thrd_sleep)(const struct timespec *, struct timespec *);
    int (*pause)(void);
    int (*sigsuspend)(const sigset_t *);
    void (*perror)(const char *);
    void (*herror)(const char *);
    void (*psiginfo)(const siginfo_t *, const char *);
    void (*backtrace_symbols_fd)(void *const *, int, int);
    void (*openlog)(const char *, int, int);
    void (*closelog)(void);
    void (*vsyslog)(int, const char *, va_list);
    int (*openpty)(int *, int *, char *, const struct termios *, const struct winsize *);
    int (*login_tty)(int);
    int (*forkpty)(int *, char *, const struct termios *, const struct winsize *);
    int (*rcmd_af)(char **, unsigned short, const char *, const char *, const char *, int *, sa_family_t);
    int (*rexec_af)(char **, int, const char *, const char *, const char *, int *, sa_family_t);
    pid_t (*fork)(void);
    pid_t (*_Fork)(void);
    void (*_exit)(int);
    int (*close_range)(unsigned, unsigned, int);
    void (*closefrom)(int);
    FILE *(*freopen)(const char *, const char *, FILE *);
    FILE *(*freopen64)(const char *, const char *, FILE *);
    int (*vdprintf)(int, const char *, va_list);
    long (*syscall)(long, ...);
    void *(*dlopen)(const char *, int);
    void *(*dlmopen)(Lmid_t, const char *, int);
    int (*aio_read)(struct aiocb *);
    int (*aio_write)(struct aiocb *);
    int (*lio_listio)(int, struct aiocb *const[], int, struct sigevent *);
    int (*prctl)(int, ...);
    int (*system)(const char *);
    int (*wordexp)(const char *, wordexp_t *, int);
    void (*pthread_testcancel)(void); /* NULL: a libc without it where no libpthread is loaded */
    FILE *(*popen)(const char *, const char *);
    int (*pclose)(FILE *);
    int (*daemon)(int, int);
    int (*posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                       char *const[], char *const[]);
    int (*posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                        char *const[], char *const[]);
    int (*pidfd_spawn)(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                       char *const[], char *const[]);
    int (*pidfd_spawnp)(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                        char *const[], char *const[]);
    int (*setuid)(uid_t);
    int (*seteuid)(uid_t);
    int (*setreuid)(uid_t, uid_t);
    int (*setresuid)(uid_t, uid_t, uid_t);
    int (*setfsuid)(uid_t);
    int (*setgid)(gid_t);
    int (*setegid)(gid_t);
    int (*setregid)(gid_t, gid_t);
    int (*setresgid)(gid_t, gid_t, gid_t);
    int (*setfsgid)(gid_t);
    int (*setgroups)(size_t, const gid_t *);
    int (*initgroups)(const char *, gid_t);
    int (*chroot)(const char *);
    int (*capset)(cap_user_header_t, const cap_user_data_t);
    int (*unshare)(int);
    int (*setns)(int, int);
    pid_t (*wait4)(pid_t, int *, int, struct rusage *);
    int (*waitid)(idtype_t, id_t, siginfo_t *, int);
    int (*sigtimedwait)(const sigset_t *, siginfo_t *, const struct timespec *);
    int (*sigwaitinfo)(const sigset_t *, siginfo_t *);
    int (*sigwait)(const sigset_t *, int *);
};

extern struct real real_table;

/* Binds all of them; any thread, any number of times. What this libc does not have stays NULL. */
void real_bind(void);

static inline const struct real *real(void)
{
    if (!__atomic_load_n(&real_table.bound, __ATOMIC_ACQUIRE))
        real_bind();
    return &real_table;
}

#endif
