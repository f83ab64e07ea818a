/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ESCAPE_H
#define SOCKSEAL_ESCAPE_H

/* Text from outside, made fit for a log line: it must not forge lines, end a quotation, drive a terminal or
 * turn the direction of writing. Allocates nothing. */

#include <stddef.h>

enum { ESCAPE_BYTE_MAX = 4 }; /* characters that one byte may become */

/* For what a peer has sent: printable ASCII stays, but quotes and backslashes; every other byte is written as
 * \xNN. `out` has room for `size` characters, at least 4, the NUL included; what does not fit is cut off, and
 * "..." says so. Returns `out`. */
const char *escape_peer(char *out, size_t size, const void *text, size_t len);

/* For a whole line, which may have file names in UTF-8: control characters, those that change the direction
 * of writing or break lines, and bytes that are no UTF-8 become '?', in place. */
void escape_line(char *line, size_t len);

#endif
