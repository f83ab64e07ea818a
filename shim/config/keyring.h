/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYRING_H
#define SOCKSEAL_KEYRING_H

/*
 * The key file: `identity:hex` a line, `#` comments. Kept in memory of its own (mmap: MADV_DONTDUMP, mlock if
 * allowed), read anew when its device, inode, size, modification or change time differ. A new version that is
 * broken is reported, once, and the old one stays in use, as it does when the process may not read the file
 * any more. Never through the doors; allocates no heap memory;
 * usable from any thread and from a signal handler, and after fork.
 */

#include <stddef.h>

#include "tls/tls.h"

struct keyring {
    size_t count;               /* at least 1 */
    const struct tls_psk *psks; /* in the file's order, except that SOCKSEAL_IDENTITY, if set, comes first */
    struct tls_psk_memo *memos; /* of the first memo_count of them; filled by the handshakes */
    size_t memo_count;
};

/* Gives the current keys, re-reading a changed file, or NULL when there are no usable ones (the reason has
 * been logged, one line, naming file, line number and reason, never content). Give back with
 * keyring_release(). */
const struct keyring *keyring_acquire(void);

/* Reads the keys if that has not been done and this process may: it is about to give up some right. What is
 * in the file's way is not said yet, since the file may be meant for the user that the process becomes; what
 * is wrong in it is. */
void keyring_prepare(void);

/* Reads the keys if that has not been done; from now on the file is not looked at any more
 * (process/seccomp.h).
 */
void keyring_freeze(void);

/* The same without a look at the file, if it has been read before: for further steps of a connection whose
 * first one was keyring_acquire(). */
const struct keyring *keyring_current(void);

/* Gives up a keyring; the last holder of one that has been replaced wipes it. NULL is allowed. */
void keyring_release(const struct keyring *keyring);

#endif
