/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEND_H
#define SOCKSEAL_SEND_H

/* The sending path: a write is accepted when the kernel has it, or, before keys stand, when the queue has it.
 */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/registry.h"

/* What the data doors return when the descriptor turns out not to be sealed any more: look again. */
enum { CONN_LOOK_AGAIN = -4096 };

/* sendmsg(2)'s work: seals and sends the bytes of `iov`. A count or -errno, or CONN_LOOK_AGAIN. Raises
 * SIGPIPE where the kernel would. */
ssize_t send_message(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags);

/* Sends, without waiting, what stands to be sent. 0 when nothing is left, -EAGAIN, or -errno of a failure. */
int send_flush(const struct sealed *sealed);

/* The same with the role tx held by the caller. */
int send_flush_held(const struct sealed *sealed);

/* Takes the role tx, unless another thread is parked in the kernel with it, or we are in a signal handler
 * above its work. If its last owner left in the middle, the connection fails. */
bool send_take(const struct sealed *sealed);

/* Gives up the role tx, after sending what a signal handler of this thread wrote meanwhile. */
void send_release(const struct sealed *sealed);

/* Appends bytes (of a handshake flight, an alert) to what goes out next; role tx held. False if there is no
 * room. */
bool send_append_held(struct conn *conn, const uint8_t *data, size_t len);

/* Appends an alert and sends what can be sent without waiting. Skipped if a writer is parked in the kernel.
 */
void send_alert(const struct sealed *sealed, enum tls_alert alert);

/* Renews our keys if the peer asked for it, unless a writer is parked: it will do so itself with its next
 * record. */
void send_key_update(const struct sealed *sealed);

#endif
