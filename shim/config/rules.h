/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RULES_H
#define SOCKSEAL_RULES_H

/* Lists of rules with commas between them: SOCKSEAL_PORTS (which connections are sealed), and those behind a
 * key (which connections it counts for). */

#include "config/rule.h"

enum { RULES_MAX = 256 };

struct rules {
    size_t count;
    struct rule rule[RULES_MAX];
};

/* Parses `text`. On failure gives false, points *word at the offending word's start in `text` with its length
 * in *word_len, and *expected at a static description of what was expected. */
bool rules_parse(struct rules *rules, const char *text, const char **word, size_t *word_len,
                 const char **expected);

/* Whether a connection is sealed: some rule matches it and no `!` rule does. `peer` is the peer's address,
 * `port` the local port when listening, the remote one when connecting. Anything but AF_INET and AF_INET6:
 * false. */
bool rules_match(const struct rules *rules, enum rules_direction direction, const struct sockaddr *peer,
                 uint16_t port);

/* Whether some rule could match this port and direction whatever the peer's address is: a cheap first look.
 */
bool rules_may_match(const struct rules *rules, enum rules_direction direction, uint16_t port);

/* Whether `text` is a list of rules as a line of a key file has it. Gives NULL, or a static phrase: what was
 * expected. */
const char *rules_of_key_check(struct rule_span text);

/* Whether a key whose line ends with these rules (which rules_of_key_check() has found good) counts for a
 * connection. Without any it does. */
bool rules_of_key_match(struct rule_span text, enum rules_direction direction, const struct rule_peer *peer,
                        uint16_t port);

#endif
