/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "diag/limit.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "diag/log.h"
#include "sys/file.h"
#include "sys/net.h"

enum { TEXT_MAX = 120 };

/* One reason's counts. Shared with processes that may have fewer rights: nothing here is more than a number
 * that appears in a line. */
struct count {
    _Atomic uint64_t reason;   /* its digest; 0: free */
    _Atomic int64_t began_ms;  /* when the present time began */
    _Atomic uint32_t lines;    /* of this time */
    _Atomic uint32_t withheld; /* not written, and not told of yet */
};

static struct count own[LIMIT_REASONS]; /* until limit_begin(), and if there is no memory */
static struct count *counts = own;

/* The reasons' words, of this process alone. Written once, by whoever takes the place. */
static struct {
    char text[TEXT_MAX];
    _Atomic int state; /* 0, 1: being written, 2: there */
} words[LIMIT_REASONS];

static int maker; /* the process that made the counts */

void limit_begin(void)
{
    void *shared = net_mmap(sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    maker = sys_getpid();
    if (shared != MAP_FAILED)
        counts = shared;
}

static uint64_t digest(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    return hash | 1;
}

/* The reason's place; the last one is for all that find no other. */
static size_t place_of(uint64_t reason)
{
    for (size_t i = 0; i < LIMIT_REASONS - 1; i++) {
        uint64_t found = 0;
        if (atomic_load(&counts[i].reason) == reason ||
            atomic_compare_exchange_strong(&counts[i].reason, &found, reason) || found == reason)
            return i;
    }
    return LIMIT_REASONS - 1;
}

static void keep_words(size_t place, const char *reason)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&words[place].state, &none, 1))
        return;
    strncpy(words[place].text, place == LIMIT_REASONS - 1 ? "other reasons" : reason, TEXT_MAX - 1);
    atomic_store(&words[place].state, 2);
}

static void tell(size_t place)
{
    uint32_t withheld = atomic_exchange(&counts[place].withheld, 0);
    if (withheld > 0)
        log_line(LOG_WARN, "%u more line(s) like this were not written: %s", withheld,
                 atomic_load(&words[place].state) == 2 ? words[place].text
                                                       : "another process knows the reason");
}

/* Tells of what was withheld in times that are over. */
static void tell_old(int64_t now)
{
    for (size_t i = 0; i < LIMIT_REASONS; i++)
        if (atomic_load(&counts[i].withheld) > 0 &&
            now - atomic_load(&counts[i].began_ms) >= LIMIT_TIME_S * 1000)
            tell(i);
}

bool limit_allows(const char *reason)
{
    size_t place = place_of(digest(reason));
    struct count *count = &counts[place];
    int64_t now = net_now_ms(), began = atomic_load(&count->began_ms);
    keep_words(place, reason);
    tell_old(now);
    if ((began == 0 || now - began >= LIMIT_TIME_S * 1000) &&
        atomic_compare_exchange_strong(&count->began_ms, &began, now))
        atomic_store(&count->lines, 0);
    if (atomic_fetch_add(&count->lines, 1) < LIMIT_LINES)
        return true;
    atomic_fetch_add(&count->withheld, 1);
    return false;
}

void limit_end(void)
{
    if (maker != sys_getpid())
        return;
    for (size_t i = 0; i < LIMIT_REASONS; i++)
        tell(i);
}

void limit_line(enum log_level level, const char *text)
{
    if (log_enabled(level) && limit_allows(text))
        log_line(level, "%s", text);
}
