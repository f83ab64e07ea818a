/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_SCRIPT_H
#define PRELOAD_SCRIPT_H

/*
 * What a program does with the descriptors that it was given, told by its arguments: the role "script". Each
 * step is one argument of up to three words, and the status is 0, or the number of the step that failed.
 *
 *     r FD TEXT     reads just this text            eof FD        the stream is at its end
 *     w FD TEXT     writes it                       error FD N    reading fails with errno N
 *     get FD N SEED / put FD N SEED                 N bytes of net_pattern() from SEED on
 *     closed FD     there is no such descriptor     close FD
 *     keeps FD, cloexec FD                          what F_GETFD says
 *     clear FD, set FD                              takes FD_CLOEXEC away, sets it
 *     wait FD       reads until the other end of a pipe is closed
 *     env NAME=V, noenv NAME                        the environment
 *     fds N         at most N descriptors are open, those of the library included
 *     exec          a new program goes on with the step behind it
 *     killed        SIGKILL; the steps behind it are for nobody
 */

#include <sys/types.h>

/* Its main(). */
int script_main(int argc, char **argv);

/* The role's entry for suite_roles(). */
extern const struct suite_role script_role;

/* Path of this very program, and in `argv` (of SCRIPT_WORDS) what makes it run the steps (NULL-terminated).
 */
enum { SCRIPT_WORDS = 64 };
char *script_program(void);
void script_arguments(const char *const *steps, char *argv[SCRIPT_WORDS]);

/* The same as a command for the shell, in `command`. */
void script_command(const char *const *steps, char *command, size_t room);

/* Asserts that the child, whose script begins with "r FD ask" on a copy of pair[0], writes this text, goes
 * all its steps, and is the last holder. Closes both ends. */
void script_expect(const int pair[2], pid_t child, const char *answer);

/* Lets printf-like text stand as a step; lives as long as the process. */
const char *script_step(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
