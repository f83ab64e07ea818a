/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/environment.h"

#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/variables.h"
#include "sys/file.h"
#include "sys/lookup.h"
#include "sys/program.h"

_Static_assert(VARIABLES_COUNT + 5 <= ENVIRONMENT_ADDED,
               "all of them, LD_PRELOAD, the state, two marks and NULL");

/* Whole entries, "NAME=value", one behind the other; `entries` points into it. */
static struct {
    char library[PATH_MAX];
    dev_t device; /* of the library's file */
    ino_t inode;  /* 0: unknown */
    int process;  /* that began with the library */
    char text[32768];
    size_t used;
    const char *entries[VARIABLES_COUNT];
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

/* Of several entries the dynamic linker heeds the last (ld.so(8) does not say so). */
static char **find_last(char *const envp[], const char *name)
{
    char **last = NULL;
    for (char **at = find(envp, name); at; at = find(at + 1, name))
        last = at;
    return last;
}

static void save_library(void)
{
    const struct link_map *own = lookup_own();
    const char *name = own ? own->l_name : "";
    size_t used = 0, len = strlen(name);
    if (name[0] != '/') {
        long got = sys_getcwd(saved.library, sizeof saved.library - 1);
        if (got < 0)
            return;
        used = strlen(saved.library);
        saved.library[used++] = '/';
    }
    if (used + len < sizeof saved.library)
        memcpy(saved.library + used, name, len + 1);
    else
        saved.library[0] = '\0';
    struct stat st;
    if (saved.library[0] && sys_stat(saved.library, &st) == 0) {
        saved.device = st.st_dev;
        saved.inode = st.st_ino;
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

bool environment_audits(char *const envp[])
{
    char **entry = find_last(envp, "LD_AUDIT");
    return entry && *value_of(*entry, "LD_AUDIT") != '\0';
}

size_t environment_count(char *const envp[])
{
    size_t count = 0;
    while (envp && envp[count])
        count++;
    return count;
}

/* Whether a word of LD_PRELOAD is the library's file. One without a slash is searched for by the dynamic
 * linker (ld.so(8)), and counts as another. */
static bool names_library(const char *word, size_t len)
{
    struct stat st;
    if (len >= PATH_MAX || !memchr(word, '/', len))
        return false;
    char *path = alloca(len + 1); /* the stack may be a small one */
    memcpy(path, word, len);
    path[len] = '\0';
    return saved.inode != 0 && sys_stat(path, &st) == 0 && st.st_dev == saved.device &&
           st.st_ino == saved.inode;
}

/* Whether it is another copy of the library: loading both would do no good. */
static bool names_copy(const char *word, size_t len)
{
    static const char file[] = "/libsockseal.so";
    unsigned char header[PROGRAM_HEADER];
    if (len >= PATH_MAX || len < sizeof file ||
        strncmp(word + len - sizeof file + 1, file, sizeof file - 1) != 0)
        return false;
    char *path = alloca(len + 1);
    memcpy(path, word, len);
    path[len] = '\0';
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool native = sys_pread(fd, header, sizeof header, 0) == sizeof header && program_is_native(header);
    sys_close(fd);
    return native;
}

/* The next word of LD_PRELOAD's value, which blanks or colons part (ld.so(8)); false at the end. */
static bool next_preload(const char **at, const char **word, size_t *len)
{
    *word = *at + strspn(*at, " :");
    *len = strcspn(*word, " :");
    *at = *word + *len;
    return *len > 0;
}

/* Whether LD_PRELOAD's value names the library by a path that holds in every directory. */
static bool preloads(const char *value)
{
    const char *word;
    size_t len;
    while (next_preload(&value, &word, &len))
        if (word[0] == '/' && (names_library(word, len) || names_copy(word, len)))
            return true;
    return false;
}

/* Writes LD_PRELOAD's value with every name of the library made absolute. False if there is no room. */
static bool make_preload_absolute(const char *value, char *out, size_t size)
{
    const char *word;
    size_t len, used = 0;
    while (next_preload(&value, &word, &len)) {
        bool ours = word[0] != '/' && names_library(word, len);
        int put = ours ? snprintf(out + used, size - used, "%s%s", used ? ":" : "", saved.library)
                       : snprintf(out + used, size - used, "%s%.*s", used ? ":" : "", (int)len, word);
        if (put < 0 || (size_t)put >= size - used)
            return false;
        used += (size_t)put;
    }
    return true;
}

static void fix_preload(void)
{
    static char fixed[ENVIRONMENT_TEXT];
    static const char name[] = "LD_PRELOAD=";
    char **entry = find_last(environ, "LD_PRELOAD");
    if (!entry || !*saved.library || preloads(*entry + sizeof name - 1))
        return;
    memcpy(fixed, name, sizeof name - 1);
    if (make_preload_absolute(*entry + sizeof name - 1, fixed + sizeof name - 1,
                              sizeof fixed - sizeof name + 1) &&
        preloads(fixed + sizeof name - 1))
        *entry = fixed;
}

enum { FILE_ENTRY_MAX = PATH_MAX + 32 };

static void fix_file(const char *variable, const char *absolute, char fixed[static FILE_ENTRY_MAX])
{
    char **entry = find(environ, variable);
    if (!entry || !absolute || *value_of(*entry, variable) == '/')
        return;
    snprintf(fixed, FILE_ENTRY_MAX, "%s=%s", variable, absolute);
    *entry = fixed;
}

/* The program may change its directory before it starts others. */
static void make_absolute(void)
{
    static char fixed[3][FILE_ENTRY_MAX];
    const struct config *config = config_get();
    fix_preload();
    fix_file("SOCKSEAL_KEY_FILE", config->key_file, fixed[0]);
    fix_file("SOCKSEAL_LOG_FILE", config->log_file, fixed[1]);
    fix_file("SOCKSEAL_KEYLOG_FILE", config->keylog_file, fixed[2]);
}

void environment_save(void)
{
    saved.process = sys_getpid();
    save_library();
    make_absolute();
    for (int i = 0; i < VARIABLES_COUNT; i++) {
        char **entry = find(environ, variables_names[i]);
        size_t len = entry ? strlen(*entry) + 1 : 0;
        if (!entry || len > sizeof saved.text - saved.used)
            continue;
        saved.entries[i] = memcpy(saved.text + saved.used, *entry, len);
        saved.used += len;
    }
}

static bool is_ours(const char *entry)
{
    for (int i = 0; i < VARIABLES_COUNT; i++) {
        if (value_of(entry, variables_names[i]) == NULL)
            continue;
        return saved.entries[i] && *value_of(entry, variables_names[i]) == '\0'; /* empty counts as unset */
    }
    return value_of(entry, ENVIRONMENT_STATE) || value_of(entry, ENVIRONMENT_FILTERED) ||
           value_of(entry, ENVIRONMENT_FORGOTTEN);
}

static bool filtered;

void environment_mark_filtered(void)
{
    filtered = true;
}

bool environment_is_filtered(void)
{
    return filtered;
}

static bool forgotten;

void environment_mark_forgotten(void)
{
    forgotten = true;
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

static bool complete(char *const envp[], const char *state, bool forgets, char *out[],
                     char text[static ENVIRONMENT_TEXT])
{
    size_t count = 0, used = 0;
    char **preload = find_last(envp, "LD_PRELOAD");
    bool there = preload && preloads(value_of(*preload, "LD_PRELOAD"));
    for (char *const *at = envp; at && *at; at++) {
        if (!is_ours(*at) && (at == preload ? there : !value_of(*at, "LD_PRELOAD")))
            out[count++] = *at;
    }
    for (int i = 0; i < VARIABLES_COUNT; i++) {
        out[count] = NULL;
        if (saved.entries[i] && !find(out, variables_names[i]))
            out[count++] = (char *)(uintptr_t)saved.entries[i];
    }
    const char *others = preload && !there ? value_of(*preload, "LD_PRELOAD") : "";
    if (!there && (!*saved.library || !add(out, &count, text, &used, "LD_PRELOAD", saved.library, others)))
        return false;
    if (state && !add(out, &count, text, &used, ENVIRONMENT_STATE, state, ""))
        return false;
    if (filtered && !add(out, &count, text, &used, ENVIRONMENT_FILTERED, "1", ""))
        return false;
    if ((forgets || forgotten) && !add(out, &count, text, &used, ENVIRONMENT_FORGOTTEN, "1", ""))
        return false;
    out[count] = NULL;
    return true;
}

/* A vfork(2) child has its parent's memory, but an id of its own. */
bool environment_complete(char *const envp[], const char *state, char *out[],
                          char text[static ENVIRONMENT_TEXT])
{
    return complete(envp, state, config_get()->forget_keys && sys_getpid() != saved.process, out, text);
}

bool environment_complete_spawned(char *const envp[], char *out[], char text[static ENVIRONMENT_TEXT])
{
    return complete(envp, NULL, config_get()->forget_keys, out, text);
}
