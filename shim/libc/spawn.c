/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* posix_spawn(3). glibc's own passes no door. It is used while the new program can get no sealed descriptor:
 * these are close-on-exec for the kernel (process/exec_handover.h). Otherwise the child is made here, and
 * goes through the doors. */

#include "libc/exec.h"
#include "process/fork.h"

#include "libc/door.h"

#include <alloca.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "config/environment.h"
#include "process/exec.h"
#include "process/inherit.h"
#include "sys/file.h"
#include "sys/net.h"

/* Of glibc 2.39 and later; where libc has none, the doors do it. */
int pidfd_spawn(int *restrict pidfd, const char *restrict path,
                const posix_spawn_file_actions_t *restrict actions,
                const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                char *const envp[restrict]);
int pidfd_spawnp(int *restrict pidfd, const char *restrict file,
                 const posix_spawn_file_actions_t *restrict actions,
                 const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                 char *const envp[restrict]);

/* glibc's struct __spawn_action, which its ABI has fixed by the size of posix_spawn_file_actions_t and its
 * own use of it. */
struct action {
    enum {
        ACTION_CLOSE,
        ACTION_DUP2,
        ACTION_OPEN,
        ACTION_CHDIR,
        ACTION_FCHDIR,
        ACTION_CLOSEFROM,
        ACTION_TCSETPGRP
    } tag;
    union {
        struct {
            int fd;
        } close, fchdir, tcsetpgrp;
        struct {
            int from, to;
        } dup2;
        struct {
            int fd;
            char *path;
            int flags;
            mode_t mode;
        } open;
        struct {
            char *path;
        } chdir;
        struct {
            int from;
        } closefrom;
    } of;
};

struct spawn {
    const char *path;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
    char *const *argv, *const *envp;
    bool search;
    bool pidfd;    /* a descriptor of the child is wanted, not its number */
    int *child;    /* where that goes; NULL: the number is not wanted */
    sigset_t mask; /* the parent's */
    int *error;    /* shared with the child */
    int descriptor;
};

static const struct action *action_at(const posix_spawn_file_actions_t *actions, int i)
{
    return (const struct action *)(const void *)actions->__actions + i;
}

/* Whether the new program may get a sealed descriptor. */
static bool may_get_sealed(const posix_spawn_file_actions_t *actions)
{
    if (!atomic_load(&fdtable_size))
        return false;
    for (int i = 0; actions && i < actions->__used; i++) {
        if (action_at(actions, i)->tag == ACTION_DUP2 && fdtable_has(action_at(actions, i)->of.dup2.from))
            return true;
    }
    return inherit_any();
}

static int do_open(const struct action *action)
{
    close(action->of.open.fd);
    int fd = open(action->of.open.path, action->of.open.flags, action->of.open.mode);
    if (fd < 0 || fd == action->of.open.fd)
        return fd;
    int result = dup2(fd, action->of.open.fd);
    close(fd);
    return result;
}

/* posix_spawn(3): a descriptor onto itself loses its FD_CLOEXEC. */
static int do_dup2(const struct action *action)
{
    int from = action->of.dup2.from, to = action->of.dup2.to;
    if (from != to)
        return dup2(from, to);
    int flags = fcntl(from, F_GETFD);
    return flags < 0 ? flags : fcntl(from, F_SETFD, flags & ~FD_CLOEXEC);
}

static int do_action(const struct action *action)
{
    switch (action->tag) {
    case ACTION_CLOSE:
        close(action->of.close.fd); /* may be closed already: no error */
        return 0;
    case ACTION_DUP2:
        return do_dup2(action);
    case ACTION_OPEN:
        return do_open(action);
    case ACTION_CHDIR:
        return chdir(action->of.chdir.path);
    case ACTION_FCHDIR:
        return fchdir(action->of.fchdir.fd);
    case ACTION_CLOSEFROM:
        closefrom(action->of.closefrom.from);
        return 0;
    case ACTION_TCSETPGRP:
        return tcsetpgrp(action->of.tcsetpgrp.fd, getpgrp());
    }
    errno = EINVAL;
    return -1;
}

