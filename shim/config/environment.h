/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ENVIRONMENT_H
#define SOCKSEAL_ENVIRONMENT_H

/*
 * The environment that a program needs so that the shim is in it and works as it does here: a program may
 * start others with an environment of its own making, and may overwrite the one that it got.
 */

#include <stdbool.h>
#include <stddef.h>

/* What one program of the tree leaves to the next (process/exec_handover.h). */
#define ENVIRONMENT_STATE "SOCKSEAL_STATE"

/* There for a program that was started behind a system call filter of its tree's (process/seccomp.h). */
#define ENVIRONMENT_FILTERED "SOCKSEAL_FILTERED"

/* The variable that tells the next program that the process it runs in has forgotten the keys
 * (SOCKSEAL_KEYS_AFTER_FORK=forget). */
#define ENVIRONMENT_FORGOTTEN "SOCKSEAL_FORGOTTEN"

enum {
    ENVIRONMENT_ADDED = 24, /* at most that many entries more than the program's own, the NULL included */
    ENVIRONMENT_TEXT = 8192,
};

/* Keeps copies of the SOCKSEAL_ variables, and of the library's own path. Names of files that are relative,
 * the library's in LD_PRELOAD among them, are made absolute, here and in the program's environment. From the
 * constructor, after config_load(). */
void environment_save(void);

/* Takes a variable out of the program's own environment; gives its value, which stays where it is, or NULL.
 */
const char *environment_take(const char *name);

/* From now on programs are told that they start behind a filter. */
void environment_mark_filtered(void);
bool environment_is_filtered(void);

/* The library's absolute path; "" if it is not known. */
const char *environment_library(void);

/* Whether these entries say in so many words that nothing is to be sealed: SOCKSEAL_PORTS is there, and
 * empty. */
bool environment_opts_out(char *const envp[]);

/* Whether the dynamic linker is to load libraries that audit the program, in a namespace of their own
 * (rtld-audit(7)). */
bool environment_audits(char *const envp[]);

/* How many entries there are; `envp` may be NULL. */
size_t environment_count(char *const envp[]);

/*
 * Fills `out`, which has room for environment_count(envp) + ENVIRONMENT_ADDED entries, with the program's
 * entries, completed: the library is in LD_PRELOAD, a SOCKSEAL_ variable that is missing has the value that
 * it had here at the start, and `state` is ENVIRONMENT_STATE's value (NULL: it is left out). `text` holds
 * what has to be written anew. False if there is not enough room in it.
 */
bool environment_complete(char *const envp[], const char *state, char *out[],
                          char text[static ENVIRONMENT_TEXT]);

/* The same for a program that libc will run in a child which it makes itself: one that forgets the keys. */
bool environment_complete_spawned(char *const envp[], char *out[], char text[static ENVIRONMENT_TEXT]);

/* From now on each program is told that the keys are forgotten. */
void environment_mark_forgotten(void);

#endif
