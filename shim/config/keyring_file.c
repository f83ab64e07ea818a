/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/keyring_file.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "config/config.h"
#include "config/keyfile.h"
#include "sys/file.h"
#include "sys/net.h"

/* Of a large file only the first keys have a memo: the whole ring is locked in memory. */
enum { MEMOS_MAX = 64 };

/* Digest of what was reported last; 0: the last attempt went well. */
static _Atomic uint64_t last_report;

static atomic_bool in_use;

/* ---- reports ---- */

void keyring_file_forget_reports(void)
{
    atomic_store(&last_report, 0);
}

void keyring_file_in_use(void)
{
    atomic_store(&in_use, true);
}

static uint64_t digest(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

struct ring *keyring_file_report(enum log_level level, const struct version *version, const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);

    uint64_t hash = digest(0xcbf29ce484222325u, reason, strlen(reason));
    if (version)
        hash = digest(hash, version, sizeof *version);
    if (atomic_exchange(&last_report, hash | 1) == (hash | 1))
        return NULL;
    const char *file = config_get()->key_file;
    log_line(level, "%s%s%s%s%s", file ? "key file " : "", file ? file : "", file ? ": " : "", reason,
             atomic_load(&in_use) ? "; the keys read before stay in use" : "");
    return NULL;
}

#define report(...) keyring_file_report(LOG_ERROR, __VA_ARGS__)

static const char *error_text(int error)
{
    switch (error) {
    case ENOENT:
        return "there is no such file";
    case EISDIR:
        return "it is a directory";
    default:
        return log_error_text(error);
    }
}

struct ring *keyring_file_report_errno(int error)
{
    if (error == EACCES || error == EPERM)
        return report(NULL,
                      "user %u may not read it; let SOCKSEAL_KEY_FILE name one that belongs to this user, "
                      "mode 0600",
                      sys_geteuid());
    return report(NULL, "%s", error_text(error));
}

/* ---- versions ---- */

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
struct version keyring_file_version(const char *path)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    sys_stat(path, &st);
    return version_of(&st);
}

bool keyring_file_same(const struct version *a, const struct version *b)
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

bool keyring_file_fresh(const struct ring *ring, const char *file)
{
    struct stat st;
    if (!ring->settled || sys_stat(file, &st) < 0)
        return false;
    struct version version = version_of(&st);
    return keyring_file_same(&version, &ring->version);
}

/* ---- reading ---- */

/* O_NONBLOCK: a named pipe is refused, not waited for. */
int keyring_file_open(const char *file)
{
    return sys_open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
}

bool keyring_file_owned(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == sys_geteuid();
}

/*
 * Secrets as systemd, Kubernetes and Docker hand them out: a file of root's on a file system in memory that
 * is mounted read-only. Its mode may let everybody read it; what keeps others out is the mount, which only
 * this service or container sees.
 */
static bool is_secret_mount(int fd, const struct stat *st)
{
    struct statfs fs;
    return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH)) && sys_fstatfs(fd, &fs) == 0 &&
           (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) && (fs.f_flags & ST_RDONLY);
}

bool keyring_file_check(int fd, const struct stat *st, enum keyring_scope scope)
{
    struct version version = version_of(st);
    if (!S_ISREG(st->st_mode))
        report(&version, "it is not a regular file");
    else if (st->st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH) && !is_secret_mount(fd, st))
        report(&version,
               "others may read or write it (mode %04o); repair: chmod 600 (a server that starts as root has "
               "read it when it becomes another user; each other user needs a file of its own)",
               st->st_mode & 07777u);
    else if (!keyring_file_owned(st) && !(scope == KEYRING_TRY && sys_geteuid() == 0))
        report(&version, "it belongs to user %u, neither to root nor to user %u who runs this program",
               st->st_uid, sys_geteuid());
    else if (st->st_size > KEYFILE_SIZE_MAX)
        report(&version, "it is longer than 1 MiB");
    else
        return true;
    return false;
}

void keyring_file_wipe(struct ring *ring)
{
    size_t len = ring->map_len;
    explicit_bzero(ring, len);
    net_munmap(ring, len);
}

