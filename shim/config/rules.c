/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/rules.h"

#include <netinet/in.h>
#include <string.h>

static const char expected_positive[] =
    "at least one rule without '!', since '!' only takes away from the others";
static const char expected_fewer[] = "at most 256 rules";

/* Takes the word before the first comma off `rest`, which has at == NULL behind the last one. */
static struct rule_span next_word(struct rule_span *rest)
{
    const char *comma = memchr(rest->at, ',', rest->len);
    struct rule_span word = {rest->at, comma ? (size_t)(comma - rest->at) : rest->len};
    *rest = comma ? (struct rule_span){comma + 1, rest->len - word.len - 1} : (struct rule_span){NULL, 0};
    return rule_trim(word);
}

/* Gives NULL, or what was expected in the place of *word. */
static const char *parse_list(struct rules *rules, const char *text, struct rule_span *word)
{
    const struct rule_span whole = {text, strlen(text)};
    bool positive = false;
    rules->count = 0;
    for (struct rule_span rest = whole; rest.at;) {
        *word = next_word(&rest);
        if (rules->count == RULES_MAX)
            return expected_fewer;
        const char *expected = rule_parse(&rules->rule[rules->count], *word, false);
        if (expected)
            return expected;
        positive |= !rules->rule[rules->count++].negative;
    }
    *word = whole;
    return positive ? NULL : expected_positive;
}

bool rules_parse(struct rules *rules, const char *text, const char **word, size_t *word_len,
                 const char **expected)
{
    struct rule_span span;
    const char *failure = parse_list(rules, text, &span);
    if (!failure)
        return true;
    rules->count = 0;
    *word = span.at;
    *word_len = span.len;
    *expected = failure;
    return false;
}

static bool peer_of(struct rule_peer *peer, enum rules_direction direction, const struct sockaddr *address)
{
    bool (*of)(struct rule_peer *, int, const void *) =
        direction == RULES_CONNECT ? rule_target_of : rule_peer_of;
    struct sockaddr_in6 copy;
    if (address->sa_family == AF_INET) {
        memcpy(&copy, address, sizeof(struct sockaddr_in));
        return of(peer, AF_INET, &((const struct sockaddr_in *)(const void *)&copy)->sin_addr);
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&copy, address, sizeof copy);
    return of(peer, AF_INET6, &copy.sin6_addr);
}

bool rules_match(const struct rules *rules, enum rules_direction direction, const struct sockaddr *address,
                 uint16_t port)
{
    struct rule_peer peer;
    bool matched = false;
    if (!peer_of(&peer, direction, address))
        return false;
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rule[i];
        if (!rule_matches_port(rule, direction, port) || !rule_matches_peer(rule, &peer))
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
        if (!rule_matches_port(rule, direction, port))
            continue;
        if (!rule->negative)
            matched = true;
        else if (rule->family == 0)
            return false;
    }
    return matched;
}

const char *rules_of_key_check(struct rule_span text)
{
    bool positive = false;
    struct rule rule;
    for (struct rule_span rest = text; rest.at;) {
        const char *expected = rule_parse(&rule, next_word(&rest), true);
        if (expected)
            return expected;
        positive |= !rule.negative;
    }
    return positive ? NULL : expected_positive;
}

bool rules_of_key_match(struct rule_span text, enum rules_direction direction, const struct rule_peer *peer,
                        uint16_t port)
{
    bool matched = text.len == 0;
    struct rule rule;
    for (struct rule_span rest = text; text.len > 0 && rest.at;) {
        if (rule_parse(&rule, next_word(&rest), true))
            return false;
        if (!rule_matches_port(&rule, direction, port) || !rule_matches_peer(&rule, peer))
            continue;
        if (rule.negative)
            return false;
        matched = true;
    }
    return matched;
}
