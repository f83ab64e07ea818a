/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/private_pipe.h"

#include <stdatomic.h>

#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/net.h"

static _Atomic bool taken; /* the pipe that is kept is in use */

static void drop(void)
{
    ownfd_drop(OWNFD_PIPE_READ);
    ownfd_drop(OWNFD_PIPE_WRITE);
}

/* Makes the pipe that is kept. A vfork(2) child makes none: it shares its parent's memory, where the numbers
 * are recorded, but not its table of descriptors. */
static bool make_kept(struct private_pipe *own)
{
    if (!self_owns_tables())
        return false;
    drop();
    int ends[2];
    if (net_pipe(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    own->read_end = ownfd_keep(OWNFD_PIPE_READ, ends[0]);
    own->write_end = ownfd_keep(OWNFD_PIPE_WRITE, ends[1]);
    if (own->read_end >= 0 && own->write_end >= 0)
        return true;
    drop();
    return false;
}

static bool take_kept(struct private_pipe *own)
{
    bool free = false;
    if (!atomic_compare_exchange_strong(&taken, &free, true))
        return false;
    own->read_end = ownfd_get(OWNFD_PIPE_READ);
    own->write_end = ownfd_get(OWNFD_PIPE_WRITE);
    own->kept = (own->read_end >= 0 && own->write_end >= 0) || make_kept(own);
    if (!own->kept)
        atomic_store(&taken, false);
    return own->kept;
}

int private_pipe_take(struct private_pipe *own)
{
    int ends[2];
    if (take_kept(own))
        return 0;
    int result = net_pipe(ends, O_CLOEXEC | O_NONBLOCK);
    *own = (struct private_pipe){.read_end = ends[0], .write_end = ends[1]};
    return result;
}

void private_pipe_give(struct private_pipe *own, size_t left)
{
    if (!own->kept) {
        sys_close(own->read_end);
        sys_close(own->write_end);
        return;
    }
    if (left > 0)
        private_pipe_discard(own->read_end, left);
    atomic_store(&taken, false);
}

/* A descriptor for /dev/null, which takes a pipe's pages without copying them; -1 if it cannot be opened. */
static int null_device(void)
{
    int fd = ownfd_get(OWNFD_NULL);
    if (fd >= 0)
        return fd;
    fd = self_owns_tables() ? sys_open("/dev/null", O_WRONLY | O_CLOEXEC, 0) : -1;
    return fd < 0 ? -1 : ownfd_keep(OWNFD_NULL, fd);
}

void private_pipe_ready(void)
{
    null_device();
}

static void discard_by_reading(int fd, size_t len)
{
    uint8_t nowhere[4096];
    while (len > 0) {
        long got = sys_read(fd, nowhere, len < sizeof nowhere ? len : sizeof nowhere);
        if (got <= 0)
            return;
        len -= (size_t)got;
    }
}

void private_pipe_discard(int fd, size_t len)
{
    int null = null_device();
    while (len > 0 && null >= 0) {
        long moved = net_splice(fd, null, len, SPLICE_F_NONBLOCK);
        if (moved <= 0)
            break;
        len -= (size_t)moved;
    }
    discard_by_reading(fd, null < 0 ? len : 0);
}

void private_pipe_after_fork(void)
{
    drop();
    atomic_store(&taken, false);
}
