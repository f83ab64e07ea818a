/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AIO_H
#define SOCKSEAL_AIO_H

struct iocb;

/* libaio's: gives how many were submitted, or -errno. */
int io_submit(void *context, long count, struct iocb **list);

#endif
