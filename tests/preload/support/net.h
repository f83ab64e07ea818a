/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_NET_H
#define PRELOAD_NET_H

/*
 * Sockets for the tests that run under the library. SOCKSEAL_PORTS seals what has its peer in 127.77.0.0/16;
 * the rest of 127/8 is plain. So one process has both kinds, and each test can ask of the one what it knows
 * of the other.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net {
    const char *name;
    const char *server; /* where listeners stand */
    const char *client; /* where connecting sockets are bound: an accepted socket's peer decides whether it is
                           sealed */
    bool sealed;
};

extern const struct net net_plain, net_sealed;

/* A listening socket on a port of the kernel's choice, whose address is put in *address. Fails the test if
 * there is none. */
int net_listen(const struct net *net, int backlog, struct sockaddr_in *address);

/* A TCP socket of this type's extra flags (SOCK_NONBLOCK), bound to the net's client address, not connected.
 */
int net_client(const struct net *net, int flags);

/* connect(2) with the right types. */
int net_connect_to(int fd, const struct sockaddr_in *address);

/* A client socket that is connected to `address`. Fails the test if it cannot. */
int net_connect(const struct net *net, const struct sockaddr_in *address);

/* A connection with bytes queued, and a listening socket on which nobody accepts it: its handshake does not
 * end. */
int net_connect_unanswered(const struct net *net, int *listener);

/* Two connected blocking sockets: pair[0] connected, pair[1] was accepted. */
void net_pair(const struct net *net, int pair[2]);

/* The same, after a byte has gone each way: no handshake is outstanding. */
void net_warm_pair(const struct net *net, int pair[2]);

/* Writes or reads all of it on a blocking descriptor; gives what was moved before an error or the end. */
size_t net_write_all(int fd, const void *data, size_t len);
size_t net_read_all(int fd, void *data, size_t len);

/* Asserts that just this text comes, and that the stream is at its end, which closes the descriptor. What
 * comes was sealed on a sealed connection: else its record layer had refused it. */
void net_expect_text(int fd, const char *text);
void net_expect_end(int fd);

/* Asserts that the library says that the descriptor is sealed, where it is to be. */
void net_expect_sealed(const struct net *net, int fd);

/* Bytes that depend on their place in the stream, so that lost, doubled and swapped bytes show. */
void net_pattern(uint8_t *out, size_t len, uint64_t offset);
bool net_is_pattern(const uint8_t *data, size_t len, uint64_t offset);

void net_set_nonblock(int fd, bool on);
int64_t net_now_ms(void);
void net_sleep_ms(unsigned ms);

/* What has arrived at a socket, past the library, which does not take it in: waits for these events of
 * poll(2). False after ten seconds. */
bool net_arrived(int fd, short events);

/* poll(2) on one descriptor: its revents, or 0 after the time. */
short net_wait(int fd, short events, int timeout_ms);

#endif
