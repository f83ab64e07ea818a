/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RULE_H
#define SOCKSEAL_RULE_H

/* One rule about connections: `[!][listen:|connect:][ADDR[/LEN]:]PORT[-PORT]`. Pure. */

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

/* A piece of text that is not terminated. */
struct rule_span {
    const char *at;
    size_t len;
};

/* The peer's address as rules compare it: an IPv4-mapped IPv6 address is IPv4. */
struct rule_peer {
    uint8_t family; /* AF_INET or AF_INET6 */
    uint8_t address[16];
};

/* Without the blanks around it. */
struct rule_span rule_trim(struct rule_span text);

/*
 * Parses a word of SOCKSEAL_PORTS or, with `of_key`, of a line of a key file, where the port may be missing
 * (all ports), and all but `listen` or `connect` too. Gives NULL, or a static phrase: what was expected.
 */
const char *rule_parse(struct rule *rule, struct rule_span text, bool of_key);

/* From an address of this family, in network order; false if it is neither AF_INET nor AF_INET6. */
bool rule_peer_of(struct rule_peer *peer, int family, const void *address);

/*
 * The same for an address that is connected to: 0.0.0.0 and :: are this machine there, so they count as
 * 127.0.0.1 and ::1, which is what the kernel makes of them.
 */
bool rule_target_of(struct rule_peer *peer, int family, const void *address);

/* Whether the rule is about this direction and port, whatever the peer's address is. */
bool rule_matches_port(const struct rule *rule, enum rules_direction direction, uint16_t port);

bool rule_matches_peer(const struct rule *rule, const struct rule_peer *peer);

#endif
