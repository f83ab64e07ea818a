/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAULTS_ADDRESSES_H
#define SOCKSEAL_FAULTS_ADDRESSES_H

/* The wire has addresses of its own, by which the rules of the programs know what to seal. */

#include <arpa/inet.h>
#include <netinet/in.h>

#define WIRE_RULES "127.78.0.0/16:1-65535"

enum wire_side { WIRE_SIDE_CLIENT = 1, WIRE_SIDE_SERVER = 2 };

/* Port in network order. */
static inline struct sockaddr_in wire_address(enum wire_side side, in_port_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(0x7f4e0000u | (unsigned)side)};
}

#endif
