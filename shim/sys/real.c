/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/real.h"

#include "sys/lookup.h"
#include "sys/ro_after_init.h"

RO_AFTER_INIT struct real real_table;

/* clang-format off */
#define WANTED(name) {#name, offsetof(struct real, name)}
static const struct lookup_wanted wanted[] = {
    WANTED(connect), WANTED(accept), WANTED(accept4), WANTED(listen), WANTED(shutdown), WANTED(close),
    WANTED(getsockopt), WANTED(setsockopt), WANTED(ioctl), WANTED(fcntl), WANTED(fcntl64), WANTED(dup),
    WANTED(dup2), WANTED(dup3), WANTED(fork), WANTED(_Fork), WANTED(_exit), WANTED(close_range),
    WANTED(closefrom), WANTED(aio_read), WANTED(aio_write), WANTED(lio_listio), WANTED(prctl),
    WANTED(system), WANTED(wordexp), WANTED(popen), WANTED(pclose), WANTED(daemon), WANTED(login_tty), WANTED(posix_spawn),
    WANTED(posix_spawnp), WANTED(dlopen), WANTED(dlmopen), WANTED(read), WANTED(readv), WANTED(preadv2),
    WANTED(recv), WANTED(recvfrom), WANTED(recvmsg), WANTED(recvmmsg), WANTED(write), WANTED(writev),
    WANTED(pwritev2), WANTED(send), WANTED(sendto), WANTED(sendmsg), WANTED(sendmmsg), WANTED(sendfile),
    WANTED(splice), WANTED(tee), WANTED(vmsplice), WANTED(freopen), WANTED(freopen64), WANTED(vdprintf),
    WANTED(syscall), WANTED(poll), WANTED(ppoll), WANTED(select), WANTED(pselect), WANTED(epoll_ctl),
    WANTED(epoll_wait), WANTED(epoll_pwait), WANTED(epoll_pwait2), WANTED(sleep), WANTED(usleep),
    WANTED(nanosleep), WANTED(clock_nanosleep), WANTED(thrd_sleep), WANTED(pause), WANTED(sigsuspend),
    WANTED(perror), WANTED(herror), WANTED(psiginfo), WANTED(backtrace_symbols_fd), WANTED(openlog),
    WANTED(closelog), WANTED(vsyslog), WANTED(openpty), WANTED(forkpty), WANTED(rcmd_af), WANTED(rexec_af),
    WANTED(setuid), WANTED(seteuid), WANTED(setreuid), WANTED(setresuid), WANTED(setfsuid), WANTED(setgid),
    WANTED(setegid), WANTED(setregid), WANTED(setresgid), WANTED(setfsgid), WANTED(setgroups),
    WANTED(initgroups), WANTED(chroot), WANTED(capset), WANTED(unshare), WANTED(setns), WANTED(wait4),
    WANTED(waitid), WANTED(sigtimedwait), WANTED(sigwaitinfo), WANTED(sigwait), WANTED(pidfd_spawn),
    WANTED(pidfd_spawnp), WANTED(socket), WANTED(clone), WANTED(pthread_testcancel),
};
/* clang-format on */

void real_bind(void)
{
    lookup_bind(wanted, sizeof wanted / sizeof wanted[0], &real_table); /* racing threads write the same */
    if (!__atomic_load_n(&real_table.bound, __ATOMIC_ACQUIRE))          /* or it may be read-only by now */
        __atomic_store_n(&real_table.bound, true, __ATOMIC_RELEASE);
}
