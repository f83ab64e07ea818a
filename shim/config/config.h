/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONFIG_H
#define SOCKSEAL_CONFIG_H

/* The SOCKSEAL_* variables, read once. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/rules.h"
#include "tls/tls.h"

enum {
    CONFIG_EXIT_STATUS = 78, /* EX_CONFIG of sysexits.h */
    CONFIG_SUITES_MAX = 4,
};

struct config {
    bool active; /* SOCKSEAL_PORTS is set and not empty; all else but `renewal` is unset when this is false */
    bool accept_plaintext;         /* SOCKSEAL_PLAINTEXT=accept */
    bool strict;                   /* SOCKSEAL_STRICT=1 */
    unsigned handshake_timeout_ms; /* of a side that accepted, or that the peer has begun to answer */
    unsigned connect_timeout_ms;   /* of a side that connects, until the peer answers; 0: none */
    unsigned close_timeout_ms;     /* how long a closed connection is kept for what it still has to send */
    uint16_t suites[CONFIG_SUITES_MAX]; /* enum tls_suite, in order of preference */
    size_t suite_count;                 /* 0 if unset: what suits the processor */
    uint16_t groups[TLS_GROUPS_MAX];    /* enum tls_group, in order of preference */
    size_t group_count;                 /* 0 if unset: all that are there */
    const char *key_file;    /* NULL if unset; own copies, since the program may change its environment */
    const char *log_file;    /* NULL if unset */
    const char *keylog_file; /* NULL if unset */
    const char *identities[TLS_OFFERED_PSKS_MAX]; /* SOCKSEAL_IDENTITY: what a connecting side offers */
    size_t identity_count;                        /* 0: whatever the key file holds */
    bool close_removed_keys;                      /* SOCKSEAL_REMOVED_KEYS=close */
    bool forget_keys;                             /* SOCKSEAL_KEYS_AFTER_FORK=forget */
    /* When a connection's keys are renewed: who reads the memory of a process then learns no more than that
     * of a connection's past. Set even when `active` is false. */
    struct tls_renewal renewal;
    struct rules rules;
};

/*
 * Reads the environment, sets up the log and the key log. A variable that does not parse, or whose name is
 * one of ours misspelt, ends the process with status CONFIG_EXIT_STATUS after one line for each that names
 * the variable, the word and what was expected. With SOCKSEAL_PORTS unset or empty nothing else is looked at
 * (but when it is unset, a name that is like it). A file-name variable is made absolute against the directory
 * of the moment, since the program may change it. Called once, from the constructor or the first door that is
 * used before it, whichever is first; further calls do nothing. Allocates no heap memory.
 */
void config_load(void);

/* The same for a program of the project's own: does not end it, writes no log file, and counts every unknown
 * SOCKSEAL_ variable as a fault. Gives the number of faults, each of which is logged. Called at most once, in
 * place of config_load(). */
unsigned config_examine(void);

/* The configuration; config_load() must have returned. Never NULL. */
const struct config *config_get(void);

#endif
