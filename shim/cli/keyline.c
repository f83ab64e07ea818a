/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/keyline.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/message.h"
#include "crypto/secret.h"

bool keyline_check_identity(const char *identity)
{
    size_t len = strlen(identity);
    if (len == 0 || len > TLS_IDENTITY_MAX || identity[0] == '#') {
        message_error("'%s': an identity has 1 to 128 bytes and does not start with '#'", identity);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        if (strchr(":,", identity[i]) || (unsigned char)identity[i] <= ' ' || identity[i] == 0x7f) {
            message_error("'%s': an identity holds no colon, no comma, no blank and no control character",
                          identity);
            return false;
        }
    return true;
}

bool keyline_make(struct keyline *line, const char *identity, size_t bytes)
{
    uint8_t key[KEYFILE_KEY_MAX];
    memset(line, 0, sizeof *line);
    strncpy(line->identity, identity, sizeof line->identity - 1);
    if (getrandom(key, bytes, 0) != (ssize_t)bytes) {
        message_error("no random bytes: %s", strerror(errno));
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        line->hex[2 * i] = "0123456789abcdef"[key[i] >> 4];
        line->hex[2 * i + 1] = "0123456789abcdef"[key[i] & 15];
    }
    fingerprint_of(key, bytes, line->fingerprint);
    secret_wipe(key, sizeof key);
    return true;
}

bool keyline_write(int fd, const struct keyline *line, const char *rules)
{
    char text[sizeof *line + 128], *end = text;
    if (strlen(rules) > 120) {
        errno = EINVAL;
        return false;
    }
    end = stpcpy(stpcpy(end, line->identity), ":");
    end = stpcpy(stpcpy(stpcpy(end, line->hex), rules), "\n");
    bool written = message_write(fd, text, (size_t)(end - text));
    int error = errno;
    secret_wipe(text, sizeof text);
    errno = error;
    return written;
}

void keyline_wipe(struct keyline *line)
{
    secret_wipe(line, sizeof *line);
}

const char *keyline_find_identity(const char *text, size_t len, char *const *identities, size_t count)
{
    for (const char *at = text, *end = text + len; at < end; at++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((stop ? stop : end) - at);
        for (size_t i = 0; i < count; i++) {
            size_t identity = strlen(identities[i]);
            if (line > identity && at[identity] == ':' && memcmp(at, identities[i], identity) == 0)
                return identities[i];
        }
        at += line;
    }
    return NULL;
}
