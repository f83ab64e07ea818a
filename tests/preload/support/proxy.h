/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_PROXY_H
#define PRELOAD_PROXY_H

/*
 * A man in the middle: a process without the library that passes bytes between a connecting and a listening
 * socket, in pieces of its choice, and writes down what passed.
 */

#include <netinet/in.h>
#include <sys/types.h>

struct net;

struct proxy_plan {
    unsigned piece;     /* most bytes a write; 0: as they come */
    unsigned pause_us;  /* between pieces: each travels in a segment of its own */
    unsigned gather_ms; /* hold what comes for so long, then pass it at once: many records in one segment */
    unsigned gather_bytes; /* or until so many are there (0: no bound) */
    unsigned cut_after;    /* close both sides after so many bytes from the connecting side; 0: never */
    unsigned signal_after; /* SIGALRM to the test after each later piece than so many bytes of it; 0: none */
    const char *record;    /* file that takes all bytes of both directions, or NULL */
};

struct proxy {
    pid_t process;
    struct sockaddr_in front; /* where to connect to instead of the listener */
};

/* Starts a proxy in front of `listener`, for one connection. */
struct proxy proxy_start(const struct net *net, const struct sockaddr_in *listener,
                         const struct proxy_plan *plan);

/* Two connected blocking sockets with a proxy between them: pair[0] connected, pair[1] was accepted. */
struct proxy proxy_pair(const struct net *net, const struct proxy_plan *plan, int pair[2]);

/* Waits for its end, which comes when both sides have closed. */
void proxy_end(const struct proxy *proxy);

int proxy_main(int argc, char **argv);

#endif
