/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/keyring.h"
#include "diag/log.h"
#include "diag/logfile.h"
#include "sys/file.h"

static unsigned check_file(const char *what, const char *file, enum logfile_kind kind)
{
    const char *reason = NULL;
    int result = file ? logfile_check(file, kind, &reason) : 0;
    if (result == 0)
        return 0;
    log_line(LOG_ERROR, "%s %s cannot be written: %s", what, file, reason ? reason : log_error_text(-result));
    return 1;
}

static unsigned check(bool whole)
{
    const struct config *config = config_get();
    unsigned faults = keyring_check(whole) ? 0 : 1;
    faults += check_file("the log file (SOCKSEAL_LOG_FILE)", config->log_file, LOGFILE_LOG);
    faults += check_file("the key log file (SOCKSEAL_KEYLOG_FILE)", config->keylog_file, LOGFILE_SECRET);
    return faults;
}

unsigned startup_check(void)
{
    return check(true);
}

/* Whether the text is somewhere in an environment as /proc shows it, at the start of an entry. */
static bool begins_entry(const char *bytes, size_t len, const char *text)
{
    size_t text_len = strlen(text);
    for (const char *at = bytes; (at = memmem(at, len - (size_t)(at - bytes), text, text_len)); at++)
        if (at == bytes || at[-1] == '\0')
            return true;
    return false;
}

/* Whether the parent is under the library, or another user's process, which may be. */
static bool parent_is_sealed(void)
{
    char path[32], bytes[16384];
    snprintf(path, sizeof path, "/proc/%d/environ", sys_getppid());
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd == -EACCES || fd == -EPERM;
    long len = sys_read(fd, bytes, sizeof bytes);
    sys_close(fd);
    if (len < 0)
        return len == -EACCES || len == -EPERM;
    return begins_entry(bytes, (size_t)len, "SOCKSEAL_PORTS=") &&
           begins_entry(bytes, (size_t)len, "LD_PRELOAD=");
}

static char first_fault[1024];

static void keep_first(enum log_level level, const char *text)
{
    if (level == LOG_ERROR && !first_fault[0])
        snprintf(first_fault, sizeof first_fault, "%s", text);
}

void startup_report(void)
{
    log_divert(keep_first);
    check(false);
    log_divert(NULL);
    if (first_fault[0] && !parent_is_sealed())
        log_line(LOG_ERROR, "%s", first_fault);
}
