/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/keyfile.h"

#include <string.h>

#include "config/rules.h"

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

static const char *parse_line(char *line, size_t len, struct tls_psk *psk, struct rule_span *rules)
{
    char *colon = memchr(line, ':', len);
    if (!colon)
        return "expected identity:key, the key in hexadecimal";
    const char *wrong = check_identity(line, (size_t)(colon - line));
    if (wrong)
        return wrong;
    psk->identity = (const uint8_t *)line;
    psk->identity_len = (size_t)(colon - line);
    char *key = colon + 1;
    size_t left = len - psk->identity_len - 1, key_len = 0;
    while (key_len < left && !is_blank(key[key_len]))
        key_len++;
    *rules = rule_trim((struct rule_span){key + key_len, left - key_len});
    return key_len == 0 && left > 0 ? "the key does not follow the ':' directly"
                                    : decode_key(key, key_len, psk);
}

static void check_rules(struct rule_span rules, struct keyfile_error *error)
{
    error->expected = rules.len > 0 ? rules_of_key_check(rules) : NULL;
    if (error->expected)
        error->reason = "the rules behind the key do not parse";
}

/* A line without its newline. */
static const char *check_last(const struct tls_psk *psk, const struct rule_span *rules)
{
    return psk->key_len == KEYFILE_KEY_GENERATED && rules->len == 0
               ? NULL
               : "the last line has no end: the file may have been cut off; if it is whole, add a newline";
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

/* Takes a line off the text, without the blanks around it. *ended: it had its newline. */
static struct rule_span next_line(struct rule_span *text, bool *ended)
{
    const char *newline = memchr(text->at, '\n', text->len);
    struct rule_span line = {text->at, newline ? (size_t)(newline - text->at) : text->len};
    size_t taken = line.len + (newline ? 1 : 0);
    *text = (struct rule_span){text->at + taken, text->len - taken};
    *ended = newline != NULL;
    return rule_trim(line);
}

size_t keyfile_parse(char *text, size_t len, struct tls_psk *psks, struct rule_span *rules, size_t max,
                     struct keyfile_error *error)
{
    size_t count = 0;
    bool ended;
    *error = (struct keyfile_error){0};
    for (struct rule_span rest = {text, len}; rest.len > 0 && !error->reason;) {
        struct rule_span line = next_line(&rest, &ended);
        error->line++;
        if (line.len == 0 || *line.at == '#')
            continue;
        if (count == max) {
            error->reason = "too many keys: at most 4096";
            break;
        }
        error->reason = parse_line(text + (line.at - text), line.len, &psks[count], &rules[count]);
        if (!error->reason)
            check_rules(rules[count], error);
        if (!error->reason && !ended)
            error->reason = check_last(&psks[count], &rules[count]);
        if (!error->reason && is_duplicate(psks, count))
            error->reason = "an earlier line has the same identity";
        count++;
    }
    if (error->reason)
        return 0;
    error->line = 0;
    if (count == 0)
        error->reason = "it holds no key";
    return count;
}

bool keyfile_move(struct tls_psk *psks, struct rule_span *rules, size_t count, const char *identity,
                  size_t place)
{
    size_t len = strlen(identity);
    for (size_t i = place; i < count; i++) {
        if (!has_identity(&psks[i], identity, len))
            continue;
        struct tls_psk psk = psks[i];
        struct rule_span with = rules[i];
        memmove(&psks[place + 1], &psks[place], (i - place) * sizeof *psks);
        memmove(&rules[place + 1], &rules[place], (i - place) * sizeof *rules);
        psks[place] = psk;
        rules[place] = with;
        return true;
    }
    return false;
}
