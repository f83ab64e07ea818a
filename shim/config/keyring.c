/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/keyring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "config/config.h"
#include "config/keyring_file.h"
#include "config/rules.h"
#include "crypto/sha256.h"
#include "diag/log.h"
#include "sys/file.h"

/*
 * No lock: a thread that finds the file changed reads it into a ring of its own, publishes it and gives up
 * the one before. Two threads may do so at once; the worst is a ring that is older than the file, which the
 * next call notices. So a signal handler never meets a lock that its own thread holds, nor a child one that
 * nobody will give back.
 *
 * A ring's slot counts its holders; being the current one is one hold. Only a slot with a holder can be taken
 * hold of (CAS from a positive count), so a reader never touches one that is being filled or wiped.
 */
enum { SLOTS = 64, SLOT_FREE = 0, SLOT_CLAIMED = -1 };

static struct {
    _Atomic int holders;
    struct ring *ring; /* valid while holders > 0 */
} slots[SLOTS];

static _Atomic int current = -1; /* index of a slot, or -1 */

/* ---- slots ---- */

static int slot_claim(void)
{
    for (int i = 0; i < SLOTS; i++) {
        int expected = SLOT_FREE;
        if (atomic_compare_exchange_strong(&slots[i].holders, &expected, SLOT_CLAIMED))
            return i;
    }
    return -1;
}

static bool slot_hold(int slot)
{
    int holders = atomic_load(&slots[slot].holders);
    while (holders > 0)
        if (atomic_compare_exchange_weak(&slots[slot].holders, &holders, holders + 1))
            return true;
    return false;
}

static void slot_drop(int slot)
{
    int holders = atomic_load(&slots[slot].holders);
    for (;;) {
        int next = holders == 1 ? SLOT_CLAIMED : holders - 1;
        if (!atomic_compare_exchange_weak(&slots[slot].holders, &holders, next))
            continue;
        if (next == SLOT_CLAIMED) {
            keyring_file_wipe(slots[slot].ring);
            atomic_store(&slots[slot].holders, SLOT_FREE);
        }
        return;
    }
}

/* Takes hold of the current ring; NULL if there is none. */
static struct ring *hold_current(void)
{
    for (;;) {
        int slot = atomic_load(&current);
        if (slot < 0)
            return NULL;
        if (slot_hold(slot))
            return slots[slot].ring;
    }
}

/* Makes a ring the current one; the caller holds it too. Gives false when every slot is in use. */
static bool publish(struct ring *ring)
{
    int slot = slot_claim();
    if (slot < 0)
        return false;
    ring->slot = (size_t)slot;
    slots[slot].ring = ring;
    atomic_store(&slots[slot].holders, 2);
    int before = atomic_exchange(&current, slot);
    if (before >= 0)
        slot_drop(before);
    return true;
}

/* ---- taking up the file ---- */

static bool is_forbidden(int error)
{
    return error == EACCES || error == EPERM;
}

