/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TX_RECORD_H
#define SOCKSEAL_TX_RECORD_H

/* From the program's bytes to records in the kernel. All with tx_lock held. */

#include "conn/fdtable.h"
#include "conn/result.h"
#include "record/iov_cursor.h"

/*
 * Seals from the cursor and sends, with nothing else waiting to be sent, until all is sent or the kernel
 * stops it; the cursor moves over what the program may take as written. 0, or -errno of what stopped it, or
 * IO_LOCK_LOST.
 *
 * When the kernel takes the first part of a record only, the record is partial (TX_PARTIAL): its header and
 * the bytes of content that are on the wire are fixed, and are what the program is told to be written. The
 * rest is not fixed yet: when the program comes back, the record is sealed again under the same nonce, with
 * the same bytes on the wire and the program's new ones behind them, padded if it has fewer
 * (tls_session_seal_padded()). So the program sees the kernel's own count, may go on with whatever it likes,
 * and one ciphertext leaves under each nonce.
 */
struct io_result tx_record_send(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* The same for 1 to SCRATCH_SMALL bytes in one piece, with the cursor at their beginning; when all is sent
 * only source->left is kept up to date. */
struct io_result tx_record_send_small(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* Goes on with a partial record: the same contract. */
struct io_result tx_record_resume(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* Ends a partial record with padding alone: its rest becomes ciphertext in tx.chunk. False if that cannot be
 * done. Nothing else may be sealed before it, for it has its sequence number already. */
bool tx_record_end_partial(struct conn *conn);

#endif
