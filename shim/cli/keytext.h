/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYTEXT_H
#define SOCKSEAL_KEYTEXT_H

/* The text of a key file that is changed by lines. It holds keys: wiped when it is given up. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "config/rule.h"

struct keytext {
    const char *file;
    char *text; /* `len` bytes, terminated */
    size_t len;
    struct stat st; /* of the file */
};

/* Reads a key file that sockseal would use. False after a message. */
bool keytext_read(struct keytext *keys, const char *file);

/* The line of an identity, with its newline; len 0: there is none. */
struct rule_span keytext_find(const struct keytext *keys, const char *identity);

/* The identity of the only key; false if there are more. */
bool keytext_only_identity(const struct keytext *keys, char *identity, size_t size);

/* What follows the key of a line: a blank and its rules, or nothing. */
struct rule_span keytext_rules(struct rule_span line);

/*
 * Writes the file anew, with `added` in the place of `line`, which is one of its own, and the line behind it
 * if `keep`. A file of the same owner and mode takes the old one's place at once, so that nobody reads half
 * of it. False after a message.
 */
bool keytext_replace(const struct keytext *keys, struct rule_span line, const char *added, bool keep);

void keytext_free(struct keytext *keys);

#endif
