/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The key schedule against the traces of RFC 8448 (sections 3 and 4): the engine's own and the toy peer's. */

#include "toy_tls.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/secret.h"
#include "crypto/sha256.h"
#include "crypto/x25519.h"
#include "tls/tls_schedule.h"

static void equal(const uint8_t *got, const char *name)
{
    const struct vector *expected = vectors_get(name);
    if (memcmp(got, expected->data, expected->len) != 0)
        fail_msg("%s differs", name);
}

static void add(struct sha256 *transcript, const char *message)
{
    const struct vector *bytes = vectors_get(message);
    sha256_update(transcript, bytes->data, bytes->len);
}

static void hash_now(const struct sha256 *transcript, uint8_t out[32])
{
    struct sha256 copy = *transcript;
    sha256_final(&copy, out);
}

/* Key and IV of "NAME.key" and "NAME.iv", which have the lengths of AES-128-GCM. */
static void check_traffic_keys(const uint8_t secret[32], const char *name)
{
    char full[64];
    uint8_t out[32];
    snprintf(full, sizeof full, "%s.key", name);
    tls_schedule_expand_label(secret, "key", NULL, 0, out, 16);
    equal(out, full);
    snprintf(full, sizeof full, "%s.iv", name);
    tls_schedule_expand_label(secret, "iv", NULL, 0, out, 12);
    equal(out, full);
}

/* From the early secret to the handshake traffic keys; gives the traffic secrets and the master secret. */
static void check_handshake_stage(struct sha256 *transcript, const uint8_t early[32], uint8_t client[32],
                                  uint8_t server[32], uint8_t master[32])
{
    uint8_t shared[32], handshake[32], hash[32];
    assert_true(
        x25519_shared(shared, vectors_get("client.private")->data, vectors_get("server.public")->data));
    equal(shared, "shared_secret");
    equal(early, "early_secret");
    tls_schedule_handshake(early, shared, sizeof shared, handshake);
    equal(handshake, "handshake_secret");
    add(transcript, "client_hello");
    add(transcript, "server_hello");
    hash_now(transcript, hash);
    equal(hash, "transcript.server_hello");
    tls_schedule_derive(handshake, "c hs traffic", hash, client);
    equal(client, "client_handshake_traffic_secret");
    tls_schedule_derive(handshake, "s hs traffic", hash, server);
    equal(server, "server_handshake_traffic_secret");
    check_traffic_keys(client, "client_handshake");
    check_traffic_keys(server, "server_handshake");
    tls_schedule_master(handshake, master);
    equal(master, "master_secret");
}

/* From the end of the server's first messages to the application traffic keys. */
static void check_application_stage(struct sha256 *transcript, const uint8_t client_handshake[32],
                                    const uint8_t server_handshake[32], const uint8_t master[32])
{
    uint8_t hash[32], mac[32], secret[32];
    hash_now(transcript, hash);
    equal(hash, "transcript.before_server_finished");
    tls_schedule_finished(server_handshake, hash, mac);
    assert_memory_equal(mac, vectors_get("server_finished")->data + 4, 32);
    add(transcript, "server_finished");
    hash_now(transcript, hash);
    tls_schedule_derive(master, "c ap traffic", hash, secret);
    equal(secret, "client_application_traffic_secret");
    check_traffic_keys(secret, "client_application");
    tls_schedule_derive(master, "s ap traffic", hash, secret);
    equal(secret, "server_application_traffic_secret");
    check_traffic_keys(secret, "server_application");
    if (vectors_has("end_of_early_data"))
        add(transcript, "end_of_early_data");
    hash_now(transcript, hash);
    equal(hash, "transcript.before_client_finished");
    tls_schedule_finished(client_handshake, hash, mac);
    assert_memory_equal(mac, vectors_get("client_finished")->data + 4, 32);
}

static void engine_follows_the_trace_without_a_psk(void **state)
{
    (void)state;
    static const uint8_t no_psk[32];
    uint8_t early[32], client[32], server[32], master[32];
    struct sha256 transcript;
    vectors_open("key-schedule-rfc8448-3.txt");
    sha256_init(&transcript);
    tls_schedule_early(no_psk, sizeof no_psk, early);
    check_handshake_stage(&transcript, early, client, server, master);
    add(&transcript, "encrypted_extensions");
    add(&transcript, "certificate");
    add(&transcript, "certificate_verify");
    check_application_stage(&transcript, client, server, master);
}

static void engine_follows_the_trace_with_a_psk(void **state)
{
    (void)state;
    uint8_t early[32], client[32], server[32], master[32], hash[32], binder[32];
    struct sha256 transcript;
    vectors_open("key-schedule-rfc8448-4.txt");
    const struct vector *psk = vectors_get("psk");
    tls_schedule_early(psk->data, psk->len, early);
    sha256_init(&transcript);
    add(&transcript, "client_hello.truncated");
    hash_now(&transcript, hash);
    equal(hash, "transcript.truncated_client_hello");
    tls_schedule_binder(early, "res binder", hash, binder);
    equal(binder, "binder");
    sha256_init(&transcript);
    check_handshake_stage(&transcript, early, client, server, master);
    add(&transcript, "encrypted_extensions");
    check_application_stage(&transcript, client, server, master);
}

