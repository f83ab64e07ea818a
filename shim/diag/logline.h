/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOGLINE_H
#define SOCKSEAL_LOGLINE_H

/*
 * What a log line looks like. Async-signal-safe, allocates nothing. Where it goes decides what comes before
 * the text:
 *
 *   standard error       sockseal[PID]: error: TEXT
 *   the journal there    <3>sockseal[PID]: error: TEXT (sd-daemon(3))
 *   a file               2026-11-28T21:54:38.123Z PROGRAM sockseal[PID]: error: TEXT
 *   a syslog daemon      <27>sockseal[PID]: error: TEXT (RFC 3164, 4.1; facility daemon)
 *   journald             its native protocol: PRIORITY=3, MESSAGE=TEXT and so on
 *   as JSON              {"time": ..., "level": "error", "program": ..., "pid": PID, "message": TEXT}
 */

#include <stddef.h>

#include "diag/log.h"

enum logline_target {
    LOGLINE_STDERR,
    LOGLINE_STDERR_JOURNAL,
    LOGLINE_FILE,
    LOGLINE_SYSLOG,
    LOGLINE_JOURNALD
};

enum {
    LOGLINE_TEXT = 960,                    /* the longest text, with its NUL */
    LOGLINE_SIZE = 2 * LOGLINE_TEXT + 256, /* room for any line */
};

/* Keeps the program's name, for as long as the process lives. From log_setup(). */
void logline_name_program(const char *name);

/* Writes the line for a text without control characters to `line`: its length. */
size_t logline_make(char line[static LOGLINE_SIZE], enum logline_target target, enum log_format format,
                    enum log_level level, const char *text);

#endif
