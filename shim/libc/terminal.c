/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of login_tty and forkpty, which put a terminal at 0, 1 and 2 inside libc: a server under inetd has a
 * sealed connection there, and telnetd does this to it. */

#include "libc/door.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utmp.h>

DOOR int login_tty(int fd)
{
    if (!atomic_load_explicit(&fdtable_size, memory_order_relaxed))
        return real()->login_tty(fd);
    setsid();
    if (ioctl(fd, TIOCSCTTY, NULL) < 0)
        return -1;
    for (int to = 0; to <= STDERR_FILENO; to++) {
        while (dup2(fd, to) < 0 && errno == EBUSY)
            ;
    }
    if (fd > STDERR_FILENO)
        close(fd);
    return 0;
}

DOOR int forkpty(int *master, char *name, const struct termios *modes, const struct winsize *size)
{
    int ends[2];
    if (!atomic_load_explicit(&fdtable_size, memory_order_relaxed))
        return real()->forkpty(master, name, modes, size);
    if (real()->openpty(&ends[0], &ends[1], name, modes, size) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        if (login_tty(ends[1]) < 0)
            _exit(1);
        return 0;
    }
    if (child < 0)
        close(ends[0]);
    else
        *master = ends[0];
    int saved = errno;
    close(ends[1]);
    errno = saved;
    return child;
}
