/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const char expected_rule[] = "[!][listen:|connect:][ADDRESS[/LENGTH]:]PORT[-PORT]";
static const char expected_key_rule[] =
    "[!]listen, [!]connect, or either with :ADDRESS[/LENGTH][:PORT[-PORT]]";
static const char expected_port[] = "a port from 1 to 65535, or two as FIRST-LAST";
static const char expected_number[] = "a port as a number from 1 to 65535, since names of services and "
                                      "hosts are not looked up";
static const char expected_order[] = "a range of ports with the lower one first";
static const char expected_address[] =
    "an IPv4 address, or an IPv6 address in brackets, with at most a /LENGTH behind it";
static const char expected_brackets[] = "an IPv6 address in brackets, as in [::1]:443";
static const char expected_no_name[] = "the peer's address in numbers, since names are not looked up";
static const char expected_no_star[] =
    "the port alone, without '*:' or ':' before it: a rule without an address is for every address";

/* ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct rule_span rule_trim(struct rule_span text)
{
    while (text.len > 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

static bool skip_prefix(struct rule_span *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->at, prefix, len) != 0)
        return false;
    text->at += len;
    text->len -= len;
    return true;
}

/* Whether all of the text is of these characters. */
static bool consists_of(struct rule_span text, const char *characters)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(characters, text.at[i]) || text.at[i] == '\0')
            return false;
    return true;
}

/* A decimal number without sign, blanks or leading zeros, from 0 to `max`. */
static bool parse_number(struct rule_span text, unsigned max, unsigned *out)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.at[0] == '0') ||
        !consists_of(text, "0123456789"))
        return false;
    for (size_t i = 0; i < text.len; i++)
        value = value * 10 + (unsigned)(text.at[i] - '0');
    *out = value;
    return value <= max;
}

static const char *parse_ports(struct rule_span text, struct rule *rule)
{
    const char *dash = memchr(text.at, '-', text.len);
    struct rule_span first = {text.at, dash ? (size_t)(dash - text.at) : text.len};
    struct rule_span last = dash ? (struct rule_span){dash + 1, text.len - first.len - 1} : first;
    unsigned low, high;
    if (text.len > 0 && !consists_of(text, "0123456789-+ \t"))
        return expected_number;
    if (!parse_number(first, 65535, &low) || !parse_number(last, 65535, &high) || low == 0 || high == 0)
        return expected_port;
    if (low > high)
        return expected_order;
    rule->first_port = (uint16_t)low;
    rule->last_port = (uint16_t)high;
    return NULL;
}

/* A rule that is written with an IPv4-mapped address is about the IPv4 address, as rule_peer_of() has it. */
static void unmap(struct rule *rule)
{
    if (rule->family == AF_INET6 && rule->prefix_len >= 96 && memcmp(rule->address, mapped_prefix, 12) == 0) {
        rule->family = AF_INET;
        rule->prefix_len = (uint8_t)(rule->prefix_len - 96);
        memmove(rule->address, rule->address + 12, 4);
    }
}

/* `length` is the text behind the slash, or empty. */
static bool set_address(struct rule *rule, int family, struct rule_span address, struct rule_span length)
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
static struct rule_span split_length(struct rule_span *text)
{
    const char *slash = memchr(text->at, '/', text->len);
    if (!slash)
        return (struct rule_span){NULL, 0};
    struct rule_span length = {slash + 1, text->len - (size_t)(slash + 1 - text->at)};
    text->len = (size_t)(slash - text->at);
    return length;
}

/* "[ADDR]", "[ADDR/LEN]" or "[ADDR]/LEN". */
static bool parse_bracketed(struct rule_span text, struct rule *rule)
{
    const char *close = memchr(text.at, ']', text.len);
    if (!close)
        return false;
    struct rule_span inside = {text.at + 1, (size_t)(close - text.at) - 1};
    struct rule_span outside = {close + 1, text.len - (size_t)(close + 1 - text.at)};
    struct rule_span length = split_length(&inside);
    if (outside.len > 0) {
        if (length.at || !skip_prefix(&outside, "/"))
            return false;
        length = outside;
    }
    return set_address(rule, AF_INET6, inside, length);
}

