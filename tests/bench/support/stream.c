/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../include/sockseal.h"

static SSL_CTX *context;
static const char *psk_hex;

static _Noreturn void die_tls(const char *what)
{
    fprintf(stderr, "%s: %s: OpenSSL refuses it\n", program_invocation_short_name, what);
    exit(1);
}

static unsigned decode_psk(unsigned char *psk, unsigned max)
{
    unsigned len = 0;
    for (const char *at = psk_hex; at[0] && at[1] && len < max; at += 2) {
        unsigned byte;
        sscanf(at, "%2x", &byte);
        psk[len++] = (unsigned char)byte;
    }
    return len;
}

static unsigned client_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_max,
                           unsigned char *psk, unsigned max)
{
    (void)ssl, (void)hint;
    snprintf(identity, identity_max, "bench");
    return decode_psk(psk, max);
}

static unsigned server_psk(SSL *ssl, const char *identity, unsigned char *psk, unsigned max)
{
    (void)ssl;
    return strcmp(identity, "bench") == 0 ? decode_psk(psk, max) : 0;
}

static void configure_psk(const char *hex)
{
    psk_hex = hex;
    SSL_CTX_set_psk_client_callback(context, client_psk);
    SSL_CTX_set_psk_server_callback(context, server_psk);
}

static void configure_certificates(const struct options *options)
{
    if (SSL_CTX_use_certificate_chain_file(context, options->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, options->ca, NULL) != 1)
        die_tls(options->cert);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

void stream_configure(const struct options *options, bool server)
{
    if (!options->cert && !options->psk)
        return;
    context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519") != 1 ||
        (options->suite && SSL_CTX_set_ciphersuites(context, options->suite) != 1))
        die_tls("suite");
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (options->psk)
        configure_psk(options->psk);
    else
        configure_certificates(options);
}

static struct sockaddr_in address_of(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        options_die(text);
    return address;
}

static void without_delay(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int stream_listen(const struct options *options)
{
    const int on = 1;
    const struct sockaddr_in address = address_of(options->address, options->port);
    int fd = socket(AF_INET, SOCK_STREAM | (options->epoll ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        options_die("listen");
    return fd;
}

static void begin_tls(struct stream *stream, bool server)
{
    stream->ssl = NULL;
    if (!context)
        return;
    stream->ssl = SSL_new(context);
    if (!stream->ssl || SSL_set_fd(stream->ssl, stream->fd) != 1)
        die_tls("connection");
    if (server)
        SSL_set_accept_state(stream->ssl);
    else
        SSL_set_connect_state(stream->ssl);
}

bool stream_connect(struct stream *stream, const struct options *options, size_t number)
{
    const int on = 1;
    char source[32];
    const struct sockaddr_in address = address_of(options->address, options->port);
    snprintf(source, sizeof source, "127.0.0.%zu", 2 + number % 200);
    const struct sockaddr_in from = address_of(source, 0);
    stream->fd = socket(AF_INET, SOCK_STREAM | (options->epoll ? SOCK_NONBLOCK : 0), 0);
    if (stream->fd < 0)
        options_die("socket");
    setsockopt(stream->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    without_delay(stream->fd);
    if (bind(stream->fd, (const struct sockaddr *)&from, sizeof from) < 0)
        options_die("bind");
    if (connect(stream->fd, (const struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        close(stream->fd);
        return false;
    }
    begin_tls(stream, false);
    return true;
}

void stream_accept(struct stream *stream, int fd)
{
    stream->fd = fd;
    without_delay(fd);
    begin_tls(stream, true);
}

/* Turns a result of OpenSSL's into read(2)'s. */
static ssize_t translate(struct stream *stream, int result)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_NONE:
        return result;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    default:
        errno = EPROTO;
        return -1;
    }
}

int stream_handshake(struct stream *stream)
{
    if (!stream->ssl)
        return 1;
    ssize_t result = translate(stream, SSL_do_handshake(stream->ssl));
    return result == 1 ? 1 : result < 0 && errno == EAGAIN ? 0 : -1;
}

ssize_t stream_read(struct stream *stream, void *data, size_t len)
{
    return stream->ssl ? translate(stream, SSL_read(stream->ssl, data, (int)len))
                       : read(stream->fd, data, len);
}

ssize_t stream_write(struct stream *stream, const void *data, size_t len)
{
    return stream->ssl ? translate(stream, SSL_write(stream->ssl, data, (int)len))
                       : write(stream->fd, data, len);
}

bool stream_pending(const struct stream *stream)
{
    return stream->ssl && SSL_has_pending(stream->ssl);
}

void stream_close(struct stream *stream)
{
    if (stream->ssl) {
        SSL_shutdown(stream->ssl);
        SSL_free(stream->ssl);
    }
    close(stream->fd);
}

const char *stream_suite(const struct stream *stream)
{
    struct sockseal_info info = {0};
    socklen_t len = sizeof info;
    if (stream->ssl)
        return SSL_get_cipher_name(stream->ssl);
    if (getsockopt(stream->fd, SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len) < 0 || !info.sealed)
        return "plain";
    switch (info.suite) {
    case SOCKSEAL_SUITE_AEGIS_128X4:
        return "SOCKSEAL_AEGIS_128X4_SHA256";
    case SOCKSEAL_SUITE_AEGIS_128X2:
        return "SOCKSEAL_AEGIS_128X2_SHA256";
    case SOCKSEAL_SUITE_AEGIS_128L:
        return "TLS_AEGIS_128L_SHA256";
    case SOCKSEAL_SUITE_CHACHA20_POLY1305:
        return "TLS_CHACHA20_POLY1305_SHA256";
    default:
        return "not negotiated";
    }
}
