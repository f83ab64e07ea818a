/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The tests with several threads once more, in a program that is linked with the library's objects, so that
 * ThreadSanitizer sees both. */

#include "threads_test.c" /* NOLINT(bugprone-suspicious-include): the same tests, another program */
