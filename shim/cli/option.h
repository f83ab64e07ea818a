/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLI_OPTION_H
#define SOCKSEAL_CLI_OPTION_H

/* Reading the options of a verb. */

#include <getopt.h>

/* What option_next() gives after a word that is no option of the verb, or lacks its argument: there was a
 * message, which names the verb and its help. */
enum { OPTION_BAD = '?' };

/* getopt_long(3), with a message of the command's own: argv[0] is the verb. `letters` begins with ':', behind
 * a
 * '+' if there is one. */
int option_next(int argc, char **argv, const char *letters, const struct option *options);

#endif
