/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 30 };

static void apply_changes(const char *const *changes)
{
    for (; changes != NULL && *changes != NULL; changes++) {
        if (strchr(*changes, '=') != NULL)
            putenv((char *)(uintptr_t)*changes);
        else
            unsetenv(*changes);
    }
}

/* The standard descriptors that the new program gets. dup2 clears FD_CLOEXEC. */
static void place_outputs(int out, int err)
{
    if (out >= 0)
        dup2(out, 1);
    if (err >= 0)
        dup2(err, 2);
}

pid_t suite_spawn(const char *role, const char *const *args, const char *const *changes, int out, int err)
{
    /* Not /proc/self/exe itself: under valgrind that link is valgrind's. */
    static char program[4096];
    const char *list[ARGS_MAX + 4] = {program, "--role", role};
    size_t count = 3;
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(len > 0);
    for (; args != NULL && *args != NULL && count < ARGS_MAX; args++)
        list[count++] = *args;
    pid_t child = suite_fork();
    if (child == 0) {
        apply_changes(changes);
        place_outputs(out, err);
        execv(program, (char *const *)(uintptr_t)list);
        _exit(126);
    }
    return child;
}

pid_t suite_fork(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

int suite_wait(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}
