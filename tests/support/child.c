/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "child.h"

#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void read_output(int fd, struct child_result *result)
{
    size_t have = 0;
    ssize_t got;
    while (have < sizeof result->output - 1 &&
           (got = read(fd, result->output + have, sizeof result->output - 1 - have)) > 0)
        have += (size_t)got;
    result->output[have] = '\0';
}

void child_run(struct child_result *result, int (*function)(void *), void *argument)
{
    int pipes[2], status;
    if (pipe(pipes) < 0)
        abort();
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        alarm(20);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        _exit(function(argument));
    }
    close(pipes[1]);
    read_output(pipes[0], result);
    close(pipes[0]);
    if (waitpid(pid, &status, 0) != pid)
        abort();
    result->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
