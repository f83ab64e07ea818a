/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/*
 * What the load programs can be told, the same words for all of them:
 *
 *     --address A --port P      where to connect to, or to listen
 *     --epoll | --blocking      how to wait; --blocking is the default
 *     --size BYTES              of a request and of its reply
 *     --connections N           how many at a time
 *     --seconds S --warm S      how long to measure, and how long to run before that
 *     --server-pids P,P,...     whose CPU time is reported as the server's
 *     --cert F --key F --ca F   the program's own TLS, certificates at both ends
 *     --psk HEX                 the program's own TLS with an external PSK
 *     --suite NAME              its cipher suite
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OPTIONS_PIDS_MAX = 32, OPTIONS_SIZE_MAX = 1 << 20 };

struct options {
    const char *address;
    uint16_t port;
    bool epoll;
    size_t size, connections;
    double seconds, warm;
    pid_t pids[OPTIONS_PIDS_MAX];
    size_t pid_count;
    const char *cert, *key, *ca, *psk, *suite;
};

/* Reads the command line; ends the program with status 2 if it does not parse. */
struct options options_read(int argc, char *argv[]);

/* Ends the program with status 1 and a line that says what failed and errno's text. */
_Noreturn void options_die(const char *what);

#endif
