/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FUZZ_FRAMES_H
#define SOCKSEAL_FUZZ_FRAMES_H

/* An input that is a script: a byte of options, then frames: kind, length in two bytes, content. What is cut
 * off at the end is a shorter frame, so that every input is a script. */

#include "harness.h"

struct frame {
    uint8_t kind;
    const uint8_t *content;
    size_t len;
};

/* Takes the next frame; false at the end. */
bool frames_next(struct input *input, struct frame *frame);

/* How a harness's frames are mutated. */
struct frames_kinds {
    uint8_t count; /* kinds are numbers below this */
    /* Changes a frame's content with knowledge of its form, in place: gives the new length, or SIZE_MAX to
     * have it changed as bytes. May be NULL. */
    size_t (*mutate)(uint8_t kind, uint8_t *content, size_t len, size_t max, unsigned random);
};

/* For LLVMFuzzerCustomMutator(): changes the options, one frame, or which frames there are in what order. */
size_t frames_mutate(const struct frames_kinds *kinds, uint8_t *data, size_t size, size_t max, unsigned seed);

#endif
