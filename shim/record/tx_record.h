/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TX_RECORD_H
#define SOCKSEAL_TX_RECORD_H

/* From the program's bytes to records in the kernel. All functions need tx_lock. */

#include "conn/fdtable.h"
#include "conn/result.h"
#include "record/iov_cursor.h"

/*
 * Encrypts and sends the bytes at the cursor, until all are sent or the kernel takes no more. Nothing else
 * may be waiting to be sent. The cursor moves over what the program may count as written. 0, -errno of what
 * stopped it, or IO_LOCK_LOST.
 *
 * When the kernel takes only the first part of a record, the record is partial (TX_PARTIAL). Its header and
 * the content that is on the wire are fixed, and that content is what the program is told to be written. The
 * rest is not fixed. The program's next write continues the record: it is encrypted anew under the same
 * nonce, with the content that is on the wire, then the new bytes, then padding if these are fewer than the
 * header announces (tls_session_seal_padded()). What is on the wire is read back from the ciphertext, since
 * another thread may write to the program's memory meanwhile (tls_session_recover()). In every suite a byte
 * of ciphertext depends on no plaintext behind it, so the bytes that are on the wire come out the same. So
 * the program sees the kernel's own count and may go on with other bytes, and only one ciphertext leaves the
 * process under each nonce.
 */
struct io_result tx_record_send(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* The same for 1 to SCRATCH_SMALL bytes in one piece, with the cursor at their start. When all is sent, only
 * source->left is brought up to date. */
struct io_result tx_record_send_small(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* The same for a partial record, which it continues with the bytes at the cursor. */
struct io_result tx_record_resume(const struct conn_handle *handle, struct iov_cursor *source, int flags);

/* Ends a partial record with padding alone: the rest of its ciphertext is in tx.chunk then. False if that
 * cannot be done. Nothing else may be encrypted before this, since the record has its sequence number
 * already. */
bool tx_record_end_partial(struct conn *conn);

#endif
