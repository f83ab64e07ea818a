/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of POSIX asynchronous input and output, whose threads inside libc pass the other doors by: refused on
 * a sealed descriptor. */

#include "libc/door.h"

#include <aio.h>

#include "conn/error.h"
#include "diag/log.h"

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
