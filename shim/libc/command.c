/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of functions that run commands by the shell, and of daemon(3). libc's own functions change
 * descriptors without passing a door. */

#include "libc/door.h"

#include <fcntl.h>
#include <paths.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "process/exec.h"
#include "process/inherit.h"

FILE *_IO_popen(const char *command, const char *mode);

/* Whether libc's own functions would run the shell without the library, or with a sealed descriptor. */
static bool concerned(void)
{
    config_load();
    return config_get()->active && (config_get()->strict || inherit_any() || !exec_is_complete(environ) ||
                                    exec_kind(_PATH_BSHELL) == EXEC_OTHER);
}

/* posix_spawn(3) of the shell with this command, through the door. 0 or an error number. */
static int start_shell(const char *command, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, pid_t *pid)
{
    char *const words[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)command,
                           NULL};
    return posix_spawn(pid, _PATH_BSHELL, actions, attributes, words, environ);
}

static int wait_for(pid_t pid, int *status)
{
    pid_t done;
    while ((done = waitpid(pid, status, 0)) < 0 && errno == EINTR)
        ;
    return done < 0 ? -1 : 0;
}

/* The same, but no cancellation point, as pclose(3) is none. */
static int wait_uncancelled(pid_t pid, int *status)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    int result = wait_for(pid, status);
    pthread_setcancelstate(state, NULL);
    return result;
}

/* POSIX, system(): SIGINT and SIGQUIT are ignored, SIGCHLD is blocked meanwhile. Several threads at once
 * share that. */
static pthread_mutex_t quiet_lock = PTHREAD_MUTEX_INITIALIZER;
static int quiet_users;
static struct sigaction old_interrupt, old_quit;

static void be_quiet(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    pthread_mutex_lock(&quiet_lock);
    if (quiet_users++ == 0) {
        sigaction(SIGINT, &ignore, &old_interrupt);
        sigaction(SIGQUIT, &ignore, &old_quit);
    }
    pthread_mutex_unlock(&quiet_lock);
}

static void be_loud(void)
{
    pthread_mutex_lock(&quiet_lock);
    if (--quiet_users == 0) {
        sigaction(SIGINT, &old_interrupt, NULL);
        sigaction(SIGQUIT, &old_quit, NULL);
    }
    pthread_mutex_unlock(&quiet_lock);
}

