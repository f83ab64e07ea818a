/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_MESSAGE_H
#define SOCKSEAL_MESSAGE_H

/* What the command writes. */

#include <stdbool.h>
#include <stddef.h>

/* Prints "sockseal: …" and a newline to standard error. */
void message_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes all of it. False with errno. */
bool message_write(int fd, const char *text, size_t len);

#endif
