/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_DEEP_H
#define SOCKSEAL_DEEP_H

/*
 * Functions that need more stack than a thread of the program may have left (PTHREAD_STACK_MIN is 16 KiB, and
 * libsodium's ML-KEM-768 takes 21) run on a stack of the library's own.
 */

/* Calls run(context), which may use DEEP_SIZE bytes of stack, less a page, and wipes what that leaves on it.
 * Signals are blocked meanwhile, since their handlers expect the program's stack. When all of these stacks
 * are in use, as by threads that are stopped in the midst of it, the caller's is used. */
void deep_call(void (*run)(void *context), void *context);

/* In a forked child: the stacks that threads of the parent were using are wiped, and can be used. */
void deep_after_fork(void);

enum { DEEP_SIZE = 48 * 1024, DEEP_STACKS = 4 };

#endif
