/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYRING_H
#define SOCKSEAL_KEYRING_H

/*
 * The keys of SOCKSEAL_KEY_FILE (config/keyfile.h). Kept in memory of their own (mmap: MADV_DONTDUMP, mlock
 * if allowed), read anew when the file's device, inode, size, modification or change time differ. A new
 * version that is broken is reported, once, and the old one stays in use, as it does when the process may not
 * read the file any more. Never through the doors; allocates no heap memory; usable from any thread, from a
 * signal handler and after fork.
 */

#include <stdbool.h>
#include <stddef.h>

#include "config/rule.h"
#include "tls/tls.h"

struct keyring {
    size_t count;               /* at least 1 */
    const struct tls_psk *psks; /* those that SOCKSEAL_IDENTITY names in its order, then the file's order */
    size_t offered;             /* a connecting side offers none but the first so many */
    const char *missing;        /* the first identity of SOCKSEAL_IDENTITY that the file lacks, or NULL */
    uint16_t *order;            /* of psks, as tls_psk_sort() gives it */
    struct rule_span *rules;    /* of each key: which connections it counts for */
    struct tls_psk_memo *memos; /* of the first memo_count of them; filled by the handshakes */
    size_t memo_count;
};

/* Whether psks[index] counts for a connection: a connecting side offers it, an accepting one takes it. `port`
 * is the local one when listening, the remote one when connecting. With peer->family 0, an unknown peer, a
 * key that has rules does not count. */
bool keyring_allows(const struct keyring *keyring, size_t index, enum rules_direction direction,
                    const struct rule_peer *peer, uint16_t port);

/*
 * Logs, as keyring_acquire() would, what keeps the file from being used; false if something does. A file of
 * another user's is no fault for root, which may become that user. With `whole` what it holds is looked at
 * too, and every identity of SOCKSEAL_IDENTITY must be there. The keys are wiped again.
 */
bool keyring_check(bool whole);

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

/* Whether keyring_freeze() was called. */
bool keyring_is_frozen(void);

/* A number that tells a key under an identity from another one, and nothing of the key: of HMAC-SHA-256 under
 * it. 0 if there is no key of this identity. */
uint64_t keyring_tag(const struct keyring *keyring, const uint8_t *identity, size_t len);

/* SOCKSEAL_KEYS_AFTER_FORK=forget: keyring_acquire() gives none any more, so that no new connection is made,
 * and the file is not read again. keyring_current() gives what was read until keyring_wipe(). */
void keyring_forget(void);

/* Whether keyring_forget() was called. */
bool keyring_is_forgotten(void);

/* Wipes the keys of every version of the file in this process, a forked child, which has copies of its own. A
 * call that is using a version finds zeros in it. */
void keyring_wipe(void);

/* Gives up a keyring; the last holder of one that has been replaced wipes it. NULL is allowed. */
void keyring_release(const struct keyring *keyring);

#endif
