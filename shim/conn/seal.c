/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/seal.h"

#include <errno.h>
#include <string.h>

#include "conn/blocking.h"
#include "conn/failure.h"
#include "conn/outbox.h"
#include "conn/scratch.h"

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

/* Keeps ciphertext that has to follow, whatever the program does. */
static int keep_cipher(const struct sealed *sealed, const uint8_t *cipher, size_t len)
{
    if (outbox_append(sealed->conn, cipher, len))
        return -EAGAIN;
    failure_set(sealed, ENOBUFS, "no memory for the rest of a record");
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
static int cut(const struct sealed *sealed, struct seal_source *start, const struct batch *batch,
               const uint8_t *cipher, size_t sent)
{
    struct conn *conn = sealed->conn;
    const size_t full = TLS_PLAINTEXT_MAX + batch->overhead;
    size_t whole = sent / full, inside = sent % full, size = batch->plain - whole * TLS_PLAINTEXT_MAX;
    conn->session.tx.sequence = batch->first_sequence + whole;
    seal_advance(start, whole * TLS_PLAINTEXT_MAX);
    if (inside == 0)
        return -EAGAIN;
    if (size > TLS_PLAINTEXT_MAX)
        size = TLS_PLAINTEXT_MAX;
    if (content_sent(inside) >= size) { /* all content is on the wire: the rest is fixed */
        conn->session.tx.sequence++;
        seal_advance(start, size);
        return keep_cipher(sealed, cipher + sent, size + batch->overhead - inside);
    }
    if (!conn->tx_chunk && !(conn->tx_chunk = arena_chunk_take())) {
        failure_set(sealed, ENOBUFS, "no memory for the rest of a record");
        return -ENOBUFS;
    }
    conn->cut = 1;
    conn->cut_size = (uint32_t)size;
    conn->cut_have = (uint32_t)content_sent(inside);
    conn->cut_sent = (uint32_t)inside;
    gather(start, arena_chunk(conn->tx_chunk), conn->cut_have);
    return -EAGAIN;
}

/* Seals the cut record with `len` bytes of content, which stand in tx_chunk. */
static enum tls_result seal_cut(struct conn *conn, size_t len, uint8_t *cipher, size_t *size)
{
    return tls_session_seal_padded(&conn->session, arena_chunk(conn->tx_chunk), len, conn->cut_size - len,
                                   cipher, size);
}

static void end_cut(struct conn *conn)
{
    conn->cut = 0;
    arena_chunk_give(conn->tx_chunk);
    conn->tx_chunk = 0;
}

bool seal_end_cut(struct conn *conn)
{
    uint8_t *cipher = scratch_take();
    size_t size;
    if (!cipher)
        return false;
    bool sealed = seal_cut(conn, conn->cut_have, cipher, &size) == TLS_OK;
    if (sealed) {
        end_cut(conn);
        sealed = outbox_append(conn, cipher + conn->cut_sent, size - conn->cut_sent);
    }
    scratch_give(cipher);
    return sealed;
}

/* The cut record, sealed again with `len` bytes of content, is now on the wire up to `sent`. The cursor
 * stands where it did before; it moves over those of its bytes that are on the wire. */
static int resumed(const struct sealed *sealed, struct seal_source *source, const uint8_t *cipher,
                   size_t size, size_t len, size_t sent)
{
    struct conn *conn = sealed->conn;
    size_t stands = content_sent(sent), had = conn->cut_have;
    if (stands < len || (stands == len && len < conn->cut_size)) {
        conn->session.tx.sequence--;
        conn->cut_have = (uint32_t)stands;
        conn->cut_sent = (uint32_t)sent;
        seal_advance(source, stands - had);
        return -EAGAIN;
    }
    seal_advance(source, len - had);
    end_cut(conn);
    return sent < size ? keep_cipher(sealed, cipher + sent, size - sent) : 0;
}

static int resume_with(const struct sealed *sealed, struct seal_source *source, uint8_t *cipher, int flags)
{
    struct conn *conn = sealed->conn;
    size_t had = conn->cut_have, more = conn->cut_size - had, size;
    struct seal_source ahead = *source;
    if (more > source->left)
        more = source->left;
    gather(&ahead, arena_chunk(conn->tx_chunk) + had, more);
    enum tls_result result = seal_cut(conn, had + more, cipher, &size);
    if (result != TLS_OK) {
        failure_from(sealed, &conn->session, result);
        return -failure_errno(result);
    }
    ssize_t sent = blocking_send(sealed, cipher + conn->cut_sent, size - conn->cut_sent, flags);
    if (sent == -ESTALE)
        return -ESTALE;
    if (sent < 0) {
        conn->session.tx.sequence--;
        return (int)sent;
    }
    return resumed(sealed, source, cipher, size, had + more, conn->cut_sent + (size_t)sent);
}

/* The kernel did not take the batch whose first byte the cursor stands at; `sent` is what it said. */
static int stopped(const struct sealed *sealed, struct seal_source *source, const struct batch *batch,
                   const uint8_t *cipher, ssize_t sent)
{
    if (sent == -ESTALE)
        return -ESTALE;
    if (sent >= 0)
        return cut(sealed, source, batch, cipher, (size_t)sent);
    sealed->conn->session.tx.sequence = batch->first_sequence; /* nothing left */
    return (int)sent;
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
        if (sent != (ssize_t)batch.cipher) {
            *source = start;
            return stopped(sealed, source, &batch, cipher, sent);
        }
    }
    return 0;
}

int seal_one(const struct sealed *sealed, struct seal_source *source, int flags)
{
    struct tls_session *session = &sealed->conn->session;
    struct batch batch = {.first_sequence = session->tx.sequence, .records = 1, .plain = source->left};
    uint8_t cipher[SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
    enum tls_result result =
        tls_session_seal(session, source->iov->iov_base, source->left, cipher, &batch.cipher);
    if (result != TLS_OK) {
        failure_from(sealed, session, result);
        return -failure_errno(result);
    }
    ssize_t sent = blocking_send(sealed, cipher, batch.cipher, flags);
    if (sent == (ssize_t)batch.cipher) {
        source->left = 0;
        return 0;
    }
    batch.overhead = tls_session_overhead(session);
    return stopped(sealed, source, &batch, cipher, sent);
}

/* Also when the thread is cancelled. */
static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

int seal_resume(const struct sealed *sealed, struct seal_source *source, int flags)
{
    uint8_t *cipher __attribute__((cleanup(give_back))) = scratch_take();
    return cipher ? resume_with(sealed, source, cipher, flags) : -ENOBUFS;
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
