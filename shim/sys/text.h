/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYS_TEXT_H
#define SOCKSEAL_SYS_TEXT_H

/* Words and numbers, async-signal-safe and the same with every glibc from 2.28 on: what newer headers make of
 * atoi(3) and its kin is not there before 2.38. */

#include <stdbool.h>

/* What errno's value means, in English, or NULL. */
const char *text_of_error(int error);

/* The same of a signal's number. */
const char *text_of_signal(int signal);

/* Takes a decimal number, with a sign or without, from **at, after blanks; *at is then behind it. False, and
 * nothing is taken, if there is none, or it is more than an int can hold. */
bool text_take_number(const char **at, int *number);

#endif
