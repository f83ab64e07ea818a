/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/keytext.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/message.h"
#include "config/keyfile.h"
#include "config/keyring_file.h"
#include "crypto/secret.h"

static bool complain(const char *file, int error)
{
    message_error("%s: %s", file, strerror(error));
    return false;
}

/* Whether the library would use the file; says why not. */
static bool check(int fd)
{
    struct ring *ring = keyring_file_read(fd, KEYRING_TRY);
    if (ring)
        keyring_file_wipe(ring);
    return ring != NULL;
}

bool keytext_read(struct keytext *keys, const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    *keys = (struct keytext){.file = file};
    if (fd < 0)
        return complain(file, errno);
    bool good = check(fd) && fstat(fd, &keys->st) == 0;
    keys->text = good ? calloc(1, (size_t)keys->st.st_size + 1) : NULL;
    if (keys->text) {
        ssize_t len = pread(fd, keys->text, (size_t)keys->st.st_size, 0);
        keys->len = len < 0 ? 0 : (size_t)len;
    }
    close(fd);
    return keys->text != NULL;
}

void keytext_free(struct keytext *keys)
{
    if (keys->text)
        secret_wipe(keys->text, keys->len);
    free(keys->text);
    keys->text = NULL;
}

/* The line that begins at `at`, with its newline. */
static struct rule_span line_at(const struct keytext *keys, size_t at)
{
    const char *newline = memchr(keys->text + at, '\n', keys->len - at);
    size_t end = newline ? (size_t)(newline - keys->text) + 1 : keys->len;
    return (struct rule_span){keys->text + at, end - at};
}

/* The identity of a line; len 0 if it has none. */
static struct rule_span identity_of(struct rule_span line)
{
    struct rule_span text = rule_trim(line);
    const char *colon = memchr(text.at, ':', text.len);
    if (text.len == 0 || *text.at == '#' || !colon)
        return (struct rule_span){text.at, 0};
    return (struct rule_span){text.at, (size_t)(colon - text.at)};
}

struct rule_span keytext_find(const struct keytext *keys, const char *identity)
{
    struct rule_span line;
    for (size_t at = 0; at < keys->len; at += line.len) {
        line = line_at(keys, at);
        struct rule_span found = identity_of(line);
        if (found.len == strlen(identity) && memcmp(found.at, identity, found.len) == 0)
            return line;
    }
    return (struct rule_span){keys->text, 0};
}

bool keytext_only_identity(const struct keytext *keys, char *identity, size_t size)
{
    struct rule_span line;
    size_t count = 0;
    for (size_t at = 0; at < keys->len; at += line.len) {
        line = line_at(keys, at);
        struct rule_span found = identity_of(line);
        if (found.len == 0)
            continue;
        count++;
        snprintf(identity, size, "%.*s", (int)found.len, found.at);
    }
    return count == 1;
}

struct rule_span keytext_rules(struct rule_span line)
{
    struct rule_span text = rule_trim(line), identity = identity_of(line);
    size_t at = identity.len + 1;
    while (at < text.len && !strchr(" \t", text.at[at]))
        at++;
    return (struct rule_span){text.at + at, text.len - at};
}

static bool write_text(const struct keytext *keys, int fd, struct rule_span line, const char *added,
                       bool keep)
{
    size_t before = (size_t)(line.at - keys->text), behind = keep ? before : before + line.len;
    return message_write(fd, keys->text, before) && message_write(fd, added, strlen(added)) &&
           message_write(fd, keys->text + behind, keys->len - behind) &&
           (fchown(fd, keys->st.st_uid, keys->st.st_gid) == 0 || geteuid() != 0) &&
           fchmod(fd, keys->st.st_mode & 07777) == 0 && fsync(fd) == 0;
}

bool keytext_replace(const struct keytext *keys, struct rule_span line, const char *added, bool keep)
{
    char path[PATH_MAX], fresh[PATH_MAX + 16];
    if (!realpath(keys->file, path)) /* a link stays a link */
        return complain(keys->file, errno);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return complain(fresh, errno);
    bool good = write_text(keys, fd, line, added, keep);
    close(fd);
    if (good && rename(fresh, path) == 0)
        return true;
    int error = errno;
    unlink(fresh);
    return complain(keys->file, error);
}