static void binder_labels_are_those_of_the_rfcs(void **state)
{
    (void)state;
    assert_string_equal(tls_schedule_external_binder, "ext binder"); /* RFC 8446, 7.1 */
    assert_string_equal(tls_schedule_imported_binder, "imp binder"); /* RFC 9258, 5.2 */
}

static void aegis_keys_are_those_of_the_suites_draft(void **state)
{
    (void)state;
    struct tls_traffic traffic;
    uint8_t secret[32];
    vectors_open("key-schedule-aegis-128l.txt");
    tls_schedule_traffic(&traffic, TLS_SUITE_AEGIS_128L_SHA256, vectors_get("client.secret")->data);
    assert_memory_equal(traffic.key, vectors_get("client.key")->data, 16);
    assert_memory_equal(traffic.iv, vectors_get("client.iv")->data, 16);
    toy_expand_label(vectors_get("handshake.secret")->data, "c hs traffic", vectors_get("hello.hash")->data,
                     32, secret, 32);
    assert_memory_equal(secret, vectors_get("client.secret")->data, 32);
    toy_expand_label(vectors_get("handshake.secret")->data, "s hs traffic", vectors_get("hello.hash")->data,
                     32, secret, 32);
    tls_schedule_traffic(&traffic, TLS_SUITE_AEGIS_128L_SHA256, secret);
    assert_memory_equal(traffic.key, vectors_get("server.key")->data, 16);
    assert_memory_equal(traffic.iv, vectors_get("server.iv")->data, 16);
}

/* No RFC has a vector for "traffic upd": two implementations must do. */
static void key_updates_agree_with_the_toy(void **state)
{
    (void)state;
    static const uint16_t suites[] = {TOY_CHACHA20, TOY_AEGIS, TOY_AEGIS_X2, TOY_AEGIS_X4};
    uint8_t secret[32];
    memset(secret, 0x29, sizeof secret);
    for (size_t s = 0; s < sizeof suites / sizeof *suites; s++) {
        struct tls_traffic traffic;
        struct toy_keys keys;
        size_t key_len = suites[s] == TOY_CHACHA20 ? 32 : 16, iv_len = suites[s] == TOY_CHACHA20 ? 12 : 16;
        tls_schedule_traffic(&traffic, suites[s], secret);
        toy_keys_set(&keys, suites[s], secret);
        for (int generation = 0; generation < 5; generation++) {
            assert_memory_equal(traffic.secret, keys.secret, 32);
            assert_memory_equal(traffic.key, keys.key, key_len);
            assert_memory_equal(traffic.iv, keys.iv, iv_len);
            assert_int_equal(traffic.sequence, 0);
            traffic.sequence = 7;
            tls_schedule_update(&traffic, suites[s]);
            toy_keys_update(&keys);
        }
    }
}

static void toy_follows_the_trace_with_a_psk(void **state)
{
    (void)state;
    static struct toy toy;
    struct toy_buffer finished;
    uint8_t private_key[32];
    vectors_open("key-schedule-rfc8448-4.txt");
    const struct vector *psk = vectors_get("psk"), *hello = vectors_get("client_hello");
    toy_init(&toy, false, TOY_CHACHA20, "ticket", psk->data, psk->len);
    memcpy(private_key, vectors_get("client.private")->data, 32);
    memcpy(toy.private_key, private_key, 32);
    toy_transcript_add(&toy, hello->data, hello->len);
    toy_transcript_add(&toy, vectors_get("server_hello")->data, vectors_get("server_hello")->len);
    toy_handshake_secrets(&toy, vectors_get("server.public")->data);
    equal(toy.early_secret, "early_secret");
    equal(toy.client_handshake, "client_handshake_traffic_secret");
    equal(toy.server_handshake, "server_handshake_traffic_secret");
    equal(toy.master_secret, "master_secret");
    const struct vector *extensions = vectors_get("encrypted_extensions");
    toy_transcript_add(&toy, extensions->data, extensions->len);
    toy_finished(&toy, true, &finished);
    assert_int_equal(finished.len, 36);
    equal(finished.data, "server_finished");
    toy_transcript_add(&toy, finished.data, finished.len);
    toy_application_secrets(&toy);
    equal(toy.client_application, "client_application_traffic_secret");
    equal(toy.server_application, "server_application_traffic_secret");
}

static int setup(void **state)
{
    (void)state;
    return secret_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_follows_the_trace_without_a_psk),
        cmocka_unit_test(engine_follows_the_trace_with_a_psk),
        cmocka_unit_test(binder_labels_are_those_of_the_rfcs),
        cmocka_unit_test(aegis_keys_are_those_of_the_suites_draft),
        cmocka_unit_test(key_updates_agree_with_the_toy),
        cmocka_unit_test(toy_follows_the_trace_with_a_psk),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
