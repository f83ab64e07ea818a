/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

/*
 * A TCP connection of the load programs: as it is (and then perhaps sealed by a preloaded sockseal), or in
 * the program's own TLS 1.3 by OpenSSL, set up as well as an author could: read-ahead, released buffers,
 * X25519, one suite, no resumption, both ends authenticated.
 */

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "options.h"

struct stream {
    int fd;
    SSL *ssl; /* NULL: no TLS of our own */
};

/* Reads certificates or the PSK for all streams that follow; nothing if the options name none. */
void stream_configure(const struct options *options, bool server);

/* A listening socket; nonblocking with options->epoll. */
int stream_listen(const struct options *options);

/* Connects from an address 127.0.0.x that changes with `number`, so that ports do not run out. In epoll mode
 * the connection may not stand yet when this returns. False with errno if it fails at once. */
bool stream_connect(struct stream *stream, const struct options *options, size_t number);

/* Takes an accepted descriptor over. */
void stream_accept(struct stream *stream, int fd);

/* As far as it goes: 1 done, 0 would block, -1 failed. For a stream without TLS at once 1. */
int stream_handshake(struct stream *stream);

/* As read(2) and write(2): -1 with EAGAIN when they would block. Other errors of TLS are EPROTO. */
ssize_t stream_read(struct stream *stream, void *data, size_t len);
ssize_t stream_write(struct stream *stream, const void *data, size_t len);

/* Whether read data stand in the stream itself, which epoll does not see. */
bool stream_pending(const struct stream *stream);

void stream_close(struct stream *stream);

/* "plain", or the name of the cipher suite in use. */
const char *stream_suite(const struct stream *stream);

#endif
