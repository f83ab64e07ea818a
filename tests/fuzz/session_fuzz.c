/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Records after the handshake: the engine in either role with each suite, established before the first
 * execution, so that none pays for a key exchange. */

#include <string.h>

#include "peer.h"

const unsigned harness_runs = 3000;

enum { SUITES_MAX = 4 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static const struct frames_kinds kinds = {PEER_KINDS, NULL};
    return frames_mutate(&kinds, data, size, max, seed);
}

/* An established pair. Neither the engine's session nor the toy's keys hold a pointer. */
static const struct pair *established(enum tls_role role, unsigned suite)
{
    static struct pair *pairs[2][SUITES_MAX];
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    struct pair **pair = &pairs[role][suite % count];
    if (!*pair) {
        *pair = malloc(sizeof **pair);
        REQUIRE(*pair);
        pair_reach(*pair, role == TLS_CLIENT ? PAIR_CLIENT_CONNECTED : PAIR_SERVER_CONNECTED,
                   suites[suite % count]);
    }
    return *pair;
}

static void begin(struct peer *peer, uint8_t options)
{
    const enum tls_role role = peer_engine_role(options);
    const struct pair *from = established(role, options & 3);
    struct pair *pair = &peer->pair;
    pair->engine.session = from->engine.session;
    pair->engine.config = from->engine.config;
    pair->engine.in_place = options & 4;
    pair->engine.result = TLS_OK;
    pair->engine.out.len = pair->engine.pending.len = pair->engine.data.len = 0;
    pair->read_at = pair->unread.len = 0;
    pair->toy.server = role == TLS_CLIENT;
    pair->toy.suite = from->toy.suite;
    pair->toy.tx = from->toy.tx;
    pair->toy.rx = from->toy.rx;
    peer->tracked = peer->fair = peer->bound = peer->finished = true;
    peer->closed = peer->retried = false;
    peer->record = TLS_PLAINTEXT_MAX;
    peer->rx_updates = 0;
    peer->expected.len = peer->sent.len = peer->arrived.len = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct peer peer;
    struct input script = {data, size};
    begin(&peer, input_byte(&script));
    peer_run(&peer, &script);
    return 0;
}
