/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/environment.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/file.h"

static const char *const NAMES[] = {
    "SOCKSEAL_PORTS",    "SOCKSEAL_KEY_FILE",    "SOCKSEAL_IDENTITY",          "SOCKSEAL_PLAINTEXT",
    "SOCKSEAL_SUITES",   "SOCKSEAL_STRICT",      "SOCKSEAL_HANDSHAKE_TIMEOUT", "SOCKSEAL_LOG",
    "SOCKSEAL_LOG_FILE", "SOCKSEAL_KEYLOG_FILE",
};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };
_Static_assert(NAME_COUNT + 3 <= ENVIRONMENT_ADDED, "all of them, LD_PRELOAD, the state and NULL");

/* Whole entries, "NAME=value", one behind the other; `entries` points into it. */
static struct {
    char library[PATH_MAX];
    char text[32768];
    size_t used;
    const char *entries[NAME_COUNT];
} saved;

/* The value behind "NAME=", or NULL if the entry is another variable's. */
static const char *value_of(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}

static char **find(char *const envp[], const char *name)
{
    for (char **at = (char **)(uintptr_t)envp; at && *at; at++) {
        if (value_of(*at, name))
            return at;
    }
    return NULL;
}

static void save_library(void)
{
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)environment_save, &info) || !info.dli_fname)
        return;
    size_t used = 0, len = strlen(info.dli_fname);
    if (info.dli_fname[0] != '/') {
        long got = sys_getcwd(saved.library, sizeof saved.library - 1);
        if (got < 0)
            return;
        used = strlen(saved.library);
        saved.library[used++] = '/';
    }
    if (used + len < sizeof saved.library)
        memcpy(saved.library + used, info.dli_fname, len + 1);
    else
        saved.library[0] = '\0';
}

void environment_save(void)
{
    save_library();
    for (int i = 0; i < NAME_COUNT; i++) {
        char **entry = find(environ, NAMES[i]);
        size_t len = entry ? strlen(*entry) + 1 : 0;
        if (!entry || len > sizeof saved.text - saved.used)
            continue;
        saved.entries[i] = memcpy(saved.text + saved.used, *entry, len);
        saved.used += len;
    }
}

const char *environment_take(const char *name)
{
    char **at = find(environ, name);
    if (!at)
        return NULL;
    const char *value = value_of(*at, name);
    do
        at[0] = at[1];
    while (*at++);
    return value;
}

const char *environment_library(void)
{
    return saved.library;
}

bool environment_opts_out(char *const envp[])
{
    char **entry = find(envp, "SOCKSEAL_PORTS");
    return entry && *value_of(*entry, "SOCKSEAL_PORTS") == '\0';
}

size_t environment_count(char *const envp[])
{
    size_t count = 0;
    while (envp && envp[count])
        count++;
    return count;
}

/* Whether LD_PRELOAD's value names a file that is called as the library is (ld.so(8): blanks or colons
 * between them). */
static bool preloads(const char *value)
{
    const char *slash = strrchr(saved.library, '/'), *own = slash ? slash + 1 : saved.library;
    size_t len = strlen(own);
    for (const char *at = value; *at;) {
        size_t word = strcspn(at, " :");
        if (word >= len && strncmp(at + word - len, own, len) == 0 &&
            (word == len || at[word - len - 1] == '/'))
            return true;
        at += word + strspn(at + word, " :");
    }
    return false;
}

static bool is_ours(const char *entry)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        if (value_of(entry, NAMES[i]) == NULL)
            continue;
        return saved.entries[i] && *value_of(entry, NAMES[i]) == '\0'; /* empty counts as unset */
    }
    return value_of(entry, ENVIRONMENT_STATE) != NULL;
}

/* Adds "NAME=first[:second]" to the entries, written into the text at *used. */
static bool add(char *out[], size_t *count, char *text, size_t *used, const char *name, const char *first,
                const char *second)
{
    int len = snprintf(text + *used, ENVIRONMENT_TEXT - *used, "%s=%s%s%s", name, first, *second ? ":" : "",
                       second);
    if (len < 0 || (size_t)len >= ENVIRONMENT_TEXT - *used)
        return false;
    out[(*count)++] = text + *used;
    *used += (size_t)len + 1;
    return true;
}

bool environment_complete(char *const envp[], const char *state, char *out[],
                          char text[static ENVIRONMENT_TEXT])
{
    size_t count = 0, used = 0;
    char **preload = find(envp, "LD_PRELOAD");
    bool there = preload && preloads(value_of(*preload, "LD_PRELOAD"));
    for (char *const *at = envp; at && *at; at++) {
        if (!is_ours(*at) && (there || at != preload))
            out[count++] = *at;
    }
    for (int i = 0; i < NAME_COUNT; i++) {
        out[count] = NULL;
        if (saved.entries[i] && !find(out, NAMES[i]))
            out[count++] = (char *)(uintptr_t)saved.entries[i];
    }
    const char *others = preload && !there ? value_of(*preload, "LD_PRELOAD") : "";
    if (!there && (!*saved.library || !add(out, &count, text, &used, "LD_PRELOAD", saved.library, others)))
        return false;
    if (state && !add(out, &count, text, &used, ENVIRONMENT_STATE, state, ""))
        return false;
    out[count] = NULL;
    return true;
}
