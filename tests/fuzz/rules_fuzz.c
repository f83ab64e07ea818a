/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The text of SOCKSEAL_PORTS, and of the rules behind a key. What is refused is named within the text; what
 * is taken answers the same for an IPv4 address and for the same one mapped into IPv6, and only where the
 * cheap first look (rules_may_match()) says that it could. */

#include <arpa/inet.h>
#include <string.h>

#include "config/rules.h"
#include "harness.h"

const unsigned harness_runs = 40000;

static void match(const struct rules *rules, const char *text, uint16_t port, uint32_t address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct rule_peer peer;
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(v6.sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
    for (int direction = RULES_LISTEN; direction <= RULES_CONNECT; direction++) {
        const enum rules_direction of = (enum rules_direction)direction;
        bool matched = rules_match(rules, of, (struct sockaddr *)&v4, port);
        REQUIRE(matched == rules_match(rules, of, (struct sockaddr *)&v6, port));
        REQUIRE(!matched || rules_may_match(rules, of, port));
        REQUIRE(rule_peer_of(&peer, AF_INET, &v4.sin_addr));
        if (rules_of_key_check((struct rule_span){text, strlen(text)}) == NULL)
            (void)rules_of_key_match((struct rule_span){text, strlen(text)}, of, &peer, port);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rules rules;
    const char *word = NULL, *expected = NULL;
    size_t word_len = 0;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (rules_parse(&rules, text, &word, &word_len, &expected)) {
        REQUIRE(rules.count <= RULES_MAX);
        for (size_t i = 0; i < rules.count; i++) {
            REQUIRE(rules.rule[i].first_port <= rules.rule[i].last_port);
            REQUIRE(rules.rule[i].prefix_len <= (rules.rule[i].family == AF_INET ? 32 : 128));
            match(&rules, text, rules.rule[i].first_port, 0x7f000001);
            match(&rules, text, rules.rule[i].last_port, 0x0a000000 | (uint32_t)i);
        }
    } else {
        REQUIRE(expected && word >= text && word_len <= strlen(text) &&
                word + word_len <= text + strlen(text));
    }
    (void)rules_of_key_check((struct rule_span){text, size});
    free(text);
    return 0;
}