/* Handlers do not survive exec, and must not run in the child before it. */
static void reset_signals(const struct spawn *spawn, short flags)
{
    const posix_spawnattr_t *attributes = spawn->attributes;
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        bool asked = (flags & POSIX_SPAWN_SETSIGDEF) && sigismember(&attributes->__sd, signal) == 1;
        if (sigaction(signal, NULL, &action) < 0 || action.sa_handler == SIG_DFL ||
            (action.sa_handler == SIG_IGN && !asked))
            continue;
        action = (struct sigaction){.sa_handler = SIG_DFL};
        sigaction(signal, &action, NULL);
    }
}

static int apply_attributes(const struct spawn *spawn, short flags)
{
    const posix_spawnattr_t *attributes = spawn->attributes;
    if ((flags & POSIX_SPAWN_SETSCHEDULER) &&
        sched_setscheduler(0, attributes->__policy, &attributes->__sp) < 0)
        return -1;
    if ((flags & (POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER)) == POSIX_SPAWN_SETSCHEDPARAM &&
        sched_setparam(0, &attributes->__sp) < 0)
        return -1;
    if ((flags & POSIX_SPAWN_SETSID) && setsid() < 0)
        return -1;
    if ((flags & POSIX_SPAWN_SETPGROUP) && setpgid(0, attributes->__pgrp) < 0)
        return -1;
    if ((flags & POSIX_SPAWN_RESETIDS) && (setegid(getgid()) < 0 || seteuid(getuid()) < 0))
        return -1;
    return 0;
}

static int become_program(const struct spawn *spawn)
{
    short flags = spawn->attributes ? spawn->attributes->__flags : 0;
    reset_signals(spawn, flags);
    if (apply_attributes(spawn, flags) < 0)
        return -1;
    for (int i = 0; spawn->actions && i < spawn->actions->__used; i++) {
        if (do_action(action_at(spawn->actions, i)) < 0)
            return -1;
    }
    sys_sigprocmask(SIG_SETMASK, flags & POSIX_SPAWN_SETSIGMASK ? &spawn->attributes->__ss : &spawn->mask,
                    NULL);
    if (spawn->search)
        return exec_search(spawn->path, spawn->argv, spawn->envp);
    return exec_at(AT_FDCWD, spawn->path, spawn->argv, spawn->envp, 0);
}

/* What become_program() does. */
static const short KNOWN_FLAGS = POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSCHEDPARAM |
                                 POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_USEVFORK | POSIX_SPAWN_SETSID;

static int flags_of(const struct spawn *spawn)
{
    return spawn->attributes ? spawn->attributes->__flags : 0;
}

/* As fork(2), but the parent waits until the child has become the program, or has failed. */
static pid_t fork_waiting(struct spawn *spawn)
{
    const long more = spawn->pidfd ? CLONE_PIDFD : 0;
    fork_prepare();
    long child = sys_call(SYS_clone, CLONE_VFORK | SIGCHLD | more, 0, sys_ptr(&spawn->descriptor), 0, 0, 0);
    door_forked(child);
    return (pid_t)child;
}

/* In the parent: what the child left. */
static int finish(const struct spawn *spawn, pid_t child)
{
    if (child < 0)
        return (int)-child;
    int error = *spawn->error;
    if (!error && spawn->child)
        *spawn->child = spawn->pidfd ? spawn->descriptor : child;
    if (error)
        waitpid(child, NULL, 0);
    if (error && spawn->pidfd)
        sys_close(spawn->descriptor);
    return error;
}

