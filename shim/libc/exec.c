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

#include "config/config.h"
#include "config/environment.h"
#include "diag/log.h"
#include "process/exec_handover.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/program.h"

struct target {
    int directory;
    const char *path;
    int flags;
};

static int call(const struct target *target, char *const argv[], char *const envp[])
{
    const bool plain = target->directory == AT_FDCWD && target->flags == 0;
    long result = plain ? sys_call3(SYS_execve, sys_ptr(target->path), sys_ptr(argv), sys_ptr(envp))
                        : sys_call(SYS_execveat, target->directory, sys_ptr(target->path), sys_ptr(argv),
                                   sys_ptr(envp), target->flags, 0);
    return (int)door_result(result, errno);
}

/* Looks at the file that the kernel would run. */
static void check(const struct target *target, struct program *program)
{
    char name[32];
    bool by_descriptor = (target->flags & AT_EMPTY_PATH) && target->path && !*target->path;
    if (by_descriptor)
        snprintf(name, sizeof name, "/proc/self/fd/%d", target->directory);
    program_check(program, by_descriptor ? AT_FDCWD : target->directory, by_descriptor ? name : target->path,
                  true);
}

static int refuse(const char *reason, const char *what)
{
    log_line(LOG_ERROR, "exec is refused%s: %s", what, reason);
    errno = EACCES;
    return -1;
}

/* After chroot(2) the library may be out of reach, and the dynamic linker would go on without it. */
static bool library_is_there(void)
{
    return *environment_library() &&
           sys_call3(SYS_faccessat, SYS_AT_FDCWD, sys_ptr(environment_library()), R_OK) == 0;
}

static int hand_over(struct exec_handover *plan, const struct target *target, char *const argv[],
                     char *const envp[])
{
    char text[ENVIRONMENT_TEXT];
    char **complete = alloca((environment_count(envp) + ENVIRONMENT_ADDED) * sizeof *complete);
    const bool state = plan->surviving + plan->close_after_exec > 0;
    if (!library_is_there())
        return refuse("libsockseal.so cannot be reached from here (chroot?)", "");
    int error = exec_handover_begin(plan);
    if (error < 0)
        return (int)door_result(error, errno);
    int result = -1;
    if (environment_complete(envp, state ? plan->text : NULL, complete, text))
        result = call(target, argv, complete);
    else
        errno = E2BIG;
    int saved = errno;
    exec_handover_undo(plan);
    errno = saved;
    return result;
}

static int attempt(const struct target *target, char *const argv[], char *const envp[]);

/* Nothing sealed reaches the next program; this process's part in its connections ends all the same. */
static int leave_behind(struct exec_handover *plan, const struct target *target, char *const argv[],
                        char *const envp[])
{
    int error = exec_handover_begin(plan);
    if (error == -EAGAIN)
        return attempt(target, argv, envp);
    if (error < 0)
        return (int)door_result(error, errno);
    int result = call(target, argv, envp), saved = errno;
    exec_handover_undo(plan);
    errno = saved;
    return result;
}

/* A program that the shim cannot get into would serve in the clear what a listening socket brings: it does
 * not get that one. */
static int keep_listeners(const struct listeners *listeners, const char *reason, const struct target *target,
                          char *const argv[], char *const envp[])
{
    log_line(LOG_WARN, "a listening socket on a port that is to be sealed is kept from the next program: %s",
             reason);
    exec_handover_keep_listeners(listeners, true);
    int result = call(target, argv, envp), saved = errno;
    exec_handover_keep_listeners(listeners, false);
    errno = saved;
    return result;
}

/* The next program cannot be sealed. */
static int go_on_unsealed(struct exec_handover *plan, const struct listeners *listeners, const char *reason,
                          const struct target *target, char *const argv[], char *const envp[])
{
    if (config_get()->strict)
        return refuse(reason, " (SOCKSEAL_STRICT)");
    if (plan->surviving)
        return refuse(reason, ", for the program would get a sealed connection");
    if (plan->close_after_exec)
        exec_handover_end_closing();
    if (listeners->count)
        return keep_listeners(listeners, reason, target, argv, envp);
    return exec_handover_plan(plan) ? leave_behind(plan, target, argv, envp) : call(target, argv, envp);
}

/* In a process whose real and effective user differ, as squid's that starts its workers, the dynamic linker
 * preloads nothing into the programs that it runs. */
static void warn_of_two_users(const struct target *target, char *const envp[])
{
    static _Atomic bool told;
    struct program program;
    if (!config_get()->active || environment_opts_out(envp) ||
        (sys_getuid() == sys_geteuid() && sys_getgid() == sys_getegid()))
        return;
    check(target, &program);
    if (program.verdict == PROGRAM_UNSEALABLE && !atomic_exchange(&told, true))
        log_line(LOG_WARN,
                 "%s, and its connections are in the clear; have it started by one user alone "
                 "(SOCKSEAL_STRICT=1 refuses it)",
                 program.reason);
}

static int attempt(const struct target *target, char *const argv[], char *const envp[])
{
    struct exec_handover plan;
    struct program program;
    struct listeners listeners;
    config_load();
    const bool strict = config_get()->active && config_get()->strict, any = exec_handover_plan(&plan);
    const bool needed = plan.surviving + plan.close_after_exec > 0;
    const bool listens = exec_handover_listeners(&listeners) && !environment_opts_out(envp);
    if (target->path && !strict)
        warn_of_two_users(target, envp);
    if (!target->path || (!strict && !needed && !listens))
        return any ? leave_behind(&plan, target, argv, envp) : call(target, argv, envp);
    check(target, &program);
    if (program.verdict == PROGRAM_GOOD)
        return hand_over(&plan, target, argv, envp);
    /* The kernel refuses it, or knows its format; sealed descriptors are close-on-exec. */
    if (program.verdict != PROGRAM_UNSEALABLE)
        return call(target, argv, envp);
    return go_on_unsealed(&plan, &listeners, program.reason, target, argv, envp);
}

int exec_at(int directory, const char *path, char *const argv[], char *const envp[], int flags)
{
    const struct target target = {directory, path, flags};
    return attempt(&target, argv, envp);
}

/* What execvp(3) does with a file without "#!" that is no program. */
static int run_by_shell(const char *path, char *const argv[], char *const envp[])
{
    size_t count = environment_count(argv);
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

int exec_search(const char *file, char *const argv[], char *const envp[])
{
    char path[PATH_MAX];
    bool denied = false;
    const char *at = getenv("PATH");
    if (!*file) {
        errno = ENOENT;
        return -1;
    }
    if (strchr(file, '/'))
        return run_or_shell(file, argv, envp);
    for (at = at ? at : "/bin:/usr/bin";; at++) {
        size_t len = strcspn(at, ":");
        int need = snprintf(path, sizeof path, "%.*s%s%s", (int)len, at, len ? "/" : "", file);
        errno = ENAMETOOLONG;
        if (need > 0 && (size_t)need < sizeof path) {
            run_or_shell(path, argv, envp);
            denied |= errno == EACCES;
            if (!goes_on(errno))
                return -1;
        }
        at += len;
        if (!*at)
            break;
    }
    if (denied)
        errno = EACCES;
    return -1;
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