void keyring_file_erase(struct ring *ring)
{
    uint8_t *secret = (uint8_t *)ring->psks;
    ring->keyring.count = 0;
    explicit_bzero(secret, ring->map_len - (size_t)(secret - (uint8_t *)ring));
}

/* Memory for a file of this size: kept out of core dumps and, where limits allow it, out of swap space. */
static struct ring *map_ring(size_t size, size_t max_keys, size_t memo_count)
{
    const size_t of_key = sizeof(struct tls_psk) + sizeof(struct rule_span) + sizeof(uint16_t);
    size_t len =
        sizeof(struct ring) + max_keys * of_key + memo_count * sizeof(struct tls_psk_memo) + size + 1;
    struct ring *ring = net_mmap(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (ring == MAP_FAILED)
        return NULL;
    net_madvise(ring, len, MADV_DONTDUMP);
    sys_mlock(ring, len);
    ring->map_len = len;
    ring->keyring.rules = (struct rule_span *)(void *)&ring->psks[max_keys];
    ring->keyring.memos = (struct tls_psk_memo *)(void *)&ring->keyring.rules[max_keys];
    ring->keyring.memo_count = memo_count;
    ring->keyring.order = (uint16_t *)(void *)&ring->keyring.memos[memo_count];
    ring->text = (char *)&ring->keyring.order[max_keys];
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

/* The keys that SOCKSEAL_IDENTITY names come first, in its order, and only these are offered. False when
 * reported. */
static bool choose_offered(struct ring *ring, size_t count)
{
    const struct config *config = config_get();
    const char *missing = NULL;
    size_t found = 0;
    for (size_t i = 0; i < config->identity_count; i++) {
        if (keyfile_move(ring->psks, ring->keyring.rules, count, config->identities[i], found))
            found++;
        else if (!missing)
            missing = config->identities[i];
    }
    ring->keyring.offered = config->identity_count ? found : count;
    if (config->identity_count && found == 0) {
        report(&ring->version, "it holds no key for '%s', which SOCKSEAL_IDENTITY names", missing);
        return false;
    }
    ring->keyring.missing = missing;
    return true;
}

/* Fills the ring from the text. False when reported. */
static bool fill(struct ring *ring, size_t len, size_t max_keys)
{
    struct keyfile_error error;
    size_t count = keyfile_parse(ring->text, len, ring->psks, ring->keyring.rules, max_keys, &error);
    if (count == 0 && error.line == 0) {
        report(&ring->version, "%s; `sockseal keygen` makes one", error.reason);
        return false;
    }
    if (count == 0) {
        report(&ring->version, "line %zu: %s%s%s", error.line, error.reason,
               error.expected ? ": expected " : "", error.expected ? error.expected : "");
        return false;
    }
    ring->keyring.count = count;
    ring->keyring.psks = ring->psks;
    if (!choose_offered(ring, count))
        return false;
    tls_psk_sort(ring->psks, count, ring->keyring.order);
    return true;
}

struct ring *keyring_file_read(int fd, enum keyring_scope scope)
{
    struct stat st;
    int result = sys_fstat(fd, &st);
    if (result < 0)
        return keyring_file_report_errno(-result);
    if (!keyring_file_check(fd, &st, scope))
        return NULL;
    size_t size = (size_t)st.st_size;
    size_t max_keys = size / KEYFILE_LINE_MIN + 1;
    if (max_keys > KEYFILE_KEYS_MAX)
        max_keys = KEYFILE_KEYS_MAX;
    struct ring *ring = map_ring(size, max_keys, max_keys < MEMOS_MAX ? max_keys : MEMOS_MAX);
    if (!ring)
        return keyring_file_report_errno(ENOMEM);
    ring->version = version_of(&st);
    ring->root = keyring_file_version("/");
    ring->settled = is_settled(&ring->version);

    long len = read_all(fd, ring->text, size);
    if (len < 0)
        keyring_file_report_errno((int)-len);
    else if ((size_t)len != size)
        report(&ring->version, "it changed while it was read");
    else if (fill(ring, size, max_keys))
        return ring;
    keyring_file_wipe(ring);
    return NULL;
}
