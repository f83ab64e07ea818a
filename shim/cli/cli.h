/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLI_H
#define SOCKSEAL_CLI_H

/* The sockseal command: an ordinary program, not part of the library. */

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses, those of env(1). */
enum {
    CLI_FAILED = 1,          /* keygen, check: it did not work, or the answer is no */
    CLI_USAGE = 125,         /* the command line is wrong, or the command's own set-up failed */
    CLI_CANNOT_INVOKE = 126, /* the program is there but cannot be run sealed */
    CLI_NOT_FOUND = 127,
};

/* The subcommands: argv[0] is the subcommand's name. Give the exit status. */
int run_main(int argc, char **argv);
int keygen_main(int argc, char **argv);
int check_main(int argc, char **argv);

/* Prints "sockseal: …" and a newline to standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A program that somebody wants to run. */
struct candidate {
    char path[4096];  /* as execve(2) gets it */
    int status;       /* 0, CLI_CANNOT_INVOKE or CLI_NOT_FOUND */
    char reason[512]; /* for status != 0: what is wrong and what to do, a phrase */
};

/* Looks for `name` along PATH as execvp(3) does, and whether the shim can be loaded into it. */
void program_find(struct candidate *program, const char *name);

#endif
