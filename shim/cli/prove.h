/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PROVE_H
#define SOCKSEAL_PROVE_H

#include "cli/candidate.h"

/*
 * Proves that the library gets into the program: has the program's own dynamic linker load it, with the
 * environment, rights and mounts that this process has, and does not let the program start. LD_PRELOAD must
 * be set as it will be (cli/preload.h), with the library as `library`. Sets status and reason if it does not.
 */
void prove_loading(struct candidate *program, const char *library);

#endif