/* No cancellation point: a child that was cancelled would be no child of posix_spawn(3)'s. */
static int spawn_by_doors(struct spawn *spawn)
{
    sigset_t all;
    int saved = errno, state;
    if (flags_of(spawn) & ~KNOWN_FLAGS)
        return EOPNOTSUPP;
    spawn->error = net_mmap(sizeof *spawn->error, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    if (spawn->error == MAP_FAILED)
        return ENOMEM;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    sigfillset(&all);
    sys_sigprocmask(SIG_SETMASK, &all, &spawn->mask);
    pid_t child = fork_waiting(spawn);
    if (child == 0) {
        become_program(spawn);
        *spawn->error = errno ? errno : ECHILD;
        sys_exit_group(127);
    }
    sys_sigprocmask(SIG_SETMASK, &spawn->mask, NULL);
    int error = finish(spawn, child);
    net_munmap(spawn->error, sizeof *spawn->error);
    pthread_setcancelstate(state, NULL);
    errno = saved;
    return error;
}

static bool changes_directory(const posix_spawn_file_actions_t *actions)
{
    for (int i = 0; actions && i < actions->__used; i++) {
        if (action_at(actions, i)->tag == ACTION_CHDIR || action_at(actions, i)->tag == ACTION_FCHDIR)
            return true;
    }
    return false;
}

/* How the child is made. */
enum way {
    WAY_LIBC,      /* by libc, as the program has it */
    WAY_COMPLETED, /* by libc, with a completed environment */
    WAY_DOORS,     /* here, through the doors */
};

static enum way way_of(const struct spawn *spawn)
{
    config_load();
    if (!config_get()->active || !spawn->path)
        return WAY_LIBC;
    if (may_get_sealed(spawn->actions))
        return WAY_DOORS;
    if (environment_opts_out(spawn->envp))
        return WAY_LIBC;
    if ((*spawn->path != '/' && changes_directory(spawn->actions)) ||
        (flags_of(spawn) & POSIX_SPAWN_RESETIDS))
        return WAY_DOORS; /* where the program is, and with which rights it runs, the child finds out */
    if (environment_audits(spawn->envp))
        return WAY_DOORS;
    enum exec_kind kind = spawn->search ? exec_search_kind(spawn->path) : exec_kind(spawn->path);
    return kind == EXEC_OTHER ? WAY_DOORS : WAY_COMPLETED;
}

typedef int spawn_function(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);

/* By libc's function. An old libc has none that gives a descriptor. */
static int spawn_by_libc(struct spawn *spawn, char *const *envp)
{
    const struct real *libc = real();
    spawn_function *function = spawn->search ? libc->posix_spawnp : libc->posix_spawn;
    if (spawn->pidfd)
        function = spawn->search ? libc->pidfd_spawnp : libc->pidfd_spawn;
    if (!function)
        return spawn_by_doors(spawn);
    return function(spawn->child, spawn->path, spawn->actions, spawn->attributes, spawn->argv, envp);
}

/* A function of its own, since way_of() needs as much of the stack. */
static __attribute__((noinline)) int spawn_completed(struct spawn *spawn)
{
    char text[ENVIRONMENT_TEXT];
    char **complete = alloca((environment_count(spawn->envp) + ENVIRONMENT_ADDED) * sizeof *complete);
    if (!environment_complete_spawned(spawn->envp, complete, text))
        return E2BIG;
    return spawn_by_libc(spawn, complete);
}

static int spawn_any(struct spawn *spawn)
{
    enum way way = way_of(spawn);
    fdtable_note_copies();
    if (way == WAY_DOORS)
        return spawn_by_doors(spawn);
    return way == WAY_LIBC ? spawn_by_libc(spawn, spawn->envp) : spawn_completed(spawn);
}

/* The arguments that the doors have in common. */
static struct spawn spawn_of(const char *path, const posix_spawn_file_actions_t *actions,
                             const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    return (struct spawn){
        .path = path, .actions = actions, .attributes = attributes, .argv = argv, .envp = envp};
}

DOOR int posix_spawn(pid_t *restrict pid, const char *restrict path,
                     const posix_spawn_file_actions_t *restrict actions,
                     const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                     char *const envp[restrict])
{
    struct spawn spawn = spawn_of(path, actions, attributes, argv, envp);
    spawn.child = pid;
    return spawn_any(&spawn);
}

DOOR int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                      const posix_spawn_file_actions_t *restrict actions,
                      const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                      char *const envp[restrict])
{
    struct spawn spawn = spawn_of(file, actions, attributes, argv, envp);
    spawn.child = pid;
    spawn.search = true;
    return spawn_any(&spawn);
}

/* The same with a descriptor of the process in the place of its number. */
DOOR int pidfd_spawn(int *restrict pidfd, const char *restrict path,
                     const posix_spawn_file_actions_t *restrict actions,
                     const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                     char *const envp[restrict])
{
    struct spawn spawn = spawn_of(path, actions, attributes, argv, envp);
    spawn.child = pidfd;
    spawn.pidfd = true;
    return spawn_any(&spawn);
}

DOOR int pidfd_spawnp(int *restrict pidfd, const char *restrict file,
                      const posix_spawn_file_actions_t *restrict actions,
                      const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                      char *const envp[restrict])
{
    struct spawn spawn = spawn_of(file, actions, attributes, argv, envp);
    spawn.child = pidfd;
    spawn.pidfd = true;
    spawn.search = true;
    return spawn_any(&spawn);
}
