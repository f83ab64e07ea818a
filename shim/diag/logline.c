/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "diag/logline.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sys/sys.h"

enum { PROGRAM_MAX = 32, TIME_TEXT = 96, FACILITY_DAEMON = 3 };

static char program[PROGRAM_MAX] = "-";

/* Letters and digits, and what names of programs have besides: nothing that would have to be escaped in one
 * of the forms. */
static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           strchr("-_.+@:", byte);
}

void logline_name_program(const char *name)
{
    size_t len = 0;
    for (; name[len] && len < PROGRAM_MAX - 1; len++)
        program[len] = is_plain(name[len]) ? name[len] : '?';
    if (len > 0)
        program[len] = '\0';
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    return names[level];
}

/* Of syslog(3). */
static int priority(enum log_level level)
{
    static const int priorities[] = {0, 3, 4, 6, 7};
    return priorities[level];
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

struct date {
    int64_t year;
    int month, day; /* from 1 */
};

/* Of days since 1970-01-01. gmtime_r(3) is not said to be async-signal-safe. */
static struct date date_of(int64_t days)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct date date = {1970, 1, 1};
    for (; days >= (is_leap(date.year) ? 366 : 365); date.year++)
        days -= is_leap(date.year) ? 366 : 365;
    for (;; date.month++) {
        const int len = lengths[date.month - 1] + (date.month == 2 && is_leap(date.year));
        if (days < len)
            break;
        days -= len;
    }
    date.day += (int)days;
    return date;
}

/* The time now, in UTC (RFC 3339). Gives `text`. */
static const char *time_text(char text[static TIME_TEXT])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t seconds = now.tv_sec > 0 ? now.tv_sec : 0;
    const struct date date = date_of(seconds / 86400);
    const int second = (int)(seconds % 86400);
    snprintf(text, TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)date.year, date.month, date.day,
             second / 3600, second / 60 % 60, second % 60, (int)(now.tv_nsec / 1000000));
    return text;
}

/* Appends a JSON string; there are no control characters in it. */
static size_t put_json_string(char *to, const char *text)
{
    size_t len = 0;
    to[len++] = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            to[len++] = '\\';
        to[len++] = *text;
    }
    to[len++] = '"';
    return len;
}

static size_t make_json(char *line, enum log_level level, const char *text)
{
    char now[TIME_TEXT];
    size_t len = (size_t)sprintf(
        line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%d,\"message\":", time_text(now),
        level_name(level), program, sys_getpid());
    len += put_json_string(line + len, text);
    line[len++] = '}';
    line[len++] = '\n';
    return len;
}

static size_t make_text(char *line, const char *before, enum log_level level, const char *text,
                        const char *end)
{
    return (size_t)sprintf(line, "%ssockseal[%d]: %s: %s%s", before, sys_getpid(), level_name(level), text,
                           end);
}

static size_t make_file(char *line, enum log_level level, const char *text)
{
    char now[TIME_TEXT], before[TIME_TEXT + PROGRAM_MAX + 2];
    snprintf(before, sizeof before, "%s %s ", time_text(now), program);
    return make_text(line, before, level, text, "\n");
}

/* https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ */
static size_t make_journald(char *line, enum log_level level, const char *text)
{
    return (size_t)sprintf(
        line,
        "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=sockseal\nSOCKSEAL_PROGRAM=%s\n"
        "MESSAGE=%s\n",
        priority(level), FACILITY_DAEMON, program, text);
}

size_t logline_make(char line[static LOGLINE_SIZE], enum logline_target target, enum log_format format,
                    enum log_level level, const char *text)
{
    char before[16];
    if (format == LOG_FORMAT_JSON && target != LOGLINE_SYSLOG && target != LOGLINE_JOURNALD)
        return make_json(line, level, text);
    switch (target) {
    case LOGLINE_FILE:
        return make_file(line, level, text);
    case LOGLINE_JOURNALD:
        return make_journald(line, level, text);
    case LOGLINE_SYSLOG:
        snprintf(before, sizeof before, "<%d>", FACILITY_DAEMON * 8 + priority(level));
        return make_text(line, before, level, text, "");
    case LOGLINE_STDERR_JOURNAL:
        snprintf(before, sizeof before, "<%d>", priority(level));
        return make_text(line, before, level, text, "\n");
    case LOGLINE_STDERR:
        break;
    }
    return make_text(line, "", level, text, "\n");
}
