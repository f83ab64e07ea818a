/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/keyfile.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes in place. Gives NULL, or what is wrong. */
static const char *decode_key(char *text, size_t len, struct tls_psk *psk)
{
    for (size_t i = 0; i < len; i++)
        if (hex_digit(text[i]) < 0)
            return "the key holds something else than hexadecimal digits";
    if (len % 2 != 0)
        return "the key has an odd number of hexadecimal digits";
    if (len / 2 < KEYFILE_KEY_MIN)
        return "the key is too short: at least 16 bytes (32 hexadecimal digits)";
    if (len / 2 > KEYFILE_KEY_MAX)
        return "the key is too long: at most 64 bytes (128 hexadecimal digits)";
    uint8_t *key = (uint8_t *)text;
    for (size_t i = 0; i < len; i += 2)
        key[i / 2] = (uint8_t)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
    psk->key = key;
    psk->key_len = len / 2;
    return NULL;
}

static const char *check_identity(const char *text, size_t len)
{
    if (len == 0)
        return "the identity before the ':' is empty";
    if (len > TLS_IDENTITY_MAX)
        return "the identity is too long: at most 128 bytes";
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return "the identity holds a control character";
    return NULL;
}

static const char *parse_line(char *line, size_t len, struct tls_psk *psk)
{
    char *colon = memchr(line, ':', len);
    if (!colon)
        return "expected identity:key, the key in hexadecimal";
    const char *wrong = check_identity(line, (size_t)(colon - line));
    if (wrong)
        return wrong;
    psk->identity = (const uint8_t *)line;
    psk->identity_len = (size_t)(colon - line);
    return decode_key(colon + 1, len - psk->identity_len - 1, psk);
}

static bool has_identity(const struct tls_psk *psk, const void *identity, size_t len)
{
    return psk->identity_len == len && memcmp(psk->identity, identity, len) == 0;
}

static bool is_duplicate(const struct tls_psk *psks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has_identity(&psks[i], psks[count].identity, psks[count].identity_len))
            return true;
    return false;
}

size_t keyfile_parse(char *text, size_t len, struct tls_psk *psks, size_t max, struct keyfile_error *error)
{
    size_t count = 0;
    char *end = text + len;
    error->reason = NULL;
    error->line = 0;
    for (char *line = text, *next; line < end && !error->reason; line = next) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline ? newline : end;
        next = newline ? newline + 1 : end;
        error->line++;
        while (line < stop && is_blank(*line))
            line++;
        while (stop > line && is_blank(stop[-1]))
            stop--;
        if (line == stop || *line == '#')
            continue;
        if (count == max)
            error->reason = "too many keys: at most 4096";
        else if (!(error->reason = parse_line(line, (size_t)(stop - line), &psks[count])) &&
                 is_duplicate(psks, count))
            error->reason = "the identity stands in an earlier line already";
        else
            count++;
    }
    if (error->reason)
        return 0;
    error->line = 0;
    if (count == 0)
        error->reason = "it holds no key";
    return count;
}

bool keyfile_prefer(struct tls_psk *psks, size_t count, const char *identity)
{
    size_t len = strlen(identity);
    for (size_t i = 0; i < count; i++) {
        if (!has_identity(&psks[i], identity, len))
            continue;
        struct tls_psk preferred = psks[i];
        memmove(&psks[1], &psks[0], i * sizeof *psks);
        psks[0] = preferred;
        return true;
    }
    return false;
}
