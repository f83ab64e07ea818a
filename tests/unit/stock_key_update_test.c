/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* KeyUpdate from our side, with and without a request for the peer's, against OpenSSL in either role (RFC
 * 8446, 4.6.3). The library itself starts one only before a suite's limit, which no test reaches; so the
 * engine is driven here over a socket. */

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/secret.h"
#include "endpoint.h"

enum { PATIENCE_MS = 10000 };

static const uint16_t chacha20[] = {TLS_SUITE_CHACHA20_POLY1305_SHA256};

/* OpenSSL under way: its standard input and output, and our socket to it. */
struct stock {
    pid_t pid;
    int in, out, socket;
    size_t flushed; /* bytes of endpoint.out that are on the wire */
    struct endpoint endpoint;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A listening socket, and its port. */
static int listener(uint16_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void run_openssl(struct stock *stock, const char *const *arguments)
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    stock->pid = fork();
    if (stock->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0), dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    stock->in = in[1];
    stock->out = out[0];
}

static const char *key_text(void)
{
    static char text[65];
    for (size_t i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", endpoint_key[i]);
    return text;
}

/* Sends what the engine has written and takes in what comes, until `until` bytes of data are here. */
static void exchange(struct stock *stock, size_t until)
{
    uint8_t bytes[8192];
    struct toy_buffer *out = &stock->endpoint.out;
    for (;;) {
        while (stock->flushed < out->len) {
            ssize_t sent =
                send(stock->socket, out->data + stock->flushed, out->len - stock->flushed, MSG_NOSIGNAL);
            assert_true(sent > 0);
            stock->flushed += (size_t)sent;
        }
        if (stock->endpoint.session.complete && stock->endpoint.data.len >= until)
            return;
        struct pollfd wait = {.fd = stock->socket, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
        ssize_t got = recv(stock->socket, bytes, sizeof bytes, 0);
        assert_true(got > 0);
        assert_int_equal(endpoint_receive(&stock->endpoint, bytes, (size_t)got), TLS_OK);
    }
}

static void stop(struct stock *stock)
{
    close(stock->socket), close(stock->in), close(stock->out);
    kill(stock->pid, SIGKILL);
    waitpid(stock->pid, NULL, 0);
}

/* Says a line; s_server -rev answers with its bytes in reverse. */
static void line_is_reversed(struct stock *stock, const char *line, const char *reversed)
{
    size_t before = stock->endpoint.data.len, len = strlen(line);
    assert_int_equal(endpoint_send(&stock->endpoint, line, len), TLS_OK);
    exchange(stock, before + len);
    assert_memory_equal(stock->endpoint.data.data + before, reversed, len);
}

static void connect_to_server(struct stock *stock)
{
    uint16_t port;
    char accept_at[32];
    close(listener(&port));
    snprintf(accept_at, sizeof accept_at, "127.0.0.1:%u", port);
    const char *arguments[] = {"openssl",       "s_server",
                               "-accept",       accept_at,
                               "-tls1_3",       "-nocert",
                               "-psk",          key_text(),
                               "-psk_identity", ENDPOINT_IDENTITY,
                               "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256",
                               "-rev",          NULL};
    run_openssl(stock, arguments);
    struct sockaddr_in address = loopback(port);
    for (int attempt = 0; attempt < PATIENCE_MS / 20; attempt++) {
        stock->socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(stock->socket, (struct sockaddr *)&address, sizeof address) == 0)
            return;
        close(stock->socket);
        poll(NULL, 0, 20);
    }
    fail_msg("openssl s_server does not listen");
}

static void updates_of_a_client_are_understood(void **state)
{
    static struct stock stock;
    (void)state;
    memset(&stock, 0, sizeof stock);
    connect_to_server(&stock);
    endpoint_init(&stock.endpoint, chacha20, 1, true);
    assert_int_equal(endpoint_begin(&stock.endpoint, TLS_CLIENT), TLS_OK);
    exchange(&stock, 0);
    line_is_reversed(&stock, "first\n", "tsrif\n");
    assert_int_equal(endpoint_key_update(&stock.endpoint, false), TLS_OK);
    line_is_reversed(&stock, "second\n", "dnoces\n");
    assert_int_equal(stock.endpoint.events[TLS_EVENT_KEY_UPDATE], 0);
    assert_int_equal(endpoint_key_update(&stock.endpoint, true), TLS_OK);
    line_is_reversed(&stock, "third\n", "driht\n");
    assert_int_equal(stock.endpoint.events[TLS_EVENT_KEY_UPDATE], 1);
    line_is_reversed(&stock, "fourth\n", "htruof\n");
    stop(&stock);
}

/* Bytes that s_client prints of what we send. */
static void client_prints(struct stock *stock, const char *text)
{
    char got[256];
    size_t done = 0;
    assert_int_equal(endpoint_send(&stock->endpoint, text, strlen(text)), TLS_OK);
    exchange(stock, 0);
    while (done < strlen(text)) {
        struct pollfd wait = {.fd = stock->out, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
        ssize_t n = read(stock->out, got + done, sizeof got - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    assert_int_equal(done, strlen(text));
    assert_memory_equal(got, text, done);
}

static void client_says(struct stock *stock, const char *line)
{
    size_t before = stock->endpoint.data.len;
    assert_int_equal(write(stock->in, line, strlen(line)), strlen(line));
    exchange(stock, before + strlen(line));
    assert_memory_equal(stock->endpoint.data.data + before, line, strlen(line));
}

static void updates_of_a_server_are_understood(void **state)
{
    static struct stock stock;
    uint16_t port;
    char target[32];
    (void)state;
    memset(&stock, 0, sizeof stock);
    int listening = listener(&port);
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    const char *arguments[] = {"openssl", "s_client", "-quiet",        "-connect",        target, "-tls1_3",
                               "-psk",    key_text(), "-psk_identity", ENDPOINT_IDENTITY, NULL};
    run_openssl(&stock, arguments);
    stock.socket = accept(listening, NULL, NULL);
    close(listening);
    endpoint_init(&stock.endpoint, chacha20, 1, true);
    assert_int_equal(endpoint_begin(&stock.endpoint, TLS_SERVER), TLS_OK);
    exchange(&stock, 0);
    client_says(&stock, "first\n");
    client_prints(&stock, "one\n");
    assert_int_equal(endpoint_key_update(&stock.endpoint, false), TLS_OK);
    client_prints(&stock, "two\n");
    client_says(&stock, "second\n");
    assert_int_equal(stock.endpoint.events[TLS_EVENT_KEY_UPDATE], 0);
    assert_int_equal(endpoint_key_update(&stock.endpoint, true), TLS_OK);
    client_prints(&stock, "three\n");
    client_says(&stock, "third\n");
    assert_int_equal(stock.endpoint.events[TLS_EVENT_KEY_UPDATE], 1);
    client_prints(&stock, "four\n");
    stop(&stock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_of_a_client_are_understood),
        cmocka_unit_test(updates_of_a_server_are_understood),
    };
    secret_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
