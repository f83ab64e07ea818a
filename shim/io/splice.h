/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SPLICE_H
#define SOCKSEAL_SPLICE_H

/*
 * splice(2) and sendfile(2) with one sealed end. As in the kernel, a byte has left its source if and only if
 * it is counted: what the other end does not take stays in the pipe, in the file or in the connection. Each
 * byte is copied as often as read(2) and write(2) would copy it, and not once more.
 *
 * Whether a call blocks is the kernel's decision as ever: the socket's O_NONBLOCK for the socket, the pipe's
 * or SPLICE_F_NONBLOCK for the pipe. Results are counts, 0 at the end, -errno, or IO_RETRY_LOOKUP.
 * `flags` are splice(2)'s.
 */

#include <sys/types.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* From the connection into a pipe; -EINVAL if it is none. */
struct io_result splice_to_pipe(const struct conn_handle *handle, int pipe, size_t len, unsigned flags);

/* From a pipe into the connection; -EINVAL if it is none. Two threads that take from one pipe at the same
 * moment must not expect each byte to be sent once: the kernel locks the pipe meanwhile, we cannot. */
struct io_result splice_from_pipe(const struct conn_handle *handle, int pipe, size_t len, unsigned flags);

/* From a file into the connection: sendfile(2). */
struct io_result splice_from_file(const struct conn_handle *handle, int in, off_t *offset, size_t len);

#endif
