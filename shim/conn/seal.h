/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEAL_H
#define SOCKSEAL_SEAL_H

/* From the program's bytes to records in the kernel. */

#include <sys/uio.h>

#include "conn/registry.h"

/* A cursor over the program's iovec. */
struct seal_source {
    const struct iovec *iov;
    size_t count;
    size_t index, offset; /* where the cursor stands */
    size_t left;          /* bytes from there to the end */
};

struct seal_source seal_source_of(const struct iovec *iov, size_t count);

/* The bytes at the cursor that lie in one piece; source->left > 0. */
const uint8_t *seal_contiguous(struct seal_source *source, size_t *len);

void seal_advance(struct seal_source *source, size_t len);

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
int seal_and_send(const struct sealed *sealed, struct seal_source *source, int flags);

/* The same for 1 to SCRATCH_SMALL bytes in one piece, with the cursor at their beginning; when all is sent
 * only source->left is kept up to date. */
int seal_one(const struct sealed *sealed, struct seal_source *source, int flags);

/* Goes on with a cut record: the same contract. */
int seal_resume(const struct sealed *sealed, struct seal_source *source, int flags);

/* Ends a cut record with padding alone: its rest becomes ciphertext in tx_chunk. False if that cannot be
 * done. */
bool seal_end_cut(struct conn *conn);

#endif
