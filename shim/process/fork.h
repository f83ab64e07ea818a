/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FORK_H
#define SOCKSEAL_FORK_H

/*
 * What fork(2) means for connections: the child holds all of its parent's, and is counted before it exists,
 * so that it cannot be missed. A child that was forked behind the doors' back is repaired by its first
 * look-up (shm/self.h).
 */

/* At load: from now on forked children are told. */
void fork_begin(void);

/* Before fork(2): counts the child. No descriptor comes or goes until one of the two that follow. */
void fork_prepare(void);

/* After it, in the parent; fork_failed() follows if there is no child. */
void fork_in_parent(void);
void fork_failed(void);

/* After it, in the child. Where the kernel does not wipe the page of shm/self.h (an emulator), this is all
 * that tells. */
void fork_in_child(void);

#endif
