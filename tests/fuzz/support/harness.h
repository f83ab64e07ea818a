/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FUZZ_HARNESS_H
#define SOCKSEAL_FUZZ_HARNESS_H

/* What a harness is made of. It is linked with libFuzzer (`make fuzz`), or with driver.c (`make test`). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Defined by each harness: one execution. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many mutated inputs driver.c runs, so that a harness takes a second or two. */
extern const unsigned harness_runs;

/* Defined by a harness with structured inputs; libFuzzer and driver.c call it in LLVMFuzzerMutate()'s place.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* libFuzzer's, or driver.c's: changes data in place and gives its new size. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* A broken promise of the product's ends the process, and with it the run. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* The input as a stream of small numbers and texts; at its end all are 0 and empty. */
struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t input_byte(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

static inline size_t input_number(struct input *input)
{
    size_t high = input_byte(input);
    return high << 8 | input_byte(input);
}

#endif
