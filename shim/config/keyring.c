/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/keyfile.h"
#include "diag/log.h"
#include "sys/file.h"
#include "sys/net.h"

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

/* Of a large file only the first keys have a memo: the whole ring is locked in memory. */
enum { MEMOS_MAX = 64 };

/* What tells one version of the file from another. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

/* At the start of the mapping that holds everything of one version of the file. */
struct ring {
    struct keyring keyring;
    struct version version;
    struct version root; /* of the directory that the file's path begins at */
    bool settled;        /* false: the file was so young that a change might leave its times as they are */
    size_t slot;
    size_t map_len;
    struct tls_psk psks[]; /* behind them lie the memos, and the file's text */
};

static struct {
    _Atomic int holders;
    struct ring *ring; /* valid while holders > 0 */
} slots[SLOTS];

static _Atomic int current = -1; /* index of a slot, or -1 */

static _Atomic uint64_t last_failure; /* digest of what was reported last; 0: the last attempt went well */

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

static void wipe(struct ring *ring)
{
    size_t len = ring->map_len;
    explicit_bzero(ring, len);
    net_munmap(ring, len);
}

static void slot_drop(int slot)
{
    int holders = atomic_load(&slots[slot].holders);
    for (;;) {
        int next = holders == 1 ? SLOT_CLAIMED : holders - 1;
        if (!atomic_compare_exchange_weak(&slots[slot].holders, &holders, next))
            continue;
        if (next == SLOT_CLAIMED) {
            wipe(slots[slot].ring);
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

/* ---- reports ---- */

static uint64_t digest(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

/* Logs why the file cannot be used, unless that was said before of this version of it. Always gives NULL. */
static __attribute__((format(printf, 3, 4))) struct ring *
report_at(enum log_level level, const struct version *version, const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);

    uint64_t hash = digest(0xcbf29ce484222325u, reason, strlen(reason));
    if (version)
        hash = digest(hash, version, sizeof *version);
    if (atomic_exchange(&last_failure, hash | 1) == (hash | 1))
        return NULL;
    const char *file = config_get()->key_file;
    log_line(level, "key file %s: %s%s", file ? file : "", reason,
             atomic_load(&current) >= 0 ? "; the keys read before stay in use" : "");
    return NULL;
}

#define report(...) report_at(LOG_ERROR, __VA_ARGS__)

static const char *error_text(int error)
{
    switch (error) {
    case ENOENT:
        return "there is no such file";
    case EISDIR:
        return "it is a directory";
    case EMFILE:
    case ENFILE:
        return "too many files are open";
    default:
        return "it cannot be read";
    }
}

static bool is_forbidden(int error)
{
    return error == EACCES || error == EPERM;
}

static struct ring *report_errno(int error)
{
    if (is_forbidden(error))
        return report(NULL,
                      "this user may not read it (user %u, errno %d); make SOCKSEAL_KEY_FILE name one that "
                      "belongs to this user, mode 0600",
                      sys_geteuid(), error);
    return report(NULL, "%s (errno %d)", error_text(error), error);
}

/* ---- reading ---- */

static struct version version_of(const struct stat *st)
{
    struct version version;
    memset(&version, 0, sizeof version); /* padding too: it is compared and digested as bytes */
    version.device = st->st_dev;
    version.inode = st->st_ino;
    version.size = st->st_size;
    version.modified = st->st_mtim;
    version.changed = st->st_ctim;
    return version;
}

/* All zeroes if it cannot be looked at. */
static struct version version_at(const char *path)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    sys_stat(path, &st);
    return version_of(&st);
}

static bool same_version(const struct version *a, const struct version *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* File times advance by the clock's tick, 10 ms at most: a file changed longer ago than that will show its
 * next change. */
static bool is_settled(const struct version *version)
{
    struct timespec now;
    sys_clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ms = (int64_t)(now.tv_sec - version->changed.tv_sec) * 1000 +
                     (now.tv_nsec - version->changed.tv_nsec) / 1000000;
    return age_ms > 100;
}

static bool is_owned(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == sys_geteuid();
}

/* A key that others can read is no secret, one that they can write is theirs. Gives false when reported. */
static bool check_file(const struct stat *st, const struct version *version)
{
    if (!S_ISREG(st->st_mode))
        report(version, "it is not a regular file");
    else if (st->st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH))
        report(version,
               "others may read or write it (mode %04o); repair: chmod 600 (a server that starts as root has "
               "read it when it becomes another user; each other user needs a file of his own)",
               st->st_mode & 07777u);
    else if (!is_owned(st))
        report(version, "it belongs to user %u, neither to root nor to user %u who runs this program",
               st->st_uid, sys_geteuid());
    else if (st->st_size > KEYFILE_SIZE_MAX)
        report(version, "it is longer than 1 MiB");
    else
        return true;
    return false;
}

/* Memory for a file of this size: kept out of core dumps and, where limits allow it, out of swap space. */
static struct ring *map_ring(size_t size, size_t max_keys, size_t memo_count)
{
    size_t len = sizeof(struct ring) + max_keys * sizeof(struct tls_psk) +
                 memo_count * sizeof(struct tls_psk_memo) + size + 1;
    struct ring *ring = net_mmap(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (ring == MAP_FAILED)
        return NULL;
    net_madvise(ring, len, MADV_DONTDUMP);
    sys_mlock(ring, len);
    ring->map_len = len;
    ring->keyring.memos = (struct tls_psk_memo *)(void *)&ring->psks[max_keys];
    ring->keyring.memo_count = memo_count;
    return ring;
}

/* Gives the number of bytes, which is above `max` if there are more, or -errno. */
static long read_all(int fd, char *out, size_t max)
{
    size_t have = 0;
    while (have <= max) {
        long got = sys_read(fd, out + have, max + 1 - have);
        if (got == -EINTR)
            continue;
        if (got < 0)
            return got;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (long)have;
}

/* Fills the ring from the text. Gives false when reported. */
static bool fill(struct ring *ring, char *text, size_t len, size_t max_keys)
{
    struct keyfile_error error;
    const char *identity = config_get()->identity;
    size_t count = keyfile_parse(text, len, ring->psks, max_keys, &error);
    if (count == 0 && error.line == 0)
        report(&ring->version, "%s; `sockseal keygen` makes one", error.reason);
    else if (count == 0)
        report(&ring->version, "line %zu: %s", error.line, error.reason);
    else if (identity && !keyfile_prefer(ring->psks, count, identity))
        report(&ring->version, "it holds no key for '%s', which SOCKSEAL_IDENTITY names", identity);
    else {
        ring->keyring.count = count;
        ring->keyring.psks = ring->psks;
        return true;
    }
    return false;
}

/* Gives a filled ring of the open file, or NULL when reported. */
static struct ring *read_ring(int fd)
{
    struct stat st;
    int result = sys_fstat(fd, &st);
    if (result < 0)
        return report_errno(-result);
    struct version version = version_of(&st);
    if (!check_file(&st, &version))
        return NULL;
    size_t size = (size_t)st.st_size;
    size_t max_keys = size / KEYFILE_LINE_MIN + 1;
    if (max_keys > KEYFILE_KEYS_MAX)
        max_keys = KEYFILE_KEYS_MAX;
    struct ring *ring = map_ring(size, max_keys, max_keys < MEMOS_MAX ? max_keys : MEMOS_MAX);
    if (!ring)
        return report_errno(ENOMEM);
    ring->version = version;
    ring->root = version_at("/");
    ring->settled = is_settled(&version);

    char *text = (char *)&ring->keyring.memos[ring->keyring.memo_count];
    long len = read_all(fd, text, size);
    if (len < 0)
        report_errno((int)-len);
    else if ((size_t)len != size)
        report(&version, "it changed while it was read");
    else if (fill(ring, text, size, max_keys))
        return ring;
    wipe(ring);
    return NULL;
}

/* O_NONBLOCK: a named pipe is refused, not waited for. */
static int open_file(const char *file)
{
    return sys_open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
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
    struct version now = version_at(file), root = version_at("/");
    if (!is_forbidden(error) && !(error == ENOENT && !same_place(&root, &before->root)))
        return report_errno(error);
    if (same_version(&now, &before->version))
        return NULL;
    if (now.inode)
        return report_at(
            LOG_WARN, &now,
            "it has changed, and this program, user %u by now, may not read it any more; restart "
            "the program so that it does",
            sys_geteuid());
    return report_at(LOG_INFO, NULL,
                     "it is out of this program's sight (user %u, errno %d), so that changes will take a "
                     "restart",
                     sys_geteuid(), error);
}

/* Reads the open file and makes it the current ring, which the caller then holds. Gives NULL when that
 * failed. `before` is what was current, or NULL. */
static struct ring *take_up(int fd, const char *file, const struct ring *before)
{
    struct ring *ring = read_ring(fd);
    if (!ring)
        return NULL;
    if (!publish(ring)) {
        wipe(ring);
        return report(NULL, "too many versions of it are in use at once");
    }
    atomic_store(&last_failure, 0);
    if (!before || !same_version(&before->version, &ring->version))
        log_line(LOG_INFO, "key file %s: %zu key(s) read", file, ring->keyring.count);
    return ring;
}

/* The same for a file that has yet to be opened. */
static struct ring *reload(const char *file, const struct ring *before)
{
    int fd = open_file(file);
    if (fd < 0)
        return before ? report_out_of_reach(file, before, -fd) : report_errno(-fd);
    struct ring *ring = take_up(fd, file, before);
    sys_close(fd);
    return ring;
}

static bool is_fresh(const struct ring *ring, const char *file)
{
    struct stat st;
    if (!ring->settled || sys_stat(file, &st) < 0)
        return false;
    struct version version = version_of(&st);
    return same_version(&version, &ring->version);
}

static _Atomic bool frozen;

void keyring_prepare(void)
{
    const char *file = config_get()->key_file;
    if (!file || atomic_load(&current) >= 0 || atomic_load(&frozen))
        return;
    int fd = open_file(file);
    struct stat st;
    if (fd < 0)
        return;
    if (sys_fstat(fd, &st) == 0 && is_owned(&st)) {
        struct ring *ring = take_up(fd, file, NULL);
        keyring_release(ring ? &ring->keyring : NULL);
    }
    sys_close(fd);
}

void keyring_freeze(void)
{
    keyring_release(keyring_current());
    atomic_store(&frozen, true);
}

const struct keyring *keyring_acquire(void)
{
    const char *file = config_get()->key_file;
    if (!file) {
        report(NULL, "SOCKSEAL_KEY_FILE names none");
        return NULL;
    }
    struct ring *held = hold_current();
    if (atomic_load(&frozen) || (held && is_fresh(held, file)))
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
