/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_SINGLE_CALLS_H
#define PRELOAD_SINGLE_CALLS_H

/* Single calls on a descriptor, for tables of calls: each one's result, or -errno if it failed. */

long single_told(long result);

long single_shut_reading(int fd);
long single_shut_writing(int fd);
long single_shut_both(int fd);

/* How many bytes FIONREAD counts, and what SO_ERROR tells. */
long single_count(int fd);
long single_so_error(int fd);

/* The events that poll(2) tells at once. */
long single_ready(int fd);

long single_peer_name(int fd);
long single_copy_and_close(int fd);

/* What comes on a connection until its end, and how that looks: a count of bytes, or -errno; -ETIME if there
 * is no end. */
long single_hear_to_end(int fd);

#endif
