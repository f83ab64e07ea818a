/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLI_H
#define SOCKSEAL_CLI_H

/* The sockseal command: an ordinary program, not part of the library. */

/* Exit statuses, those of env(1) and sysexits.h. */
enum {
    CLI_FAILED = 1,          /* keygen, keys, check: it did not work, or the answer is no */
    CLI_CONFIGURATION = 78,  /* a variable, the key file or a log file cannot be used */
    CLI_USAGE = 125,         /* the command line is wrong, or the command's own set-up failed */
    CLI_CANNOT_INVOKE = 126, /* the program is there but cannot be run sealed */
    CLI_NOT_FOUND = 127,
};

/* The verbs: argv[0] is the verb's name. Give the exit status. A new one also has a line in main.c, its text
 * in help.c and sockseal.1, and its place in both completions. */
int run_main(int argc, char **argv);
int shell_main(int argc, char **argv);
int keygen_main(int argc, char **argv);
int keys_main(int argc, char **argv);
int check_main(int argc, char **argv);
int ping_main(int argc, char **argv);
int rotate_main(int argc, char **argv);
int status_main(int argc, char **argv);

#endif
