/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOG_H
#define SOCKSEAL_LOG_H

/*
 * Log lines: one write(2) each, to standard error or, opened for each line, to SOCKSEAL_LOG_FILE: a file, or
 * the socket of a log daemon. What they look like is in logline.h. Never through the doors, never through
 * stdio, keeps errno, allocates nothing, takes no lock.
 */

enum log_level { LOG_QUIET, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Sets the threshold and the file (NULL: standard error; the string is not copied). Before: LOG_WARN,
 * standard error. */
void log_setup(enum log_level threshold, const char *file);

/* SOCKSEAL_LOG_FORMAT; text before. */
void log_set_format(enum log_format format);

/* Takes the value of JOURNAL_STREAM (systemd.exec(5)), or NULL: where standard error is that stream, lines
 * begin with their priority, "<4>". */
void log_name_journal(const char *stream);

/* From now on lines go to this function instead, without prefix and newline; NULL: as before. For programs of
 * the project's own, and while something is tried. */
void log_divert(void (*sink)(enum log_level level, const char *text));

/* What an errno means, for people. Never NULL. */
const char *log_error_text(int error);

/* Opens SOCKSEAL_LOG_FILE, close-on-exec; negative if it names none or cannot be opened. */
int log_open(void);

/* A descriptor for the file, which stays the caller's, for when it cannot be opened any more; -1: there is
 * none, and standard error takes its place. */
void log_keep(int fd);

/* From now on the file is not opened any more. */
void log_stop_opening(void);

/* Whether lines of this level are written; for callers that would have to compute something first. */
int log_enabled(enum log_level level);

/* Writes one line; the format is printf's, the newline is added. Control characters in it are replaced by
 * '?'. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
