/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CONFIGURATION_H
#define SOCKSEAL_CONFIGURATION_H

/*
 * Configuration files: `name = value` lines with the names of the SOCKSEAL_ variables in lower case and
 * without the prefix, and sections "[program NAME]", whose lines are for the programs of that name and count
 * before the others. A line that starts with # is a comment. What they say becomes a variable of this process
 * if there is none of that name. The name of a file that is relative is so to the configuration file's
 * directory.
 */

#include <stdbool.h>

/* Reads one file, for this program (NULL: no section counts). False after a message. */
bool configuration_read(const char *file, const char *program);

/* Reads $XDG_CONFIG_HOME/sockseal/config and /etc/sockseal/config, if they are there. What the first says
 * counts. */
bool configuration_read_usual(const char *program);

#endif
