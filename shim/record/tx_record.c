/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/tx_record.h"

#include <errno.h>
#include <string.h>

#include "conn/error.h"
#include "record/sysio.h"
#include "record/txbuf.h"
#include "shm/scratch.h"

/* Records sealed for one system call: all full but the last. */
struct batch {
    uint64_t first_sequence;
    size_t records;
    size_t plain, cipher;
    size_t overhead;
};

struct iov_cursor iov_cursor_of(const struct iovec *iov, size_t count)
{
    struct iov_cursor source = {.iov = iov, .count = count};
    for (size_t i = 0; i < count; i++)
        source.left += iov[i].iov_len;
    return source;
}

const uint8_t *iov_cursor_piece(struct iov_cursor *source, size_t *len)
{
    while (source->offset == source->iov[source->index].iov_len) {
        source->index++;
        source->offset = 0;
    }
    *len = source->iov[source->index].iov_len - source->offset;
    return (const uint8_t *)source->iov[source->index].iov_base + source->offset;
}

void iov_cursor_advance(struct iov_cursor *source, size_t len)
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

static void gather(struct iov_cursor *source, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t here;
        const uint8_t *data = iov_cursor_piece(source, &here);
        if (here > len)
            here = len;
        memcpy(out, data, here);
        iov_cursor_advance(source, here);
        out += here;
        len -= here;
    }
}

/* Seals one record from the cursor, straight from the program's memory where it lies in one piece there. */
static enum tls_result seal_record(struct tls_session *session, struct iov_cursor *source, uint8_t *out,
                                   size_t *out_len)
{
    size_t len = source->left < TLS_PLAINTEXT_MAX ? source->left : TLS_PLAINTEXT_MAX, here;
    const uint8_t *data = iov_cursor_piece(source, &here);
    if (here >= len) {
        iov_cursor_advance(source, len);
    } else {
        data = out + TLS_RECORD_HEADER;
        gather(source, out + TLS_RECORD_HEADER, len);
    }
    return tls_session_seal(session, data, len, out, out_len);
}

