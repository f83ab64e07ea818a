/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/real.h"

#include <dlfcn.h>
#include <string.h>

#include "sys/lookup.h"

struct real real_table;

void *real_symbol(const char *name)
{
    return lookup_dlsym()(RTLD_NEXT, name);
}

/* dlsym() gives an object pointer; ISO C has no cast from it to a function pointer, POSIX promises the bits
 * are the same. */
static void bind_one(void *slot, const char *name)
{
    void *symbol = real_symbol(name);
    memcpy(slot, &symbol, sizeof symbol);
}

#define BIND(name) bind_one(&real_table.name, #name)

static void bind_lifecycle(void)
{
    BIND(connect);
    BIND(accept);
    BIND(accept4);
    BIND(listen);
    BIND(shutdown);
    BIND(close);
    BIND(getsockopt);
    BIND(setsockopt);
    BIND(ioctl);
    BIND(fcntl);
    BIND(fcntl64);
    BIND(dup);
    BIND(dup2);
    BIND(dup3);
    BIND(fork);
    BIND(_Fork);
    BIND(_exit);
    BIND(close_range);
    BIND(closefrom);
    BIND(aio_read);
    BIND(aio_write);
    BIND(lio_listio);
    BIND(prctl);
    BIND(system);
    BIND(popen);
    BIND(pclose);
    BIND(daemon);
    BIND(login_tty);
    BIND(posix_spawn);
    BIND(posix_spawnp);
    BIND(dlopen);
    BIND(dlmopen);
}

static void bind_data(void)
{
    BIND(read);
    BIND(readv);
    BIND(preadv2);
    BIND(recv);
    BIND(recvfrom);
    BIND(recvmsg);
    BIND(recvmmsg);
    BIND(write);
    BIND(writev);
    BIND(pwritev2);
    BIND(send);
    BIND(sendto);
    BIND(sendmsg);
    BIND(sendmmsg);
    BIND(sendfile);
    BIND(splice);
    BIND(tee);
    BIND(vmsplice);
    BIND(freopen);
    BIND(freopen64);
    BIND(vdprintf);
    BIND(syscall);
}

static void bind_wait(void)
{
    BIND(poll);
    BIND(ppoll);
    BIND(select);
    BIND(pselect);
    BIND(epoll_ctl);
    BIND(epoll_wait);
    BIND(epoll_pwait);
    BIND(epoll_pwait2);
    BIND(sleep);
    BIND(usleep);
    BIND(nanosleep);
    BIND(clock_nanosleep);
    BIND(thrd_sleep);
    BIND(pause);
    BIND(sigsuspend);
    BIND(wait4);
    BIND(waitid);
    BIND(sigtimedwait);
    BIND(sigwaitinfo);
    BIND(sigwait);
}

static void bind_others(void)
{
    BIND(perror);
    BIND(herror);
    BIND(psiginfo);
    BIND(backtrace_symbols_fd);
    BIND(openlog);
    BIND(closelog);
    BIND(vsyslog);
    BIND(openpty);
    BIND(forkpty);
    BIND(rcmd_af);
    BIND(rexec_af);
}

static void bind_privileges(void)
{
    BIND(setuid);
    BIND(seteuid);
    BIND(setreuid);
    BIND(setresuid);
    BIND(setfsuid);
    BIND(setgid);
    BIND(setegid);
    BIND(setregid);
    BIND(setresgid);
    BIND(setfsgid);
    BIND(setgroups);
    BIND(initgroups);
    BIND(chroot);
    BIND(capset);
    BIND(unshare);
    BIND(setns);
}

void real_bind_newer(void)
{
    BIND(pidfd_spawn);
    BIND(pidfd_spawnp);
}

void real_bind(void)
{
    /* Racing threads write the same values. */
    bind_lifecycle();
    bind_data();
    bind_wait();
    bind_others();
    bind_privileges();
    __atomic_store_n(&real_table.bound, true, __ATOMIC_RELEASE);
}
