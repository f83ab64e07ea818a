/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "diag/keylog.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "diag/log.h"
#include "diag/logfile.h"
#include "sys/file.h"

/* The longest label is SERVER_HANDSHAKE_TRAFFIC_SECRET. */
enum { LABEL_MAX = 40, LINE_MAX_LEN = LABEL_MAX + 1 + 64 + 1 + 64 + 1 };

static const char *_Atomic keylog_file;

void keylog_setup(const char *file)
{
    atomic_store(&keylog_file, file);
}

/* snprintf("%02x") would leave parts of the secret behind in its own buffers. */
static char *put_hex(char *out, const uint8_t bytes[static 32])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

static void report_once(const char *file, int error, const char *reason)
{
    static atomic_bool reported;
    if (!atomic_exchange(&reported, true))
        log_line(LOG_WARN, "key log file %s cannot be written (%s); captures will not be readable", file,
                 reason ? reason : log_error_text(error));
}

void keylog_write(const char *label, const uint8_t client_random[32], const uint8_t secret[32])
{
    const char *file = atomic_load(&keylog_file);
    size_t label_len = strnlen(label, LABEL_MAX);
    if (!file)
        return;
    char line[LINE_MAX_LEN];
    char *end = line;
    memcpy(end, label, label_len);
    end += label_len;
    *end++ = ' ';
    end = put_hex(end, client_random);
    *end++ = ' ';
    end = put_hex(end, secret);
    *end++ = '\n';

    const char *reason;
    int fd = logfile_open(file, LOGFILE_SECRET, &reason);
    long written = fd < 0 ? fd : sys_write(fd, line, (size_t)(end - line));
    if (written < 0)
        report_once(file, (int)-written, reason);
    if (fd >= 0)
        sys_close(fd);
    explicit_bzero(line, sizeof line);
}
