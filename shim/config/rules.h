/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RULES_H
#define SOCKSEAL_RULES_H

/* SOCKSEAL_PORTS: which connections are sealed. `[!][listen:|connect:][ADDR[/LEN]:]PORT[-PORT]`,
 * comma-separated. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum rules_direction { RULES_LISTEN = 1, RULES_CONNECT = 2 };

struct rule {
    uint8_t directions; /* enum rules_direction, or-ed */
    uint8_t negative;   /* `!` */
    uint8_t family;     /* 0: any address; AF_INET; AF_INET6 */
    uint8_t prefix_len; /* bits of `address` that count */
    uint8_t address[16];
    uint16_t first_port, last_port;
};

enum { RULES_MAX = 256 };

struct rules {
    size_t count;
    struct rule rule[RULES_MAX];
};

/* Parses `text`. On failure gives false, points *word at the offending word's start in `text` with its length
 * in *word_len, and *expected at a static description of what was expected. */
bool rules_parse(struct rules *rules, const char *text, const char **word, size_t *word_len,
                 const char **expected);

/* Whether a connection is sealed: some rule matches it and no `!` rule does. `peer` is the peer's address (an
 * IPv4-mapped IPv6 address counts as IPv4), `port` the local port when listening, the remote one when
 * connecting. Anything but AF_INET and AF_INET6: false. */
bool rules_match(const struct rules *rules, enum rules_direction direction, const struct sockaddr *peer,
                 uint16_t port);

/* Whether some rule could match this port and direction whatever the peer's address is: a cheap first look.
 */
bool rules_may_match(const struct rules *rules, enum rules_direction direction, uint16_t port);

#endif
