/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOGFILE_H
#define SOCKSEAL_LOGFILE_H

/*
 * Files that lines are appended to: the log (SOCKSEAL_LOG_FILE) and the key log (SOCKSEAL_KEYLOG_FILE). The
 * name may lie in a directory that others can write to, and the process may be root: so a symbolic link is
 * not followed, and the file must be root's or the process's own user's (for root: its own), not writable by
 * everybody, and known by this name alone. Devices are taken as they are, named pipes if they have a reader.
 * The sockets of log daemons are root's or the user's own too.
 * /dev/stdout and /dev/stderr are the process's own descriptors, and are taken as they are too.
 */

#include <stdbool.h>

enum logfile_kind {
    LOGFILE_LOG,    /* made with mode 0640 */
    LOGFILE_SECRET, /* made with mode 0600, and refused if others may read it */
};

/* Whether a name is that of a log daemon's socket, which lines go to as datagrams: journald's
 * (/run/systemd/journal/socket) takes another protocol than those of syslog daemons (/dev/log). By the name
 * alone, NULL included. */
enum logfile_daemon { LOGFILE_NONE, LOGFILE_SYSLOG, LOGFILE_JOURNALD };
enum logfile_daemon logfile_daemon(const char *path);

/* Opens for appending, close-on-exec; makes the file. A descriptor, or -errno, with *reason (static) if it is
 * more than what the errno says, else NULL. */
int logfile_open(const char *path, enum logfile_kind kind, const char **reason);

/* Whether logfile_open() would succeed; makes no file. Gives 0 or -errno, *reason as above. */
int logfile_check(const char *path, enum logfile_kind kind, const char **reason);

#endif
