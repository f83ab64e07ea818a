/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/preload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/message.h"
#include "sys/file.h"
#include "sys/lookup.h"

/* Debian's directory for libraries of this architecture. */
#if defined __x86_64__
#define MULTIARCH "x86_64-linux-gnu"
#elif defined __aarch64__
#define MULTIARCH "aarch64-linux-gnu"
#endif

bool preload_find(char path[static PATH_MAX])
{
    static const char *const places[] = {"", "/../lib", "/../lib64", ("/../lib/" MULTIARCH)};
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = '\0';
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
        char candidate[PATH_MAX + 64];
        snprintf(candidate, sizeof candidate, "%.*s%s/libsockseal.so", (int)(slash - self), self, places[i]);
        if (realpath(candidate, path))
            return true;
    }
    message_error("libsockseal.so is neither beside this program nor in ../lib from it");
    return false;
}

/* A word of LD_PRELOAD, which blanks or colons part (ld.so(8)), terminated. */
struct word {
    char text[PATH_MAX];
};

/* Takes the next word off *at; false at the end. One that is too long to be a path is passed over. */
static bool next_word(const char **at, struct word *word)
{
    for (;;) {
        const char *start = *at + strspn(*at, " :");
        size_t len = strcspn(start, " :");
        *at = start + len;
        if (len == 0)
            return false;
        if (len >= sizeof word->text)
            continue;
        memcpy(word->text, start, len);
        word->text[len] = '\0';
        return true;
    }
}

/* Whether a word of LD_PRELOAD is the library, or another copy of it, which must not see the calls too. */
static bool is_library(const char *word, const char *path)
{
    const char *slash = strrchr(word, '/');
    struct stat first, second;
    if (strcmp(slash ? slash + 1 : word, "libsockseal.so") == 0)
        return true;
    return sys_stat(word, &first) == 0 && sys_stat(path, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* Whether a library that is preloaded into this very program, as it is into the next one, has a connect() of
 * its own. */
static bool replaces_connect(const char *name)
{
    const bool path = strchr(name, '/') != NULL;
    for (const struct link_map *map = lookup_own(); map; map = map->l_next) {
        const char *slash = strrchr(map->l_name, '/');
        if (strcmp(path || !slash ? map->l_name : slash + 1, name) == 0)
            return lookup_defined(map, "connect") != NULL;
    }
    return false;
}

/* How many words go before the library. */
static size_t find_place(const char *others, const char *path)
{
    struct word word;
    size_t place = 0, index = 0;
    for (const char *at = others; next_word(&at, &word);) {
        if (is_library(word.text, path))
            continue;
        index++;
        if (replaces_connect(word.text))
            place = index;
    }
    return place;
}

static void join(FILE *out, const char *word)
{
    if (ftell(out) > 0)
        fputc(':', out);
    fputs(word, out);
}

static void write_words(FILE *out, const char *others, const char *path)
{
    struct word word;
    size_t place = find_place(others, path), index = 0;
    if (place == 0)
        join(out, path);
    for (const char *at = others; next_word(&at, &word);) {
        if (is_library(word.text, path))
            continue;
        join(out, word.text);
        if (++index == place)
            join(out, path);
    }
}

bool preload_set(const char *path)
{
    const char *others = getenv("LD_PRELOAD");
    char *joined = NULL;
    size_t len = 0;
    if (strpbrk(path, " :")) {
        message_error("%s: LD_PRELOAD cannot express a path with a blank or a colon", path);
        return false;
    }
    FILE *out = open_memstream(&joined, &len);
    if (out)
        write_words(out, others ? others : "", path);
    bool set = out && fclose(out) == 0 && setenv("LD_PRELOAD", joined, 1) == 0;
    free(joined);
    if (!set)
        perror("sockseal: LD_PRELOAD");
    return set;
}

bool preload_is_loaded(void)
{
    for (const struct link_map *map = lookup_own(); map; map = map->l_next) {
        const char *slash = strrchr(map->l_name, '/');
        if (strcmp(slash ? slash + 1 : map->l_name, "libsockseal.so") == 0)
            return true;
    }
    return false;
}
