/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * The pieces that a sealed call is made of, each by itself, in nanoseconds: sealing and opening, a copy, the
 * kernel's send and receive of the same bytes, an exchange of keys. Prints JSON, name to nanoseconds. Usage:
 * micro SECONDS (for all together); micro SECONDS aegis: AEGIS alone, on every set of instructions that the
 * machine has, and libsodium's.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/aegis/aegis_backend.h"
#include "crypto/secret.h"
#include "crypto/x25519.h"
#include "tls/tls.h"

enum { RECORD = TLS_PLAINTEXT_MAX, BIG = 1 << 20, RUNS = 15 };

static uint8_t plain[BIG + 64], cipher[BIG + 64], other[BIG + 64];
static uint8_t key[AEAD_KEY_MAX], nonce[AEAD_IV_MAX], aad[TLS_RECORD_HEADER], point[32];
static const struct aead *aead;
static int pair[2];
static double run_seconds;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void do_seal(size_t size)
{
    check(aead_seal(aead, key, nonce, aad, sizeof aad, plain, size, cipher), "seal");
}

static void do_open(size_t size)
{
    check(aead_open(aead, key, nonce, aad, sizeof aad, cipher, size + AEAD_TAG_LEN, other), "open");
}

static void do_copy(size_t size)
{
    memcpy(other, plain, size);
    __asm__ volatile("" ::"r"(other) : "memory");
}

static void do_exchange_keys(size_t size)
{
    (void)size;
    check(x25519_shared(other, key, point), "x25519");
}

static void do_system_call(size_t size)
{
    (void)size;
    syscall(SYS_getppid);
}

/* Through the kernel and back out, in one thread: nobody has to be woken. */
static void do_send_receive(size_t size)
{
    check(send(pair[0], plain, size, 0) == (ssize_t)size, "send");
    for (size_t have = 0; have < size;) {
        ssize_t got = recv(pair[1], other, size - have, 0);
        check(got > 0, "recv");
        have += (size_t)got;
    }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double batch(void (*operation)(size_t), size_t size, size_t count)
{
    const double start = now();
    for (size_t i = 0; i < count; i++)
        operation(size);
    return (now() - start) / (double)count;
}

/* The median of RUNS batches, each as long as one share of the time. */
static double measure(void (*operation)(size_t), size_t size)
{
    double times[RUNS], once = batch(operation, size, 20);
    size_t count = (size_t)(run_seconds / (double)RUNS * 1e9 / once) + 1;
    for (int i = 0; i < RUNS; i++)
        times[i] = batch(operation, size, count);
    qsort(times, RUNS, sizeof *times, compare);
    return times[RUNS / 2];
}

static void report(const char *name, const char *what, size_t size, void (*operation)(size_t))
{
    static const char *comma = "";
    printf("%s\"%s %s %zu\": %.1f", comma, name, what, size, measure(operation, size));
    comma = ", ";
}

static void measure_suite(const char *name, uint16_t suite)
{
    static const size_t sizes[] = {1, 64, 1024, RECORD};
    aead = aead_usable(suite) ? aead_of(suite) : NULL;
    for (size_t i = 0; aead && i < sizeof sizes / sizeof *sizes; i++) {
        report(name, "seal", sizes[i], do_seal);
        do_seal(sizes[i]);
        report(name, "open", sizes[i], do_open);
    }
}

static const struct aegis_backend *backend;
static enum aegis_kind kind;

static void do_aegis_seal(size_t size)
{
    struct aead_part part = {plain, cipher, size};
    const struct aead_message message = {key, nonce, aad, sizeof aad, &part, 1};
    aegis_seal_on(backend, kind, &message, cipher + size, AEGIS_TAG_LEN);
}

static void do_aegis_open(size_t size)
{
    struct aead_part part = {cipher, other, size};
    const struct aead_message message = {key, nonce, aad, sizeof aad, &part, 1};
    check(aegis_open_on(backend, kind, &message, cipher + size, AEGIS_TAG_LEN), "open");
}

#ifdef crypto_aead_aegis128l_KEYBYTES
static void do_sodium_seal(size_t size)
{
    crypto_aead_aegis128l_encrypt(cipher, NULL, plain, size, aad, sizeof aad, NULL, nonce, key);
}

static void do_sodium_open(size_t size)
{
    check(crypto_aead_aegis128l_decrypt(other, NULL, NULL, cipher, size + crypto_aead_aegis128l_ABYTES, aad,
                                        sizeof aad, nonce, key) == 0,
          "open");
}
#endif

static void measure_both(const char *name, void (*seal)(size_t), void (*open)(size_t))
{
    static const size_t sizes[] = {64, 1024, RECORD};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        report(name, "seal", sizes[i], seal);
        report(name, "open", sizes[i], open);
    }
}

static void measure_aegis(void)
{
    static const char *const kinds[] = {"AEGIS-128L", "AEGIS-128X2", "AEGIS-128X4"};
    for (const struct aegis_backend *const *list = aegis_cpu_backends(); *list; list++) {
        for (int i = 0; i < AEGIS_KINDS; i++) {
            char name[64];
            backend = *list;
            kind = (enum aegis_kind)i;
            snprintf(name, sizeof name, "%s (%s)", kinds[i], backend->name);
            measure_both(name, do_aegis_seal, do_aegis_open);
        }
    }
#ifdef crypto_aead_aegis128l_KEYBYTES
    measure_both("AEGIS-128L (libsodium)", do_sodium_seal, do_sodium_open);
#endif
}

static void connect_pair(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int on = 1, size = 1 << 20;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    check(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
              getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
              connect(pair[0], (struct sockaddr *)&address, len) == 0,
          "connect");
    pair[1] = accept(listener, NULL, NULL);
    check(pair[1] >= 0, "accept");
    close(listener);
}

static void measure_all(void)
{
    measure_suite("aegis128l", TLS_SUITE_AEGIS_128L_SHA256);
    measure_suite("aegis128x2", TLS_SUITE_AEGIS_128X2_SHA256);
    measure_suite("aegis128x4", TLS_SUITE_AEGIS_128X4_SHA256);
    measure_suite("chacha20", TLS_SUITE_CHACHA20_POLY1305_SHA256);
    report("x25519", "exchange", 0, do_exchange_keys);
    report("kernel", "system call", 0, do_system_call);
    report("memory", "copy", 64, do_copy);
    report("memory", "copy", RECORD, do_copy);
    report("memory", "copy", BIG, do_copy);
    report("kernel", "send and receive", 64, do_send_receive);
    report("kernel", "send and receive", 101, do_send_receive);
    report("kernel", "send and receive", RECORD, do_send_receive);
    report("kernel", "send and receive", 1 << 17, do_send_receive);
}

int main(int argc, char *argv[])
{
    const bool aegis_alone = argc > 2 && strcmp(argv[2], "aegis") == 0;
    run_seconds = (argc > 1 ? atof(argv[1]) : 2) / (aegis_alone ? 78 : 42);
    check(secret_init(), "libsodium");
    point[0] = 9;
    printf("{");
    if (aegis_alone) {
        measure_aegis();
    } else {
        connect_pair();
        measure_all();
    }
    printf("}\n");
    return 0;
}
