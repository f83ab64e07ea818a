/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYRING_FILE_H
#define SOCKSEAL_KEYRING_FILE_H

/* One version of the key file, read into memory of its own; and the log lines about what is wrong with it. */

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#include "config/keyring.h"
#include "diag/log.h"

/* What tells one version of the file from another. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

/* At the start of the mapping that holds everything of one version of the file. */
struct ring {
    struct keyring keyring;
    struct version version;
    struct version root; /* of the directory that the file's path begins at */
    bool settled;        /* false: the file was so young that a change might leave its times as they are */
    size_t slot;
    size_t map_len;
    char *text;            /* of the file, without an end */
    struct tls_psk psks[]; /* behind them lie the rules, the memos, the order and the text */
};

/* All zeroes if it cannot be looked at. */
struct version keyring_file_version(const char *path);

bool keyring_file_same(const struct version *a, const struct version *b);

/* Whether the ring was made of the file as it is now. */
bool keyring_file_fresh(const struct ring *ring, const char *file);

/* A descriptor, or -errno. */
int keyring_file_open(const char *file);

/* Whether the file is root's, or that of the user that this process runs as. */
bool keyring_file_owned(const struct stat *st);

/* Whose file it may be. */
enum keyring_scope {
    KEYRING_USE, /* root's or this user's: the keys are to be used */
    KEYRING_TRY, /* if this is root, any user's: the program that is started may become that user */
};

/* Whether the open file is a regular one that nobody else can read or write. False when reported. */
bool keyring_file_check(int fd, const struct stat *st, enum keyring_scope scope);

/* A filled ring of the open file, or NULL when reported. */
struct ring *keyring_file_read(int fd, enum keyring_scope scope);

/* Wipes a ring and gives its memory back. */
void keyring_file_wipe(struct ring *ring);

/* Wipes what a ring holds of the file. Its memory stays, for who uses it. */
void keyring_file_erase(struct ring *ring);

/* Logs why the file cannot be used, unless that was said before of this version of it (which may be NULL).
 * Always gives NULL. */
struct ring *keyring_file_report(enum log_level level, const struct version *version, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for an errno that the file gave. */
struct ring *keyring_file_report_errno(int error);

/* What was said may be said again. */
void keyring_file_forget_reports(void);

/* Reports say from now on that keys were read before, which stay in use. */
void keyring_file_in_use(void);

#endif
