/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_VECTORS_H
#define SOCKSEAL_TESTS_VECTORS_H

/* Reads the published vectors in tests/vectors/: lines of `name = hex`, `#` starts a comment. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VECTOR_MAX = 1024 };

struct vector {
    size_t len;
    uint8_t data[VECTOR_MAX];
};

/* Chooses the file (a name in tests/vectors/) that the calls below read. Fails the running test if it is not
 * there. */
void vectors_open(const char *file);

/* Whether the file has a line of that name. */
bool vectors_has(const char *name);

/* The value of that name; fails the running test if there is none. The memory lives until the eighth next
 * call. */
const struct vector *vectors_get(const char *name);

/* The same for "CASE.NAME". */
const struct vector *vectors_case(int number, const char *name);

#endif
