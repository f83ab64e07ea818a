/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_VARIABLES_H
#define SOCKSEAL_VARIABLES_H

/* The names of the SOCKSEAL_* variables, and of what looks like one. Pure. */

#include <stdbool.h>
#include <stddef.h>

enum { VARIABLES_PORTS = 0, VARIABLES_COUNT = 16 }; /* where SOCKSEAL_PORTS stands, and all of them */

extern const char *const variables_names[VARIABLES_COUNT];

/* A variable of the environment that is none of ours in spite of its name. */
struct variables_unknown {
    const char *name; /* not terminated: "=value" follows */
    size_t len;
    const char *likely; /* the variable that was meant, probably; NULL: none is like it */
};

/* Takes entries off *envp up to and with the next one of an unknown name; false if there is none. Names that
 * begin with SOCKSEAL_TEST_ or SOCKSEAL_BENCH_ belong to the project's tests and measurements. */
bool variables_next_unknown(char *const **envp, struct variables_unknown *out);

#endif
