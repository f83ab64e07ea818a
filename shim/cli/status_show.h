/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLI_STATUS_SHOW_H
#define SOCKSEAL_CLI_STATUS_SHOW_H

/* The three forms in which `sockseal status` says what it has read. Each line of the first fits 80 columns as
 * long as addresses and names are short. */

#include <stdio.h>

#include "cli/status_read.h"

/* All that was read; the processes are in the order of their numbers. */
struct status_all {
    struct status_process *processes;
    size_t count;
    size_t not_readable; /* processes of others, that may or may not have sealed connections */
    bool hidden;         /* there may be more of these: /proc does not show them */
};

enum { STATUS_ADDRESS_TEXT = 64 };

/* "10.0.0.1:80", "[::1]:80"; "-" if it is not known. Gives `text`. */
const char *status_address(const struct statuspage_address *address, char text[static STATUS_ADDRESS_TEXT]);

/* For people. `failures`: why connections failed, instead of those that did not. `colour`: with escape
 * sequences. */
void status_show_table(FILE *out, const struct status_all *all, bool failures, bool colour);

/* One JSON object, of the schema in sockseal(1). */
void status_show_json(FILE *out, const struct status_all *all);

/* Prometheus' text exposition format, version 0.0.4. False: no memory. */
bool status_show_prometheus(FILE *out, const struct status_all *all);

#endif
