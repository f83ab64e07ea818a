/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_DOORS_TRANSFER_H
#define PRELOAD_DOORS_TRANSFER_H

/* splice(2) and sendfile(2) in the shape of reader and writer doors (doors.h): through a pipe, or out of a
 * file, that is made for the call. If an offset or a pipe afterwards does not agree with the count, they fail
 * with EBADMSG. */

#include <stddef.h>
#include <sys/types.h>

ssize_t transfer_read_by_splice(int fd, void *data, size_t len);
ssize_t transfer_read_by_sendfile(int fd, void *data, size_t len);
ssize_t transfer_write_by_splice(int fd, const void *data, size_t len);
ssize_t transfer_write_by_sendfile(int fd, const void *data, size_t len);
ssize_t transfer_write_by_sendfile_at(int fd, const void *data, size_t len);

/* A pipe with room for a megabyte, if we may. */
void transfer_pipe(int ends[2]);

/* A file without a name that holds these bytes, its offset at the beginning; closed on exec. */
int transfer_file(const void *data, size_t len);

/* FIONREAD of a pipe. */
size_t transfer_waiting(int pipe);

#endif
