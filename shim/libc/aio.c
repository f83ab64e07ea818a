/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of asynchronous input and output, which passes the other doors by: POSIX's with threads inside libc,
 * io_submit(2) in the kernel (libaio makes that call inline). Refused on a sealed descriptor. */

#include "libc/aio.h"

#include "libc/door.h"

#include <aio.h>
#include <linux/aio_abi.h>

#include "conn/error.h"
#include "diag/log.h"
#include "sys/sys.h"

static bool refused(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn && !fdtable_is_unconnected(&handle))
        return false;
    if (handle.conn && handle.conn != &fdtable_dead)
        error_note(&handle, LOG_WARN,
                   "asynchronous input and output (aio) is refused on a sealed connection");
    errno = EINVAL;
    return true;
}

DOOR int aio_read(struct aiocb *block)
{
    return refused(block->aio_fildes) ? -1 : real()->aio_read(block);
}

DOOR_ALIAS("aio_read") int aio_read64(struct aiocb64 *block) __THROW;

DOOR int aio_write(struct aiocb *block)
{
    return refused(block->aio_fildes) ? -1 : real()->aio_write(block);
}

DOOR_ALIAS("aio_write") int aio_write64(struct aiocb64 *block) __THROW;

DOOR int lio_listio(int mode, struct aiocb *const list[restrict], int count, struct sigevent *restrict event)
{
    for (int i = 0; i < count; i++) {
        if (list[i] && list[i]->aio_lio_opcode != LIO_NOP && refused(list[i]->aio_fildes))
            return -1;
    }
    return real()->lio_listio(mode, list, count, event);
}

DOOR_ALIAS("lio_listio")
int lio_listio64(int mode, struct aiocb64 *const list[restrict], int count,
                 struct sigevent *restrict event) __THROW;

/* The kernel stops at the first entry that is no address, after those before it. */
DOOR int io_submit(void *context, long count, struct iocb **list)
{
    int saved = errno;
    for (long i = 0; i < count && list && list[i]; i++) {
        if (refused((int)list[i]->aio_fildes)) {
            errno = saved;
            return -EINVAL;
        }
    }
    return (int)sys_call3(SYS_io_submit, sys_ptr(context), count, sys_ptr(list));
}