/* What is wrong with an address that does not parse. */
static const char *advise_on_address(struct rule_span text)
{
    if (text.len == 0 || (text.len == 1 && text.at[0] == '*'))
        return expected_no_star;
    if (text.at[0] == '[' || consists_of(text, "0123456789./"))
        return expected_address;
    return memchr(text.at, ':', text.len) && consists_of(text, "0123456789abcdefABCDEF:./")
               ? expected_brackets
               : expected_no_name;
}

static const char *parse_address(struct rule_span text, struct rule *rule)
{
    struct rule_span address = text;
    bool good;
    if (text.len > 0 && text.at[0] == '[') {
        good = parse_bracketed(text, rule);
    } else {
        struct rule_span length = split_length(&address);
        good = set_address(rule, AF_INET, address, length);
    }
    return good ? NULL : advise_on_address(text);
}

/* The colon between address and port: the last one, but none within brackets. NULL: there is none. */
static const char *find_port_colon(struct rule_span text)
{
    const char *colon = memrchr(text.at, ':', text.len);
    return colon && memchr(colon, ']', text.len - (size_t)(colon - text.at)) ? NULL : colon;
}

/* Whether what has no colon before a port is an address all the same: that of a key's rule. */
static bool is_lone_address(struct rule_span text, bool of_key)
{
    return of_key && text.len > 0 &&
           (text.at[0] == '[' || memchr(text.at, '.', text.len) || memchr(text.at, '/', text.len));
}

/* "[ADDR[/LEN]:]PORT[-PORT]" and, of a key, "ADDR[/LEN]". */
static const char *parse_where(struct rule_span text, struct rule *rule, bool of_key)
{
    const char *colon = find_port_colon(text);
    if (!colon)
        return is_lone_address(text, of_key) ? parse_address(text, rule) : parse_ports(text, rule);
    struct rule_span address = {text.at, (size_t)(colon - text.at)};
    struct rule_span ports = {colon + 1, text.len - address.len - 1};
    const char *expected = parse_address(address, rule);
    return expected ? expected : parse_ports(ports, rule);
}

static const char *parse_direction(struct rule_span *text, struct rule *rule)
{
    static const struct {
        const char *word;
        uint8_t direction;
    } directions[] = {{"listen", RULES_LISTEN}, {"connect", RULES_CONNECT}};
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++)
        if (skip_prefix(text, directions[i].word)) {
            rule->directions = directions[i].direction;
            return directions[i].word;
        }
    return NULL;
}

const char *rule_parse(struct rule *rule, struct rule_span text, bool of_key)
{
    const char *expected = of_key ? expected_key_rule : expected_rule;
    *rule =
        (struct rule){.directions = RULES_LISTEN | RULES_CONNECT, .first_port = 1, .last_port = UINT16_MAX};
    if (text.len == 0)
        return expected;
    rule->negative = skip_prefix(&text, "!");
    bool directed = parse_direction(&text, rule);
    if (directed && text.len == 0)
        return of_key ? NULL : "a colon and a port behind 'listen' or 'connect'";
    if (directed && !skip_prefix(&text, ":"))
        return expected_number;
    return text.len == 0 ? expected_port : parse_where(text, rule, of_key);
}

bool rule_peer_of(struct rule_peer *peer, int family, const void *address)
{
    if (family != AF_INET && family != AF_INET6)
        return false;
    memset(peer, 0, sizeof *peer);
    memcpy(peer->address, address, family == AF_INET ? 4 : 16);
    peer->family = (uint8_t)family;
    if (family == AF_INET6 && memcmp(peer->address, mapped_prefix, 12) == 0) {
        peer->family = AF_INET;
        memmove(peer->address, peer->address + 12, 4);
    }
    return true;
}

bool rule_target_of(struct rule_peer *peer, int family, const void *address)
{
    static const uint8_t any[16], loopback4[4] = {127, 0, 0, 1};
    if (!rule_peer_of(peer, family, address))
        return false;
    if (peer->family == AF_INET && memcmp(peer->address, any, 4) == 0)
        memcpy(peer->address, loopback4, 4);
    else if (peer->family == AF_INET6 && memcmp(peer->address, any, 16) == 0)
        peer->address[15] = 1;
    return true;
}

bool rule_matches_port(const struct rule *rule, enum rules_direction direction, uint16_t port)
{
    return (rule->directions & direction) && rule->first_port <= port && port <= rule->last_port;
}

bool rule_matches_peer(const struct rule *rule, const struct rule_peer *peer)
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
