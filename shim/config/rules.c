/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* A piece of the variable's text; not terminated. */
struct span {
    const char *at;
    size_t len;
};

static const char expected_rule[] = "[!][listen:|connect:][ADDRESS[/LENGTH]:]PORT[-PORT]";
static const char expected_port[] = "a port from 1 to 65535, or two as FIRST-LAST";
static const char expected_address[] =
    "an IPv4 address, or an IPv6 address in brackets, with at most a /LENGTH behind it";
static const char expected_positive[] =
    "at least one rule without '!', since '!' only takes away from the others";
static const char expected_fewer[] = "at most 256 rules";

/* ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

static bool skip_prefix(struct span *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->at, prefix, len) != 0)
        return false;
    text->at += len;
    text->len -= len;
    return true;
}

/* A decimal number without sign, blanks or leading zeros, from 0 to `max`. */
static bool parse_number(struct span text, unsigned max, unsigned *out)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.at[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.at[i] - '0');
    }
    *out = value;
    return value <= max;
}

static bool parse_ports(struct span text, struct rule *rule)
{
    const char *dash = memchr(text.at, '-', text.len);
    struct span first = {text.at, dash ? (size_t)(dash - text.at) : text.len};
    struct span last = dash ? (struct span){dash + 1, text.len - first.len - 1} : first;
    unsigned low, high;
    if (!parse_number(first, 65535, &low) || !parse_number(last, 65535, &high) || low == 0 || low > high)
        return false;
    rule->first_port = (uint16_t)low;
    rule->last_port = (uint16_t)high;
    return true;
}

/* Peers that a dual-stack socket shows as ::ffff:a.b.c.d count as IPv4, so a rule written that way must too.
 */
static void unmap(struct rule *rule)
{
    if (rule->family == AF_INET6 && rule->prefix_len >= 96 && memcmp(rule->address, mapped_prefix, 12) == 0) {
        rule->family = AF_INET;
        rule->prefix_len = (uint8_t)(rule->prefix_len - 96);
        memmove(rule->address, rule->address + 12, 4);
    }
}

/* `length` is the text behind the slash, or empty. */
static bool set_address(struct rule *rule, int family, struct span address, struct span length)
{
    char text[INET6_ADDRSTRLEN];
    unsigned bits = family == AF_INET ? 32 : 128;
    if (address.len >= sizeof text)
        return false;
    memcpy(text, address.at, address.len);
    text[address.len] = '\0';
    if (strlen(text) != address.len || inet_pton(family, text, rule->address) != 1)
        return false;
    if (length.at && !parse_number(length, bits, &bits))
        return false;
    rule->family = (uint8_t)family;
    rule->prefix_len = (uint8_t)bits;
    unmap(rule);
    return true;
}

/* Splits at the first slash; the part behind it has at == NULL when there is none. */
static struct span split_length(struct span *text)
{
    const char *slash = memchr(text->at, '/', text->len);
    if (!slash)
        return (struct span){NULL, 0};
    struct span length = {slash + 1, text->len - (size_t)(slash + 1 - text->at)};
    text->len = (size_t)(slash - text->at);
    return length;
}

/* "[ADDR]", "[ADDR/LEN]" or "[ADDR]/LEN". */
static bool parse_bracketed(struct span text, struct rule *rule)
{
    const char *close = memchr(text.at, ']', text.len);
    if (!close)
        return false;
    struct span inside = {text.at + 1, (size_t)(close - text.at) - 1};
    struct span outside = {close + 1, text.len - (size_t)(close + 1 - text.at)};
    struct span length = split_length(&inside);
    if (outside.len > 0) {
        if (length.at || !skip_prefix(&outside, "/"))
            return false;
        length = outside;
    }
    return set_address(rule, AF_INET6, inside, length);
}

static bool parse_address(struct span text, struct rule *rule)
{
    if (text.len > 0 && text.at[0] == '[')
        return parse_bracketed(text, rule);
    struct span length = split_length(&text);
    return set_address(rule, AF_INET, text, length);
}

