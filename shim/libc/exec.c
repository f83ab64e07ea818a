/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of running another program. libc's own functions of this family do not call each other through the
 * doors: here all of them end in exec_at(). */

#include "libc/exec.h"

#include "libc/door.h"

#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t count_entries(char *const list[])
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

/* What execvp(3) does with a file without "#!" that is no program. */
static int run_by_shell(const char *path, char *const argv[], char *const envp[])
{
    size_t count = count_entries(argv);
    char **words = alloca((count + 3) * sizeof *words);
    words[0] = (char *)(uintptr_t) "/bin/sh";
    words[1] = (char *)(uintptr_t)path;
    for (size_t i = 1; i <= count; i++)
        words[i + 1] = argv[i];
    words[count ? count + 1 : 2] = NULL;
    return exec_at(AT_FDCWD, words[0], words, envp, 0);
}

static int run_or_shell(const char *path, char *const argv[], char *const envp[])
{
    exec_at(AT_FDCWD, path, argv, envp, 0);
    return errno == ENOEXEC ? run_by_shell(path, argv, envp) : -1;
}

/* Whether execvp(3) goes on with the next directory after this error. */
static bool goes_on(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE || error == ENODEV ||
           error == ETIMEDOUT;
}

/* What next_path() needs: the caller's stack may be small. */
static size_t path_room(const char *search, const char *file)
{
    const size_t most = strlen(search) + strlen(file) + sizeof "/";
    return most < PATH_MAX ? most : PATH_MAX;
}

/* The next directory of PATH with the file's name; one that is too long is left out. False at the end. */
static bool next_path(const char **at, const char *file, char *path, size_t room)
{
    while (*at) {
        size_t len = strcspn(*at, ":");
        int need = snprintf(path, room, "%.*s%s%s", (int)len, *at, len ? "/" : "", file);
        *at = (*at)[len] ? *at + len + 1 : NULL;
        if (need > 0 && (size_t)need < room)
            return true;
    }
    return false;
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : "/bin:/usr/bin";
}

int exec_search(const char *file, char *const argv[], char *const envp[])
{
    const char *at = search_path();
    const size_t room = path_room(at, file);
    char *path = alloca(room);
    bool denied = false;
    errno = ENOENT;
    if (!*file)
        return -1;
    if (strchr(file, '/'))
        return run_or_shell(file, argv, envp);
    while (next_path(&at, file, path, room)) {
        run_or_shell(path, argv, envp);
        denied |= errno == EACCES;
        if (!goes_on(errno))
            return -1;
    }
    if (denied)
        errno = EACCES;
    return -1;
}

enum exec_kind exec_search_kind(const char *file)
{
    const char *at = search_path();
    const size_t room = path_room(at, file);
    char *path = alloca(room);
    enum exec_kind kind = EXEC_ABSENT;
    if (strchr(file, '/'))
        return exec_kind(file);
    while (kind == EXEC_ABSENT && next_path(&at, file, path, room))
        kind = exec_kind(path);
    return kind;
}

DOOR int execve(const char *path, char *const argv[], char *const envp[])
{
    return exec_at(AT_FDCWD, path, argv, envp, 0);
}

DOOR int execv(const char *path, char *const argv[])
{
    return exec_at(AT_FDCWD, path, argv, environ, 0);
}

DOOR int execvp(const char *file, char *const argv[])
{
    return exec_search(file, argv, environ);
}

DOOR int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return exec_search(file, argv, envp);
}

DOOR int execveat(int directory, const char *path, char *const argv[], char *const envp[], int flags)
{
    return exec_at(directory, path, argv, envp, flags);
}

DOOR int fexecve(int fd, char *const argv[], char *const envp[])
{
    if (fd < 0) {
        errno = EINVAL;
        return -1;
    }
    return exec_at(fd, "", argv, envp, AT_EMPTY_PATH);
}

/* The arguments of an execl() call behind the first, with the NULL: how many. */
static size_t count_words(va_list list)
{
    va_list copy;
    size_t count = 1;
    va_copy(copy, list);
    while (va_arg(copy, char *))
        count++;
    va_end(copy);
    return count;
}

static void collect_words(char *words[], const char *first, va_list *list)
{
    size_t i = 0;
    words[i++] = (char *)(uintptr_t)first;
    while ((words[i] = va_arg(*list, char *)))
        i++;
}

DOOR int execl(const char *path, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    char **words = alloca((count_words(list) + 1) * sizeof *words);
    collect_words(words, first, &list);
    va_end(list);
    return exec_at(AT_FDCWD, path, words, environ, 0);
}

DOOR int execlp(const char *file, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    char **words = alloca((count_words(list) + 1) * sizeof *words);
    collect_words(words, first, &list);
    va_end(list);
    return exec_search(file, words, environ);
}

DOOR int execle(const char *path, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    char **words = alloca((count_words(list) + 1) * sizeof *words);
    collect_words(words, first, &list);
    char *const *envp = va_arg(list, char *const *); /* behind the NULL */
    va_end(list);
    return exec_at(AT_FDCWD, path, words, envp, 0);
}
