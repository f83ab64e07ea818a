/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/tx_record.h"

#include <errno.h>

#include "conn/error.h"
#include "conn/status.h"
#include "crypto/secret.h"
#include "record/sysio.h"
#include "record/txbuf.h"
#include "shm/scratch.h"

enum { BATCH_MAX = SCRATCH_RECORDS * TLS_PLAINTEXT_MAX };

/* Records encrypted for one system call. All but the last are full. */
struct batch {
    uint64_t first_sequence;
    size_t records;
    size_t plain, cipher; /* bytes of all records before and after encryption */
};

/* Encrypts one record from the cursor, straight from the program's memory if it is in one piece there. */
static enum tls_result seal_record(struct tls_session *session, struct iov_cursor *source, uint8_t *out,
                                   size_t *out_len)
{
    size_t len = source->left < TLS_PLAINTEXT_MAX ? source->left : TLS_PLAINTEXT_MAX, here;
    const uint8_t *data = iov_cursor_piece(source, &here);
    if (here >= len) {
        iov_cursor_advance(source, len);
    } else {
        data = out + TLS_RECORD_HEADER;
        iov_cursor_gather(source, out + TLS_RECORD_HEADER, len);
    }
    return tls_session_seal(session, data, len, out, out_len);
}

static enum tls_result seal_batch(struct tls_session *session, struct iov_cursor *source, uint8_t *out,
                                  struct batch *batch)
{
    *batch = (struct batch){.first_sequence = session->tx.sequence};
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

static struct io_result failed(const struct conn_handle *handle, enum tls_result result)
{
    error_from_tls(handle, &handle->conn->session, result);
    return io_done(-error_of_tls(result));
}

static struct io_result no_memory(const struct conn_handle *handle)
{
    error_set(handle, ENOBUFS, "no memory for the rest of a record");
    return io_done(-ENOBUFS);
}

/* Keeps ciphertext that has to follow, whatever the program does. */
static struct io_result keep_cipher(const struct conn_handle *handle, const uint8_t *cipher, size_t len)
{
    return txbuf_append(handle->conn, cipher, len) ? io_done(-EAGAIN) : no_memory(handle);
}

/* How many bytes of a record's content are among its first `sent` bytes. */
static size_t content_sent(size_t sent)
{
    return sent > TLS_RECORD_HEADER ? sent - TLS_RECORD_HEADER : 0;
}

/* The kernel has the first `sent` bytes of this record, whose content has `size` bytes. What is on the wire
 * is the ciphertext: the program's memory may say something else by now, since other threads may write to it.
 */
static struct io_result begin_partial(const struct conn_handle *handle, const uint8_t *record, size_t size,
                                      size_t sent)
{
    struct conn *conn = handle->conn;
    if (!conn->tx.chunk && !(conn->tx.chunk = arena_chunk_take(conn)))
        return no_memory(handle);
    enum tls_result result =
        tls_session_recover(&conn->session, record, size, arena_chunk(conn, conn->tx.chunk));
    if (result != TLS_OK)
        return failed(handle, result);
    conn->tx.partial = (struct conn_partial){
        .size = (uint32_t)size, .have = (uint32_t)content_sent(sent), .sent = (uint32_t)sent};
    conn->tx.partial_left = PARTIAL_CONTINUED;
    conn_tx_set(conn, TX_PARTIAL);
    return io_done(-EAGAIN);
}

/*
 * The kernel took `sent` bytes of the batch, not all. The records behind the one that it took in part have
 * not left the process, so their sequence numbers are used again. `start` is the cursor at the batch's first
 * byte, and moves over what the program may count as written.
 */
static struct io_result sent_in_part(const struct conn_handle *handle, struct iov_cursor *start,
                                     const struct batch *batch, const uint8_t *cipher, size_t sent)
{
    struct conn *conn = handle->conn;
    const size_t full = TLS_PLAINTEXT_MAX + TLS_SEAL_OVERHEAD;
    size_t whole = sent / full, inside = sent % full, size = batch->plain - whole * TLS_PLAINTEXT_MAX;
    conn->session.tx.sequence = batch->first_sequence + whole;
    iov_cursor_advance(start, whole * TLS_PLAINTEXT_MAX);
    status_sent(conn, handle->slot, whole * TLS_PLAINTEXT_MAX, whole);
    if (inside == 0)
        return io_done(-EAGAIN);
    if (size > TLS_PLAINTEXT_MAX)
        size = TLS_PLAINTEXT_MAX;
    /* All content is on the wire, so the rest of the record cannot change any more. */
    if (content_sent(inside) >= size) {
        conn->session.tx.sequence++;
        iov_cursor_advance(start, size);
        status_sent(conn, handle->slot, size, 1);
        return keep_cipher(handle, cipher + sent, size + TLS_SEAL_OVERHEAD - inside);
    }
    iov_cursor_advance(start, content_sent(inside));
    return begin_partial(handle, cipher + whole * full, size, inside);
}

/* What is known of the partial record, read once and checked: another process that shares the connection may
 * write to its memory. False: it cannot be so. */
static bool partial_of(const struct conn *conn, struct conn_partial *partial)
{
    *partial = (struct conn_partial){.size = __atomic_load_n(&conn->tx.partial.size, __ATOMIC_RELAXED),
                                     .have = __atomic_load_n(&conn->tx.partial.have, __ATOMIC_RELAXED),
                                     .sent = __atomic_load_n(&conn->tx.partial.sent, __ATOMIC_RELAXED)};
    return conn->tx.chunk && partial->size <= TLS_PLAINTEXT_MAX && partial->have < partial->size &&
           content_sent(partial->sent) == partial->have;
}

/* Encrypts the partial record anew with `len` bytes of content, which are in tx.chunk, and padding. */
static enum tls_result seal_partial(struct conn *conn, const struct conn_partial *partial, size_t len,
                                    uint8_t *cipher, size_t *size)
{
    return tls_session_seal_padded(&conn->session, arena_chunk(conn, conn->tx.chunk), len,
                                   partial->size - len, cipher, size);
}

static void end_partial(struct conn *conn)
{
    conn_tx_clear(conn, TX_PARTIAL);
    secret_wipe(arena_chunk(conn, conn->tx.chunk), TLS_PLAINTEXT_MAX);
    arena_chunk_give(conn, conn->tx.chunk);
    conn->tx.chunk = 0;
}

bool tx_record_end_partial(struct conn *conn)
{
    uint8_t *cipher = scratch_take();
    struct conn_partial partial;
    size_t size;
    if (!cipher)
        return false;
    bool done =
        partial_of(conn, &partial) && seal_partial(conn, &partial, partial.have, cipher, &size) == TLS_OK;
    if (done) {
        status_sent(conn, arena_slot_of(conn), conn->tx.partial.have, 1); /* rare */
        end_partial(conn);
        done = txbuf_append(conn, cipher + partial.sent, size - partial.sent);
    }
    scratch_give(cipher);
    return done;
}

/* The partial record was encrypted anew with `len` bytes of content, and its first `sent` bytes are on the
 * wire now. The cursor moves over those of its bytes that are on the wire. */
static struct io_result resumed(const struct conn_handle *handle, struct iov_cursor *source,
                                const struct conn_partial *partial, const uint8_t *cipher, size_t size,
                                size_t len, size_t sent)
{
    struct conn *conn = handle->conn;
    size_t fixed = content_sent(sent), had = partial->have;
    if (fixed < len || (fixed == len && len < partial->size)) {
        conn->session.tx.sequence--;
        conn->tx.partial.have = (uint32_t)fixed;
        conn->tx.partial.sent = (uint32_t)sent;
        conn->tx.partial_left = PARTIAL_CONTINUED;
        iov_cursor_advance(source, fixed - had);
        return io_done(-EAGAIN);
    }
    iov_cursor_advance(source, len - had);
    status_sent(conn, handle->slot, len, 1);
    end_partial(conn);
    return sent < size ? keep_cipher(handle, cipher + sent, size - sent) : io_done(0);
}

static struct io_result resume_with(const struct conn_handle *handle, struct iov_cursor *source,
                                    uint8_t *cipher, int flags)
{
    struct conn *conn = handle->conn;
    struct conn_partial partial;
    if (!partial_of(conn, &partial))
        return io_done(error_damaged(handle));
    size_t had = partial.have, more = partial.size - had, size;
    struct iov_cursor ahead = *source;
    if (more > source->left)
        more = source->left;
    iov_cursor_gather(&ahead, arena_chunk(conn, conn->tx.chunk) + had, more);
    enum tls_result result = seal_partial(conn, &partial, had + more, cipher, &size);
    if (result != TLS_OK)
        return failed(handle, result);
    struct io_result sent = sysio_send(handle, cipher + partial.sent, size - partial.sent, flags);
    if (sent.status == IO_LOCK_LOST)
        return sent;
    if (sent.value < 0) {
        conn->session.tx.sequence--;
        return sent;
    }
    return resumed(handle, source, &partial, cipher, size, had + more, partial.sent + (size_t)sent.value);
}

/* The kernel did not take the whole batch; `sent` is its result. The cursor is at the batch's first byte. */
static struct io_result stopped(const struct conn_handle *handle, struct iov_cursor *source,
                                const struct batch *batch, const uint8_t *cipher, struct io_result sent)
{
    if (sent.status == IO_LOCK_LOST)
        return sent;
    if (sent.value >= 0)
        return sent_in_part(handle, source, batch, cipher, (size_t)sent.value);
    handle->conn->session.tx.sequence = batch->first_sequence; /* no byte has left the process */
    return sent;
}

static bool sent_all(const struct batch *batch, struct io_result sent)
{
    return sent.status == IO_DONE && sent.value == (ssize_t)batch->cipher;
}

static struct io_result send_batches(const struct conn_handle *handle, struct iov_cursor *source,
                                     uint8_t *cipher, int flags)
{
    struct conn *conn = handle->conn;
    const int64_t since_ms = source->left > BATCH_MAX ? sysio_begins(flags) : 0;
    struct batch batch;
    for (bool first = true; source->left > 0; first = false) {
        struct iov_cursor start = *source;
        conn->tx.since_ms = first ? 0 : since_ms;
        enum tls_result result = seal_batch(&conn->session, source, cipher, &batch);
        if (result != TLS_OK)
            return failed(handle, result);
        struct io_result sent = sysio_send(handle, cipher, batch.cipher, flags);
        if (!sent_all(&batch, sent)) {
            *source = start;
            return stopped(handle, source, &batch, cipher, sent);
        }
        status_sent(conn, handle->slot, batch.plain, batch.records);
    }
    return io_done(0);
}

struct io_result tx_record_send_small(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct tls_session *session = &handle->conn->session;
    struct batch batch = {.first_sequence = session->tx.sequence, .records = 1, .plain = source->left};
    uint8_t cipher[SCRATCH_SMALL + TLS_SEAL_OVERHEAD];
    enum tls_result result = tls_session_seal(session, source->at, source->left, cipher, &batch.cipher);
    if (result != TLS_OK)
        return failed(handle, result);
    struct io_result sent = sysio_send_small(handle, cipher, batch.cipher, flags);
    if (sent_all(&batch, sent)) {
        source->left = 0;
        status_sent(handle->conn, handle->slot, batch.plain, 1);
        return io_done(0);
    }
    return stopped(handle, source, &batch, cipher, sent);
}

struct io_result tx_record_resume(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    uint8_t *cipher __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    return cipher ? resume_with(handle, source, cipher, flags) : io_done(-ENOBUFS);
}

struct io_result tx_record_send(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    if (source->left <= SCRATCH_SMALL) {
        uint8_t small[SCRATCH_SMALL + TLS_SEAL_OVERHEAD];
        return send_batches(handle, source, small, flags);
    }
    uint8_t *cipher __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    return cipher ? send_batches(handle, source, cipher, flags) : io_done(-ENOBUFS);
}