static bool same_place(const struct version *a, const struct version *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* The file cannot be opened, though keys were read from it: a program that has given up root's rights, or has
 * gone into another root directory, must not lose its connections over that. What it can still see of the
 * file tells whether there is something to warn of. Always gives NULL. */
static struct ring *report_out_of_reach(const char *file, const struct ring *before, int error)
{
    struct version now = keyring_file_version(file), root = keyring_file_version("/");
    if (!is_forbidden(error) && !(error == ENOENT && !same_place(&root, &before->root)))
        return keyring_file_report_errno(error);
    if (keyring_file_same(&now, &before->version))
        return NULL;
    if (now.inode)
        return keyring_file_report(
            LOG_WARN, &now,
            "it has changed, and this program, user %u by now, may not read it any more; restart "
            "the program so that it does",
            sys_geteuid());
    return keyring_file_report(
        LOG_INFO, NULL,
        "it is out of this program's sight (user %u: %s), so that changes will take a restart", sys_geteuid(),
        log_error_text(error));
}

/* Reads the open file and makes it the current ring, which the caller then holds. Gives NULL when that
 * failed. `before` is what was current, or NULL. */
static struct ring *take_up(int fd, const char *file, const struct ring *before)
{
    struct ring *ring = keyring_file_read(fd, KEYRING_USE);
    if (!ring)
        return NULL;
    if (!publish(ring)) {
        keyring_file_wipe(ring);
        return keyring_file_report(LOG_ERROR, NULL, "too many versions of it are in use at once");
    }
    keyring_file_in_use();
    keyring_file_forget_reports();
    if (before && keyring_file_same(&before->version, &ring->version))
        return ring;
    log_line(LOG_INFO, "key file %s: %zu key(s) read", file, ring->keyring.count);
    if (ring->keyring.missing)
        log_line(LOG_WARN,
                 "key file %s: it holds no key for '%s', which SOCKSEAL_IDENTITY names beside others", file,
                 ring->keyring.missing);
    return ring;
}

/* The same for a file that has yet to be opened. */
static struct ring *reload(const char *file, const struct ring *before)
{
    int fd = keyring_file_open(file);
    if (fd < 0)
        return before ? report_out_of_reach(file, before, -fd) : keyring_file_report_errno(-fd);
    struct ring *ring = take_up(fd, file, before);
    sys_close(fd);
    return ring;
}

static _Atomic bool frozen;

void keyring_prepare(void)
{
    const char *file = config_get()->key_file;
    if (!file || atomic_load(&current) >= 0 || atomic_load(&frozen))
        return;
    int fd = keyring_file_open(file);
    struct stat st;
    if (fd < 0)
        return;
    if (sys_fstat(fd, &st) == 0 && keyring_file_owned(&st)) {
        struct ring *ring = take_up(fd, file, NULL);
        keyring_release(ring ? &ring->keyring : NULL);
    }
    sys_close(fd);
}

static void report_unnamed(void)
{
    keyring_file_report(LOG_ERROR, NULL,
                        "SOCKSEAL_KEY_FILE names no key file; `sockseal keygen -o FILE` makes one");
}

bool keyring_check(bool whole)
{
    const char *file = config_get()->key_file;
    if (!file) {
        report_unnamed();
        keyring_file_forget_reports();
        return false;
    }
    struct stat st;
    struct ring *ring = NULL;
    int fd = keyring_file_open(file), result = fd < 0 ? fd : sys_fstat(fd, &st);
    bool good = result >= 0 && keyring_file_check(fd, &st, KEYRING_TRY);
    if (result < 0)
        keyring_file_report_errno(-result);
    if (good && whole)
        ring = keyring_file_read(fd, KEYRING_TRY);
    good = good && (!whole || (ring && !ring->keyring.missing));
    if (ring && ring->keyring.missing)
        keyring_file_report(LOG_ERROR, NULL, "it holds no key for '%s', which SOCKSEAL_IDENTITY names",
                            ring->keyring.missing);
    if (ring)
        keyring_file_wipe(ring);
    if (fd >= 0)
        sys_close(fd);
    keyring_file_forget_reports();
    return good;
}

bool keyring_allows(const struct keyring *keyring, size_t index, enum rules_direction direction,
                    const struct rule_peer *peer, uint16_t port)
{
    const struct rule_span rules = keyring->rules[index];
    if (direction == RULES_CONNECT && index >= keyring->offered)
        return false;
    return rules.len == 0 || (peer->family != 0 && rules_of_key_match(rules, direction, peer, port));
}

void keyring_freeze(void)
{
    keyring_release(keyring_current());
    atomic_store(&frozen, true);
}

bool keyring_is_frozen(void)
{
    return atomic_load(&frozen);
}

static _Atomic bool forgotten;

void keyring_forget(void)
{
    atomic_store(&forgotten, true);
    atomic_store(&frozen, true);
}

bool keyring_is_forgotten(void)
{
    return atomic_load(&forgotten);
}

/* The count of holders is the parent's: its threads that hold a version are not here to give it back. */
void keyring_wipe(void)
{
    atomic_store(&current, -1);
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&slots[i].holders) > 0)
            keyring_file_erase(slots[i].ring);
}

static const struct keyring *report_forgotten(void)
{
    static _Atomic bool told;
    if (!atomic_exchange(&told, true))
        log_line(LOG_ERROR,
                 "no new connection can be sealed: this process was forked, and has forgotten the keys "
                 "(SOCKSEAL_KEYS_AFTER_FORK=forget)");
    return NULL;
}

uint64_t keyring_tag(const struct keyring *keyring, const uint8_t *identity, size_t len)
{
    static const uint8_t label[] = "sockseal removed keys 1";
    uint8_t hash[SHA256_LEN];
    uint64_t tag;
    for (size_t i = 0; i < keyring->count; i++) {
        const struct tls_psk *psk = &keyring->psks[i];
        if (psk->identity_len != len || memcmp(psk->identity, identity, len) != 0)
            continue;
        sha256_hmac(psk->key, psk->key_len, label, sizeof label - 1, hash);
        memcpy(&tag, hash, sizeof tag);
        return tag | 1;
    }
    return 0;
}

const struct keyring *keyring_acquire(void)
{
    const char *file = config_get()->key_file;
    if (!file) {
        report_unnamed();
        return NULL;
    }
    if (atomic_load(&forgotten))
        return report_forgotten();
    struct ring *held = hold_current();
    if (atomic_load(&frozen) || (held && keyring_file_fresh(held, file)))
        return held ? &held->keyring : NULL;
    struct ring *fresh = reload(file, held);
    if (!fresh)
        return held ? &held->keyring : NULL;
    if (held)
        slot_drop((int)held->slot);
    return &fresh->keyring;
}

const struct keyring *keyring_current(void)
{
    struct ring *held = hold_current();
    return held ? &held->keyring : keyring_acquire();
}

void keyring_release(const struct keyring *keyring)
{
    if (keyring)
        slot_drop((int)((const struct ring *)(const void *)keyring)->slot);
}
