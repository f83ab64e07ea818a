/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CANDIDATE_H
#define SOCKSEAL_CANDIDATE_H

/* A program that somebody wants to run sealed. */

struct candidate {
    char path[4096];   /* as execve(2) gets it */
    int status;        /* 0, CLI_CANNOT_INVOKE or CLI_NOT_FOUND */
    char reason[1024]; /* for status != 0: a phrase that names the program and says what is wrong */
};

/* Looks for `name` along PATH as execvp(3) does, and whether the shim can be loaded into it. */
void candidate_find(struct candidate *program, const char *name);

#endif
