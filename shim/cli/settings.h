/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SETTINGS_H
#define SOCKSEAL_SETTINGS_H

/* What run, shell and check have in common: options and a configuration file become SOCKSEAL_ variables of
 * this process, and are checked before anything is started. */

#include <stdbool.h>

/*
 * Reads the options at the start of argv, or, with `behind`, anywhere in it, and sets the variable of each.
 * Gives the index of the first word that is none, or -1 after a message. *help is set when --help was among
 * them. argv[0] is the verb.
 */
int settings_read_options(int argc, char **argv, bool behind, bool *help);

/* Whether --allow-unsealed-program was among the options. */
bool settings_allow_unsealed(void);

/* Sets the variables that are not there from the configuration files, with the sections that are for this
 * program (NULL: none). False after a message. */
bool settings_read_file(const char *program);

/* Whether SOCKSEAL_PORTS names something. */
bool settings_name_ports(void);

/* The same; if it does not, with a message, which tells of misspelt variables too. */
bool settings_require_ports(void);

/* Checks all variables and the files that they name, each fault with a message; makes the names of files
 * absolute. Gives the number of faults. At most once. */
unsigned settings_check(void);

/* For verbs about a key file alone: makes it the configured one (NULL: that which is configured already), and
 * has messages of the library's code printed as this program's. Gives the number of faults. At most once. */
unsigned settings_for_file(const char *file);

#endif
