/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYFILE_H
#define SOCKSEAL_KEYFILE_H

/*
 * The text of a key file: `identity:hex` a line, and perhaps, after a blank, the rules that say which
 * connections the key counts for (config/rules.h). Pure: no descriptor, no allocation, no global state.
 */

#include <stdbool.h>
#include <stddef.h>

#include "config/rule.h"
#include "tls/tls.h"

enum {
    KEYFILE_KEYS_MAX = 4096,
    KEYFILE_SIZE_MAX = 1 << 20,
    KEYFILE_KEY_MIN = 16,                           /* bytes; RFC 9257, 6: at least 128 bits */
    KEYFILE_KEY_MAX = 64,                           /* bytes */
    KEYFILE_KEY_GENERATED = 32,                     /* bytes that `sockseal keygen` gives a key */
    KEYFILE_LINE_MIN = 1 + 1 + 2 * KEYFILE_KEY_MIN, /* characters of the shortest good line */
};

/* Why a text is no key file. */
struct keyfile_error {
    size_t line;          /* counted from 1; 0: the file as a whole */
    const char *reason;   /* static; holds nothing of the text */
    const char *expected; /* static: what is expected in its place, or NULL */
};

/*
 * Parses `len` bytes of text in place: identities and rules lie in it, and the keys are decoded over their
 * hexadecimal digits, so the text must live as long as they and be wiped after them. `psks` and `rules` have
 * room for `max` each; rules[i] are those behind the key of psks[i], empty if there are none. Gives the
 * number of keys, at least 1, or 0 with *error set; the text is then partly decoded and to be wiped.
 *
 * A last line without its newline may be the rest of a file that was cut off, and its key another, shorter
 * one than was meant: it counts only if the key is exactly as long as keygen makes them and nothing follows.
 */
size_t keyfile_parse(char *text, size_t len, struct tls_psk *psks, struct rule_span *rules, size_t max,
                     struct keyfile_error *error);

/* Puts the key of this identity, and its rules, at `place`, which is before its own; those between keep their
 * order. False if no key from `place` on has it. */
bool keyfile_move(struct tls_psk *psks, struct rule_span *rules, size_t count, const char *identity,
                  size_t place);

#endif
