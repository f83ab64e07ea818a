/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/variables.h"

#include <string.h>

/* A new variable is added here, and the rest of the project knows it. */
const char *const variables_names[VARIABLES_COUNT] = {
    "SOCKSEAL_PORTS",
    "SOCKSEAL_KEY_FILE",
    "SOCKSEAL_IDENTITY",
    "SOCKSEAL_PLAINTEXT",
    "SOCKSEAL_SUITES",
    "SOCKSEAL_STRICT",
    "SOCKSEAL_HANDSHAKE_TIMEOUT",
    "SOCKSEAL_LOG",
    "SOCKSEAL_LOG_FILE",
    "SOCKSEAL_KEYLOG_FILE",
    "SOCKSEAL_REMOVED_KEYS",
    "SOCKSEAL_GROUPS",
    "SOCKSEAL_CONNECT_TIMEOUT",
    "SOCKSEAL_CLOSE_TIMEOUT",
    "SOCKSEAL_LOG_FORMAT",
    "SOCKSEAL_KEYS_AFTER_FORK",
};

/* Names that are not for the user: what programs of a tree leave to each other, and the tests' own. */
static const char *const internal_names[] = {"SOCKSEAL_STATE", "SOCKSEAL_FILTERED", "SOCKSEAL_FORGOTTEN",
                                             "SOCKSEAL_BUILD"};

static const char prefix[] = "SOCKSEAL_", test_prefix[] = "SOCKSEAL_TEST_",
                  bench_prefix[] = "SOCKSEAL_BENCH_";

enum {
    NAME_MAX_LEN = 40,  /* longer names are like none of ours */
    DISTANCE_LIKELY = 2 /* two slips of the finger */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance: how many characters must be put in, taken out or replaced. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

/* Whether the one is a word, or more, of the other, as KEYS_FILE's KEY or HANDSHAKE_TIMEOUT's TIMEOUT. */
static bool abbreviates(const char *name, size_t len, const char *known)
{
    return len >= 3 && memmem(known, strlen(known), name, len);
}

static const char *likely_name(const char *name, size_t len)
{
    const size_t skip = sizeof prefix - 1;
    const char *found = NULL;
    size_t best = DISTANCE_LIKELY + 1;
    if (len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < VARIABLES_COUNT; i++) {
        const char *known = variables_names[i];
        size_t apart = distance(name, len, known, strlen(known));
        if (apart >= best &&
            !(best > DISTANCE_LIKELY && !found && abbreviates(name + skip, len - skip, known + skip)))
            continue;
        best = least(best, apart);
        found = known;
    }
    return found;
}

static bool is_one_of(const char *name, size_t len, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

bool variables_next_unknown(char *const **envp, struct variables_unknown *out)
{
    for (; *envp && **envp; ++*envp) {
        const char *name = **envp;
        size_t len = strcspn(name, "=");
        if (strncmp(name, prefix, sizeof prefix - 1) != 0 ||
            strncmp(name, test_prefix, sizeof test_prefix - 1) == 0 ||
            strncmp(name, bench_prefix, sizeof bench_prefix - 1) == 0 ||
            is_one_of(name, len, variables_names, VARIABLES_COUNT) ||
            is_one_of(name, len, internal_names, sizeof internal_names / sizeof internal_names[0]))
            continue;
        *out = (struct variables_unknown){name, len, likely_name(name, len)};
        ++*envp;
        return true;
    }
    return false;
}
