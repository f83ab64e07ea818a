/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYFILE_H
#define SOCKSEAL_KEYFILE_H

/* The text of a key file: `identity:hex` a line. Pure: no descriptor, no allocation, no global state. */

#include <stdbool.h>
#include <stddef.h>

#include "tls/tls.h"

enum {
    KEYFILE_KEYS_MAX = 4096,
    KEYFILE_SIZE_MAX = 1 << 20,
    KEYFILE_KEY_MIN = 16,                           /* bytes; RFC 9257, 6: at least 128 bits */
    KEYFILE_KEY_MAX = 64,                           /* bytes */
    KEYFILE_LINE_MIN = 1 + 1 + 2 * KEYFILE_KEY_MIN, /* characters of the shortest good line */
};

/* Why a text is no key file. */
struct keyfile_error {
    size_t line;        /* counted from 1; 0: the file as a whole */
    const char *reason; /* static; holds nothing of the text */
};

/*
 * Parses `len` bytes of text in place: the identities of `psks` lie in it, and the keys are decoded over
 * their hexadecimal digits, so the text must live as long as they and be wiped after them. `psks` has room
 * for `max`. Gives the number of keys, at least 1, or 0 with *error set; the text is then partly decoded and
 * to be wiped.
 */
size_t keyfile_parse(char *text, size_t len, struct tls_psk *psks, size_t max, struct keyfile_error *error);

/* Puts the key of this identity before the others, which keep their order. Gives false if there is none. */
bool keyfile_prefer(struct tls_psk *psks, size_t count, const char *identity);

#endif
