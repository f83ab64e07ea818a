/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/seal.h"

#include <errno.h>
#include <string.h>

#include "conn/blocking.h"
#include "conn/failure.h"
#include "conn/scratch.h"
#include "conn/send.h"

/* Records sealed for one system call: all full but the last. */
struct batch {
    uint64_t first_sequence;
    size_t records;
    size_t plain, cipher;
    size_t overhead;
};

struct seal_source seal_source_of(const struct iovec *iov, size_t count)
{
    struct seal_source source = {.iov = iov, .count = count};
    for (size_t i = 0; i < count; i++)
        source.left += iov[i].iov_len;
    return source;
}

const uint8_t *seal_contiguous(struct seal_source *source, size_t *len)
{
    while (source->offset == source->iov[source->index].iov_len) {
        source->index++;
        source->offset = 0;
    }
    *len = source->iov[source->index].iov_len - source->offset;
    return (const uint8_t *)source->iov[source->index].iov_base + source->offset;
}

void seal_advance(struct seal_source *source, size_t len)
{
    source->left -= len;
    while (len > 0) {
        size_t here = source->iov[source->index].iov_len - source->offset;
        size_t part = len < here ? len : here;
        source->offset += part;
        len -= part;
        if (len > 0) {
            source->index++;
            source->offset = 0;
        }
    }
}

static void gather(struct seal_source *source, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t here;
        const uint8_t *data = seal_contiguous(source, &here);
        if (here > len)
            here = len;
        memcpy(out, data, here);
        seal_advance(source, here);
        out += here;
        len -= here;
    }
}

/* Seals one record from the cursor, straight from the program's memory where it lies in one piece there. */
static enum tls_result seal_record(struct tls_session *session, struct seal_source *source, uint8_t *out,
                                   size_t *out_len)
{
    size_t len = source->left < TLS_PLAINTEXT_MAX ? source->left : TLS_PLAINTEXT_MAX, here;
    const uint8_t *data = seal_contiguous(source, &here);
    if (here >= len) {
        seal_advance(source, len);
    } else {
        data = out + TLS_RECORD_HEADER;
        gather(source, out + TLS_RECORD_HEADER, len);
    }
    return tls_session_seal(session, data, len, out, out_len);
}

static enum tls_result seal_batch(struct tls_session *session, struct seal_source *source, uint8_t *out,
                                  struct batch *batch)
{
    *batch =
        (struct batch){.first_sequence = session->tx.sequence, .overhead = tls_session_overhead(session)};
    size_t before = source->left;
    while (source->left > 0 && batch->records < SCRATCH_RECORDS) {
        size_t len;
        enum tls_result result = seal_record(session, source, out + batch->cipher, &len);
        if (result != TLS_OK)
            return result;
        batch->cipher += len;
        batch->records++;
    }
    batch->plain = before - source->left;
    return TLS_OK;
}

/*
 * The kernel took `sent` bytes of the batch, not all. Records behind the one that it cut never left, so their
 * sequence numbers are free again. The cut one must be completed: its rest is kept and its last byte
 * withheld, for which the program will come back. `start` is the cursor at the batch's first byte.
 */
static int keep_rest(const struct sealed *sealed, struct seal_source *start, const struct batch *batch,
                     const uint8_t *cipher, size_t sent)
{
    struct conn *conn = sealed->conn;
    const size_t full = TLS_PLAINTEXT_MAX + batch->overhead;
    size_t whole = sent / full, inside = sent % full;
    conn->session.tx.sequence = batch->first_sequence + whole;
    seal_advance(start, whole * TLS_PLAINTEXT_MAX);
    if (inside == 0)
        return -EAGAIN;
    size_t plain = batch->plain - whole * TLS_PLAINTEXT_MAX;
    if (plain > TLS_PLAINTEXT_MAX)
        plain = TLS_PLAINTEXT_MAX;
    conn->session.tx.sequence++;
    if (!send_append_held(conn, cipher + sent, plain + batch->overhead - inside)) {
        failure_set(sealed, ENOBUFS, "no memory for the rest of a record");
        return -ENOBUFS;
    }
    seal_advance(start, plain - 1);
    size_t len;
    conn->withheld_byte = *seal_contiguous(start, &len);
    conn->withheld = 1;
    return -EAGAIN;
}

static int send_batches(const struct sealed *sealed, struct seal_source *source, uint8_t *cipher, int flags)
{
    struct conn *conn = sealed->conn;
    struct batch batch;
    while (source->left > 0) {
        struct seal_source start = *source;
        enum tls_result result = seal_batch(&conn->session, source, cipher, &batch);
        if (result != TLS_OK) {
            failure_from(sealed, &conn->session, result);
            return -failure_errno(result);
        }
        ssize_t sent = blocking_send(sealed, cipher, batch.cipher, flags);
        if (sent == (ssize_t)batch.cipher)
            continue;
        *source = start;
        if (sent == -ESTALE)
            return -ESTALE;
        if (sent >= 0)
            return keep_rest(sealed, source, &batch, cipher, (size_t)sent);
        conn->session.tx.sequence = batch.first_sequence; /* nothing left */
        return (int)sent;
    }
    return 0;
}

/* Also when the thread is cancelled. */
static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

int seal_and_send(const struct sealed *sealed, struct seal_source *source, int flags)
{
    if (source->left <= SCRATCH_SMALL) {
        uint8_t small[SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
        return send_batches(sealed, source, small, flags);
    }
    uint8_t *cipher __attribute__((cleanup(give_back))) = scratch_take();
    return cipher ? send_batches(sealed, source, cipher, flags) : -ENOBUFS;
}