static enum tls_result seal_batch(struct tls_session *session, struct iov_cursor *source, uint8_t *out,
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

/* Keeps ciphertext that has to follow, whatever the program does. */
static int keep_cipher(const struct conn_handle *handle, const uint8_t *cipher, size_t len)
{
    if (txbuf_append(handle->conn, cipher, len))
        return -EAGAIN;
    error_set(handle, ENOBUFS, "no memory for the rest of a record");
    return -ENOBUFS;
}

/* Content bytes of a record that are on the wire with its first `sent` bytes. */
static size_t content_sent(size_t sent)
{
    return sent > TLS_RECORD_HEADER ? sent - TLS_RECORD_HEADER : 0;
}

/*
 * The kernel took `sent` bytes of the batch, not all. Records behind the one that it cut never left, so their
 * sequence numbers are free again. `start` is the cursor at the batch's first byte.
 */
static int keep_partial(const struct conn_handle *handle, struct iov_cursor *start, const struct batch *batch,
                        const uint8_t *cipher, size_t sent)
{
    struct conn *conn = handle->conn;
    const size_t full = TLS_PLAINTEXT_MAX + batch->overhead;
    size_t whole = sent / full, inside = sent % full, size = batch->plain - whole * TLS_PLAINTEXT_MAX;
    conn->session.tx.sequence = batch->first_sequence + whole;
    iov_cursor_advance(start, whole * TLS_PLAINTEXT_MAX);
    if (inside == 0)
        return -EAGAIN;
    if (size > TLS_PLAINTEXT_MAX)
        size = TLS_PLAINTEXT_MAX;
    if (content_sent(inside) >= size) { /* all content is on the wire: the rest is fixed */
        conn->session.tx.sequence++;
        iov_cursor_advance(start, size);
        return keep_cipher(handle, cipher + sent, size + batch->overhead - inside);
    }
    if (!conn->tx_chunk && !(conn->tx_chunk = arena_chunk_take())) {
        error_set(handle, ENOBUFS, "no memory for the rest of a record");
        return -ENOBUFS;
    }
    conn->partial = 1;
    conn->partial_size = (uint32_t)size;
    conn->partial_have = (uint32_t)content_sent(inside);
    conn->partial_sent = (uint32_t)inside;
    gather(start, arena_chunk(conn->tx_chunk), conn->partial_have);
    return -EAGAIN;
}

/* Seals the cut record with `len` bytes of content, which stand in tx_chunk. */
static enum tls_result seal_partial(struct conn *conn, size_t len, uint8_t *cipher, size_t *size)
{
    return tls_session_seal_padded(&conn->session, arena_chunk(conn->tx_chunk), len, conn->partial_size - len,
                                   cipher, size);
}

static void end_partial(struct conn *conn)
{
    conn->partial = 0;
    arena_chunk_give(conn->tx_chunk);
    conn->tx_chunk = 0;
}

bool tx_record_end_partial(struct conn *conn)
{
    uint8_t *cipher = scratch_take();
    size_t size;
    if (!cipher)
        return false;
    bool handle = seal_partial(conn, conn->partial_have, cipher, &size) == TLS_OK;
    if (handle) {
        end_partial(conn);
        handle = txbuf_append(conn, cipher + conn->partial_sent, size - conn->partial_sent);
    }
    scratch_give(cipher);
    return handle;
}

/* The cut record, sealed again with `len` bytes of content, is now on the wire up to `sent`. The cursor
 * stands where it did before; it moves over those of its bytes that are on the wire. */
static int resumed(const struct conn_handle *handle, struct iov_cursor *source, const uint8_t *cipher,
                   size_t size, size_t len, size_t sent)
{
    struct conn *conn = handle->conn;
    size_t stands = content_sent(sent), had = conn->partial_have;
    if (stands < len || (stands == len && len < conn->partial_size)) {
        conn->session.tx.sequence--;
        conn->partial_have = (uint32_t)stands;
        conn->partial_sent = (uint32_t)sent;
        iov_cursor_advance(source, stands - had);
        return -EAGAIN;
    }
    iov_cursor_advance(source, len - had);
    end_partial(conn);
    return sent < size ? keep_cipher(handle, cipher + sent, size - sent) : 0;
}

static int resume_with(const struct conn_handle *handle, struct iov_cursor *source, uint8_t *cipher,
                       int flags)
{
    struct conn *conn = handle->conn;
    size_t had = conn->partial_have, more = conn->partial_size - had, size;
    struct iov_cursor ahead = *source;
    if (more > source->left)
        more = source->left;
    gather(&ahead, arena_chunk(conn->tx_chunk) + had, more);
    enum tls_result result = seal_partial(conn, had + more, cipher, &size);
    if (result != TLS_OK) {
        error_from_tls(handle, &conn->session, result);
        return -error_of_tls(result);
    }
    ssize_t sent = sysio_send(handle, cipher + conn->partial_sent, size - conn->partial_sent, flags);
    if (sent == -ESTALE)
        return -ESTALE;
    if (sent < 0) {
        conn->session.tx.sequence--;
        return (int)sent;
    }
    return resumed(handle, source, cipher, size, had + more, conn->partial_sent + (size_t)sent);
}

/* The kernel did not take the batch whose first byte the cursor stands at; `sent` is what it said. */
static int stopped(const struct conn_handle *handle, struct iov_cursor *source, const struct batch *batch,
                   const uint8_t *cipher, ssize_t sent)
{
    if (sent == -ESTALE)
        return -ESTALE;
    if (sent >= 0)
        return keep_partial(handle, source, batch, cipher, (size_t)sent);
    handle->conn->session.tx.sequence = batch->first_sequence; /* nothing left */
    return (int)sent;
}

static int send_batches(const struct conn_handle *handle, struct iov_cursor *source, uint8_t *cipher,
                        int flags)
{
    struct conn *conn = handle->conn;
    struct batch batch;
    while (source->left > 0) {
        struct iov_cursor start = *source;
        enum tls_result result = seal_batch(&conn->session, source, cipher, &batch);
        if (result != TLS_OK) {
            error_from_tls(handle, &conn->session, result);
            return -error_of_tls(result);
        }
        ssize_t sent = sysio_send(handle, cipher, batch.cipher, flags);
        if (sent != (ssize_t)batch.cipher) {
            *source = start;
            return stopped(handle, source, &batch, cipher, sent);
        }
    }
    return 0;
}

int tx_record_send_small(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct tls_session *session = &handle->conn->session;
    struct batch batch = {.first_sequence = session->tx.sequence, .records = 1, .plain = source->left};
    uint8_t cipher[SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
    enum tls_result result =
        tls_session_seal(session, source->iov->iov_base, source->left, cipher, &batch.cipher);
    if (result != TLS_OK) {
        error_from_tls(handle, session, result);
        return -error_of_tls(result);
    }
    ssize_t sent = sysio_send(handle, cipher, batch.cipher, flags);
    if (sent == (ssize_t)batch.cipher) {
        source->left = 0;
        return 0;
    }
    batch.overhead = tls_session_overhead(session);
    return stopped(handle, source, &batch, cipher, sent);
}

/* Also when the thread is cancelled. */
static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

int tx_record_resume(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    uint8_t *cipher __attribute__((cleanup(give_back))) = scratch_take();
    return cipher ? resume_with(handle, source, cipher, flags) : -ENOBUFS;
}

int tx_record_send(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    if (source->left <= SCRATCH_SMALL) {
        uint8_t small[SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
        return send_batches(handle, source, small, flags);
    }
    uint8_t *cipher __attribute__((cleanup(give_back))) = scratch_take();
    return cipher ? send_batches(handle, source, cipher, flags) : -ENOBUFS;
}