/* Gives NULL, or what was expected. */
static const char *parse_rule(struct span text, struct rule *rule)
{
    *rule = (struct rule){.directions = RULES_LISTEN | RULES_CONNECT};
    if (text.len == 0)
        return expected_rule;
    rule->negative = skip_prefix(&text, "!");
    if (skip_prefix(&text, "listen:"))
        rule->directions = RULES_LISTEN;
    else if (skip_prefix(&text, "connect:"))
        rule->directions = RULES_CONNECT;

    const char *colon = memrchr(text.at, ':', text.len);
    if (colon) {
        struct span address = {text.at, (size_t)(colon - text.at)};
        if (!parse_address(address, rule))
            return expected_address;
        text.at = colon + 1;
        text.len -= address.len + 1;
    }
    return parse_ports(text, rule) ? NULL : expected_port;
}

static const char *parse_list(struct rules *rules, const char *text, struct span *word)
{
    bool positive = false;
    const char *at = text;
    rules->count = 0;
    for (;;) {
        const char *end = strchrnul(at, ',');
        *word = trim((struct span){at, (size_t)(end - at)});
        if (rules->count == RULES_MAX)
            return expected_fewer;
        const char *expected = parse_rule(*word, &rules->rule[rules->count]);
        if (expected)
            return expected;
        positive |= !rules->rule[rules->count++].negative;
        if (*end == '\0')
            break;
        at = end + 1;
    }
    *word = (struct span){text, strlen(text)};
    return positive ? NULL : expected_positive;
}

bool rules_parse(struct rules *rules, const char *text, const char **word, size_t *word_len,
                 const char **expected)
{
    struct span span;
    const char *failure = parse_list(rules, text, &span);
    if (!failure)
        return true;
    rules->count = 0;
    *word = span.at;
    *word_len = span.len;
    *expected = failure;
    return false;
}

/* A peer's address in the form that rules have. */
struct peer {
    uint8_t family;
    uint8_t address[16];
};

static bool read_peer(const struct sockaddr *address, struct peer *peer)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        memcpy(peer->address, &in.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        memcpy(peer->address, &in6.sin6_addr, 16);
    } else {
        return false;
    }
    peer->family = (uint8_t)address->sa_family;
    if (peer->family == AF_INET6 && memcmp(peer->address, mapped_prefix, 12) == 0) {
        peer->family = AF_INET;
        memmove(peer->address, peer->address + 12, 4);
    }
    return true;
}

static bool address_matches(const struct rule *rule, const struct peer *peer)
{
    if (rule->family == 0)
        return true;
    if (rule->family != peer->family)
        return false;
    size_t whole = rule->prefix_len / 8;
    unsigned rest = rule->prefix_len % 8;
    if (memcmp(rule->address, peer->address, whole) != 0)
        return false;
    return rest == 0 || (rule->address[whole] ^ peer->address[whole]) >> (8 - rest) == 0;
}

static bool port_matches(const struct rule *rule, enum rules_direction direction, uint16_t port)
{
    return (rule->directions & direction) && rule->first_port <= port && port <= rule->last_port;
}

bool rules_match(const struct rules *rules, enum rules_direction direction, const struct sockaddr *address,
                 uint16_t port)
{
    struct peer peer;
    bool matched = false;
    if (!read_peer(address, &peer))
        return false;
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rule[i];
        if (!port_matches(rule, direction, port) || !address_matches(rule, &peer))
            continue;
        if (rule->negative)
            return false;
        matched = true;
    }
    return matched;
}

bool rules_may_match(const struct rules *rules, enum rules_direction direction, uint16_t port)
{
    bool matched = false;
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rule[i];
        if (!port_matches(rule, direction, port))
            continue;
        if (!rule->negative)
            matched = true;
        else if (rule->family == 0)
            return false;
    }
    return matched;
}