static void prepare_signals(posix_spawnattr_t *attributes, const sigset_t *mask)
{
    sigset_t defaults;
    sigemptyset(&defaults);
    if (old_interrupt.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGINT);
    if (old_quit.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigdefault(attributes, &defaults);
    posix_spawnattr_setsigmask(attributes, mask);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

/* A command of system(3), for the clean-up when its thread is cancelled. */
struct running {
    pid_t pid; /* 0: not started, or waited for */
    sigset_t before;
};

/* A cancelled thread's command is killed, as glibc does it. */
static void stop_running(struct running *running)
{
    if (running->pid > 0) {
        kill(running->pid, SIGKILL);
        wait_uncancelled(running->pid, NULL);
    }
    be_loud();
    sigprocmask(SIG_SETMASK, &running->before, NULL);
}

/* 0 or an error number. */
static int wait_for_shell(const char *command, int *status)
{
    struct running running __attribute__((cleanup(stop_running))) = {0};
    posix_spawnattr_t attributes;
    sigset_t child;
    pid_t pid = 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    be_quiet();
    sigprocmask(SIG_BLOCK, &child, &running.before);
    prepare_signals(&attributes, &running.before);
    int error = start_shell(command, NULL, &attributes, &pid);
    posix_spawnattr_destroy(&attributes);
    if (error) {
        *status = W_EXITCODE(127, 0); /* as if the shell could not be run */
        return error;
    }
    running.pid = pid;
    if (wait_for(pid, status) < 0) {
        *status = -1;
        error = errno;
    }
    running.pid = 0;
    return error;
}

static int run(const char *command)
{
    int status = -1, saved = errno, error = wait_for_shell(command, &status);
    errno = error ? error : saved;
    return status;
}

DOOR int system(const char *command)
{
    if (!command || !concerned())
        return real()->system(command);
    return run(command);
}

/* libc's own runs the shell without a door. Where that would go wrong, the text may contain no command. */
DOOR int wordexp(const char *restrict text, wordexp_t *restrict out, int flags)
{
    return real()->wordexp(text, out, concerned() ? flags | WRDE_NOCMD : flags);
}

/* popen(3) streams that were made here: pclose() waits for their commands. */
struct pipe_stream {
    struct pipe_stream *next;
    FILE *stream;
    pid_t pid;
};

static struct pipe_stream *pipes;
static pthread_mutex_t pipes_lock = PTHREAD_MUTEX_INITIALIZER;

/* POSIX, popen(): what earlier calls opened is closed in the child. */
static void close_earlier(posix_spawn_file_actions_t *actions, int target)
{
    for (const struct pipe_stream *at = pipes; at; at = at->next) {
        if (fileno(at->stream) != target)
            posix_spawn_file_actions_addclose(actions, fileno(at->stream));
    }
}

/* Starts the command with `end` of a pipe as its standard input or output. */
static int start_piped(const char *command, int end, bool reads, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int target = reads ? STDOUT_FILENO : STDIN_FILENO;
    if (posix_spawn_file_actions_init(&actions))
        return ENOMEM;
    close_earlier(&actions, target);
    posix_spawn_file_actions_adddup2(&actions, end, target);
    int error = start_shell(command, &actions, NULL, pid);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Gives the error number. */
static int open_pipe(struct pipe_stream *made, const char *command, bool reads, bool close_on_exec)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    int own = ends[reads ? 0 : 1], other = ends[reads ? 1 : 0];
    int error = start_piped(command, other, reads, &made->pid);
    close(other);
    if (!error && !close_on_exec)
        fcntl(own, F_SETFD, 0);
    made->stream = error ? NULL : fdopen(own, reads ? "r" : "w");
    if (!made->stream)
        close(own);
    return error ? error : made->stream ? 0 : errno;
}

static int open_listed(struct pipe_stream *made, const char *command, const char *mode, bool reads)
{
    pthread_mutex_lock(&pipes_lock);
    int error = open_pipe(made, command, reads, strchr(mode, 'e'));
    if (!error) {
        made->next = pipes;
        pipes = made;
    }
    pthread_mutex_unlock(&pipes_lock);
    return error;
}

static FILE *open_command(const char *command, const char *mode)
{
    bool reads = strchr(mode, 'r'), writes = strchr(mode, 'w');
    struct pipe_stream *made = reads != writes ? malloc(sizeof *made) : NULL;
    int state;
    if (!made) {
        errno = reads == writes ? EINVAL : ENOMEM;
        return NULL;
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* a lock is held */
    int error = open_listed(made, command, mode, reads);
    pthread_setcancelstate(state, NULL);
    if (!error)
        return made->stream;
    free(made);
    errno = error;
    return NULL;
}

DOOR FILE *popen(const char *command, const char *mode)
{
    return concerned() ? open_command(command, mode) : real()->popen(command, mode);
}

DOOR_ALIAS("popen") FILE *_IO_popen(const char *command, const char *mode) __attribute_malloc__;

/* Takes it out of the list; 0 if it is not in it. */
static pid_t forget_pipe(const FILE *stream)
{
    pid_t pid = 0;
    pthread_mutex_lock(&pipes_lock);
    for (struct pipe_stream **at = &pipes; *at; at = &(*at)->next) {
        struct pipe_stream *found = *at;
        if (found->stream != stream)
            continue;
        pid = found->pid;
        *at = found->next;
        free(found);
        break;
    }
    pthread_mutex_unlock(&pipes_lock);
    return pid;
}

DOOR int pclose(FILE *stream)
{
    int status = -1;
    pid_t pid = forget_pipe(stream);
    if (!pid)
        return real()->pclose(stream);
    fclose(stream);
    return wait_uncancelled(pid, &status) < 0 ? -1 : status;
}

/* libc's own forks, and replaces the standard descriptors, without passing a door. */
DOOR int daemon(int nochdir, int noclose)
{
    config_load();
    if (!config_get()->active)
        return real()->daemon(nochdir, noclose);
    pid_t child = fork();
    if (child != 0) {
        if (child > 0)
            _exit(0); /* finishes what was closed before; all else is the child's now */
        return -1;
    }
    if (setsid() < 0)
        return -1;
    if (!nochdir && chdir("/") < 0)
        return -1;
    int null = noclose ? -1 : open(_PATH_DEVNULL, O_RDWR);
    if (!noclose && null < 0)
        return -1;
    for (int fd = 0; !noclose && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    return 0;
}
