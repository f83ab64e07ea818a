/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYLINE_H
#define SOCKSEAL_KEYLINE_H

/* A new line of a key file. */

#include <stdbool.h>
#include <stddef.h>

#include "cli/fingerprint.h"
#include "config/keyfile.h"

struct keyline {
    char identity[TLS_IDENTITY_MAX + 1];
    char hex[2 * KEYFILE_KEY_MAX + 1]; /* secret */
    char fingerprint[FINGERPRINT_TEXT];
};

/* Whether this can be an identity that keygen gives: no colon, comma, blank or control character. False after
 * a message. */
bool keyline_check_identity(const char *identity);

/* Makes a random key of so many bytes. False after a message. */
bool keyline_make(struct keyline *line, const char *identity, size_t bytes);

/* Writes "identity:hex" and the rules, which begin with a blank if there are any. False with errno. Not
 * through stdio, whose buffer would keep a copy. */
bool keyline_write(int fd, const struct keyline *line, const char *rules);

void keyline_wipe(struct keyline *line);

/* The first of these identities that a line of the text has, or NULL. */
const char *keyline_find_identity(const char *text, size_t len, char *const *identities, size_t count);

#endif
