/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SPLICE_H
#define SOCKSEAL_SPLICE_H

/*
 * splice(2) and sendfile(2) with one sealed end. As in the kernel, a byte has left its source if and only if
 * it is counted. What the other end does not take stays in the pipe, in the file or in the connection. Each
 * byte is copied as often as read(2) and write(2) would copy it.
 *
 * Whether a call blocks is decided as in the kernel: by the socket's O_NONBLOCK for the socket, by the pipe's
 * or by SPLICE_F_NONBLOCK for the pipe. Results are counts, 0 at the end, -errno, or IO_RETRY_LOOKUP. `flags`
 * are splice(2)'s.
 */

#include <sys/types.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* splice(2) from the connection into a pipe; -EINVAL if `pipe` is not one. */
struct io_result splice_to_pipe(const struct conn_handle *handle, int pipe, size_t len, unsigned flags);

/* splice(2) from a pipe into the connection; -EINVAL if `pipe` is not one. If two threads take from one pipe
 * at the same moment, a byte may be sent twice: the kernel locks the pipe meanwhile, this library cannot. */
struct io_result splice_from_pipe(const struct conn_handle *handle, int pipe, size_t len, unsigned flags);

/* sendfile(2) from a file into the connection. `offset` is moved over what was sent; NULL: the file's own. */
struct io_result splice_from_file(const struct conn_handle *handle, int in, off_t *offset, size_t len);

#endif
