/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HELP_H
#define SOCKSEAL_HELP_H

#include <stdio.h>

/* Prints the help of a verb, or of the whole command (NULL). Gives the exit status 0. */
int help_print(const char *verb);

/* Prints the usage and examples, for whoever gives no arguments. */
void help_usage(FILE *out);

#endif
