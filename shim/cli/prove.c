/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/prove.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

/*
 * With LD_TRACE_LOADED_OBJECTS in its environment the dynamic linker loads a program and what is preloaded
 * into it, prints the names, and ends before any of it runs (ld.so(8), ldd(1)). The kernel does all that it
 * does for an ordinary start: so what a mount, a mode or a security module forbids shows here.
 */

enum { OUTPUT_MAX = 65536 };

static __attribute__((format(printf, 2, 3))) void refuse(struct candidate *program, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(program->reason, sizeof program->reason, format, arguments);
    va_end(arguments);
    program->status = CLI_CANNOT_INVOKE;
}

/* In the child. Ends with an errno if the program cannot be executed. */
static void __attribute__((noreturn)) trace(const char *path, int output)
{
    static const char *const others[] = {"LD_WARN", "LD_VERBOSE", "LD_DEBUG", "LD_BIND_NOW", "LD_SHOW_AUXV"};
    char *const arguments[] = {(char *)(uintptr_t)path, NULL};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        unsetenv(others[i]);
    int null = open("/dev/null", O_RDWR);
    if (setenv("LD_TRACE_LOADED_OBJECTS", "1", 1) == 0 && null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
        dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0)
        execv(path, arguments);
    _exit(errno);
}

static void read_output(int fd, char text[static OUTPUT_MAX])
{
    size_t have = 0;
    ssize_t got;
    while (have < OUTPUT_MAX - 1 &&
           ((got = read(fd, text + have, OUTPUT_MAX - 1 - have)) > 0 || (got < 0 && errno == EINTR)))
        have += got > 0 ? (size_t)got : 0;
    text[have] = '\0';
}

/* Gives the status of waitpid(2), or -1. */
static int run_trace(const char *path, char text[static OUTPUT_MAX])
{
    int ends[2], status = -1;
    text[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0)
        trace(path, ends[1]);
    close(ends[1]);
    if (child > 0) {
        read_output(ends[0], text);
        close(ends[0]);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        return status;
    }
    close(ends[0]);
    return -1;
}

/* Whether the list of loaded objects has the library, "\t/path/libsockseal.so (0x00007f...)", and no version
 * of another one that it needs is missing. */
static bool is_loaded(const char *text, const char *library)
{
    char missing[PATH_MAX + 32];
    size_t len = strlen(library);
    snprintf(missing, sizeof missing, "not found (required by %s)", library);
    if (strstr(text, missing))
        return false;
    for (const char *at = text; (at = strstr(at, library)); at += len)
        if (at > text && at[-1] == '\t' && strncmp(at + len, " (0x", 4) == 0)
            return true;
    return false;
}

/* The first line that complains about the library, or "". */
static const char *find_complaint(char *text, const char *library)
{
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        const char *not_preloaded = strstr(line, "cannot be preloaded (");
        if (!strstr(line, library))
            continue;
        if (not_preloaded) {
            const char *why = strchr(not_preloaded, '(') + 1;
            line[strlen(line) - (strchr(why, ')') ? strlen(strchr(why, ')')) : 0)] = '\0';
            return why;
        }
        if (strstr(line, "not found (required by"))
            return line + strspn(line, " \t");
    }
    return "";
}

static const char *advice(const char *library)
{
    struct statvfs fs;
    if (statvfs(library, &fs) == 0 && (fs.f_flag & ST_NOEXEC))
        return "; it lies on a file system that is mounted noexec (a systemd service names it in ExecPaths=)";
    return access(library, R_OK) == 0 ? "" : "; this user may not read it";
}

/* AddressSanitizer ends a program in which its runtime is not the first library. */
static void check_sanitizer(struct candidate *program, const char *text, const char *library)
{
    const char *runtime = strstr(text, "libasan.so"), *own = strstr(text, library);
    const char *options = getenv("ASAN_OPTIONS");
    if (!runtime || (own && runtime < own) || (options && strstr(options, "verify_asan_link_order=0")))
        return;
    refuse(program,
           "%s is built with AddressSanitizer, which wants to be loaded first: set "
           "ASAN_OPTIONS=verify_asan_link_order=0",
           program->path);
}

void prove_loading(struct candidate *program, const char *library)
{
    static char text[OUTPUT_MAX];
    if (access(program->path, R_OK) != 0) {
        refuse(program, "%s may be executed and not read: nothing tells whether it can be sealed",
               program->path);
        return;
    }
    int status = run_trace(program->path, text);
    if (is_loaded(text, library)) {
        check_sanitizer(program, text, library);
        return;
    }
    if (text[0] == '\0' && WIFEXITED(status) && WEXITSTATUS(status)) {
        refuse(program, "%s cannot be executed: %s", program->path, strerror(WEXITSTATUS(status)));
        return;
    }
    const char *complaint = find_complaint(text, library);
    refuse(program, "%s cannot be loaded into %s%s%s%s", library, program->path, *complaint ? ": " : "",
           complaint, advice(library));
}
