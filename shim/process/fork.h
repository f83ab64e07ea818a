/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FORK_H
#define SOCKSEAL_FORK_H

/*
 * fork(2) and connections. The child holds all connections of its parent and may use every one of them, in
 * turn with the parent or beside it: both take the same locks. What is the parent's alone it drops: orphans,
 * the private epoll, the private pipe, descriptors that a thread was closing. It is counted among the holders
 * before it exists, so that it cannot be missed. A child of a fork that passed no door is counted by its
 * first look-up (shm/self.h). It has its parent's keys, too, unless SOCKSEAL_KEYS_AFTER_FORK=forget.
 */

/* At load: from now on forked children are detected. */
void fork_begin(void);

/* Before fork(2): counts the child. The table of descriptors does not change until one of the next functions
 * is called. */
void fork_prepare(void);

/* After it, in the parent; fork_failed() follows if there is no child. */
void fork_in_parent(void);
void fork_failed(void);

/* After it, in the child. Where the kernel does not wipe the page of shm/self.h (an emulator), nothing else
 * detects the fork. */
void fork_in_child(void);

/* SOCKSEAL_KEYS_AFTER_FORK=forget, in a forked child or a program that one executes: it makes no new sealed
 * connections, and neither does what it executes. Those that it holds go on. */
void fork_forget_keys(void);

#endif
