/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEAL_H
#define SOCKSEAL_SEAL_H

/* From the program's bytes to records in the kernel. */

#include <sys/uio.h>

#include "conn/fdtable.h"

/* A cursor over the program's iovec. */
struct iov_cursor {
    const struct iovec *iov;
    size_t count;
    size_t index, offset; /* where the cursor stands */
    size_t left;          /* bytes from there to the end */
};

struct iov_cursor iov_cursor_of(const struct iovec *iov, size_t count);

/* The bytes at the cursor that lie in one piece; source->left > 0. */
const uint8_t *iov_cursor_piece(struct iov_cursor *source, size_t *len);

void iov_cursor_advance(struct iov_cursor *source, size_t len);

/*
 * Seals from the cursor and sends, role tx held and nothing else waiting to be sent, until all is sent or the
 * kernel stops us; the cursor moves over what the program may take as written. 0, or -errno of what stopped
 * it, or -ESTALE (the role is lost).
 *
 * When the kernel takes a record in part, the record is cut: its header and the bytes of content that are on
 * the wire stand, and are what the program is told to be written. The rest does not stand yet: when the
 * program comes back, the record is sealed again under the same nonce, with the same bytes on the wire and
 * the program's new ones behind them, padded if it has fewer (tls_session_seal_padded()). So the program sees
 * the kernel's own count, may go on with whatever it likes, and one ciphertext leaves under each nonce.
 */
int tx_record_send(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* The same for 1 to SCRATCH_SMALL bytes in one piece, with the cursor at their beginning; when all is sent
 * only source->left is kept up to date. */
int tx_record_send_small(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* Goes on with a cut record: the same contract. */
int tx_record_resume(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* Ends a cut record with padding alone: its rest becomes ciphertext in tx_chunk. False if that cannot be
 * done. */
bool tx_record_end_partial(struct conn *conn);

#endif
