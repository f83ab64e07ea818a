/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ADDRESS_H
#define SOCKSEAL_ADDRESS_H

/* Socket addresses in a compact form, and what the kernel says of a socket. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv4 or IPv6 address and port, for rules and log lines. */
struct address {
    uint16_t family; /* 0: unknown */
    uint16_t port;   /* host order */
    uint8_t bytes[16];
};

/* From a struct sockaddr_in or sockaddr_in6, which is there whole; family 0 if it is neither. */
struct address address_of(const struct sockaddr *address);

enum { ADDRESS_TEXT = 64 };

/* Writes "10.0.0.1:80" or "[::1]:80" to `text`, and gives that. */
const char *address_text(const struct address *address, char text[static ADDRESS_TEXT]);

/* A socket option of level SOL_SOCKET (socket(7)) whose value is an int; -1 if the kernel gives none. */
int address_socket_option(int fd, int name);

/* Whether this -errno says that the kernel, or a filter of system calls, does not tell: what cannot be known
 * is sealed or refused, never passed on in the clear. False for what says that there is no such socket, or no
 * peer. */
bool address_is_refused(long error);

/* Whether fd is a TCP socket, in any state; true if that cannot be known. */
bool address_is_tcp(int fd);

#endif
