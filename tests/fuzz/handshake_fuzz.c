/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The engine in either role, from its first byte on, with a peer that has the right key. */

#include "peer.h"

const unsigned harness_runs = 4000;

static enum tls_role mutated; /* the role of the input that is being mutated */

static size_t mutate_frame(uint8_t kind, uint8_t *content, size_t len, size_t max, unsigned random)
{
    return peer_mutate(mutated, kind, content, len, max, random);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static const struct frames_kinds kinds = {PEER_KINDS, mutate_frame};
    mutated = peer_engine_role(size > 0 ? data[0] : 0);
    return frames_mutate(&kinds, data, size, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct peer peer;
    struct input script = {data, size};
    peer_begin(&peer, input_byte(&script));
    peer_run(&peer, &script);
    return 0;
}
