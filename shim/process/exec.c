/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/exec.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/environment.h"
#include "conn/fdtable.h"
#include "diag/log.h"
#include "process/exec_fenced.h"
#include "process/exec_handover.h"
#include "process/fence.h"
#include "process/library.h"
#include "process/warned.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/program.h"

/* The arguments of execveat(2), and the environment that the program gets. */
struct request {
    int directory;
    const char *path;
    char *const *argv, *const *envp;
    int flags;
};

static struct exec_call call_of(const struct request *request)
{
    if (request->directory == AT_FDCWD && request->flags == 0)
        return (struct exec_call){SYS_execve,
                                  {sys_ptr(request->path), sys_ptr(request->argv), sys_ptr(request->envp)}};
    return (struct exec_call){SYS_execveat,
                              {request->directory, sys_ptr(request->path), sys_ptr(request->argv),
                               sys_ptr(request->envp), request->flags}};
}

enum { PLAN_AGAIN = 1 }; /* another process has released a connection since the plan was made */

/* Like those below, -errno. */
static int call(const struct request *request)
{
    const struct exec_call exec = call_of(request);
    const long *a = exec.arguments;
    return (int)sys_call(exec.number, a[0], a[1], a[2], a[3], a[4], 0);
}

static int refuse(const char *reason, const char *what)
{
    log_line(LOG_ERROR, "exec is refused%s: %s", what, reason);
    return -EACCES;
}

/* Looks at the file that the kernel would run. */
static void check(const struct request *request, struct program *program)
{
    char name[32];
    bool by_descriptor = (request->flags & AT_EMPTY_PATH) && !*request->path;
    if (by_descriptor)
        snprintf(name, sizeof name, "/proc/self/fd/%d", request->directory);
    program_check(program, by_descriptor ? AT_FDCWD : request->directory,
                  by_descriptor ? name : request->path, true);
    if (by_descriptor && program->verdict == PROGRAM_MISSING) /* /proc is */
        program->verdict = PROGRAM_UNKNOWN;
    program_check_loaded(program, request->argv);
    if (program->verdict == PROGRAM_GOOD && environment_audits(request->envp))
        program_refuse_audited(program, request->path);
    if (program->verdict == PROGRAM_GOOD && !library_is_loadable()) {
        program->verdict = PROGRAM_UNSEALABLE;
        snprintf(program->reason, sizeof program->reason,
                 "%s: %s cannot be loaded from here (chroot, another mount namespace, file modes, noexec?)",
                 request->path, environment_library());
    }
}

enum exec_kind exec_kind(const char *path)
{
    const struct request request = {.directory = AT_FDCWD, .path = path};
    struct program program;
    check(&request, &program);
    if (program.verdict == PROGRAM_GOOD)
        return program.is_linker ? EXEC_OTHER : EXEC_LOADABLE; /* what it loads is found out by exec_at() */
    return program.verdict == PROGRAM_UNSEALABLE || program.verdict == PROGRAM_UNKNOWN ? EXEC_OTHER
                                                                                       : EXEC_ABSENT;
}

/* ---- programs with the library ---- */

/* Calls `run` between the beginning of the hand-over and, as it returns only if exec fails, its end. */
static int run_handed_over(struct exec_handover *plan, const struct request *request, const void *context,
                           int (*run)(const struct request *request, const void *context))
{
    int error = exec_handover_begin(plan);
    if (error < 0)
        return error == -EAGAIN ? PLAN_AGAIN : error;
    int result = run(request, context);
    exec_handover_undo(plan);
    return result;
}

static int run_completed(const struct request *request, const void *state)
{
    char text[ENVIRONMENT_TEXT];
    char **complete = alloca((environment_count(request->envp) + ENVIRONMENT_ADDED) * sizeof *complete);
    struct request completed = *request;
    if (!environment_complete(request->envp, state, complete, text))
        return -E2BIG;
    completed.envp = complete;
    return call(&completed);
}

bool exec_is_complete(char *const envp[])
{
    char text[ENVIRONMENT_TEXT];
    size_t count = environment_count(envp);
    char **complete = alloca((count + ENVIRONMENT_ADDED) * sizeof *complete);
    if (environment_audits(envp) || !environment_complete_spawned(envp, complete, text) ||
        environment_count(complete) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (complete[i] != envp[i])
            return false;
    }
    return true;
}

static int run_sealed(struct exec_handover *plan, const struct request *request)
{
    const bool state = plan->surviving + plan->close_after_exec > 0;
    if (!plan->any)
        return run_completed(request, NULL);
    return run_handed_over(plan, request, state ? plan->text : NULL, run_completed);
}

/* ---- programs without the library ---- */

static int run_in_the_clear(const struct request *request, const struct program *program)
{
    if (program->verdict != PROGRAM_UNSEALABLE) /* usually the kernel's answer, too */
        return config_get()->strict ? -ENOEXEC : call(request);
    if (warned_first(program->reason))
        log_line(LOG_WARN,
                 "%s; it runs without the library, and on the ports of SOCKSEAL_PORTS it is in the clear "
                 "(SOCKSEAL_STRICT=1 refuses it)",
                 program->reason);
    return call(request);
}

/* *own: the descriptor is for this call alone. A vfork(2) child cannot keep one. */
static int get_ruleset(bool *own)
{
    int ruleset = ownfd_get(OWNFD_FENCE);
    *own = false;
    if (ruleset >= 0)
        return ruleset;
    ruleset = fence_ruleset(&config_get()->rules);
    *own = ruleset >= 0 && !self_owns_tables();
    if (ruleset < 0 || *own)
        return ruleset;
    ruleset = ownfd_keep(OWNFD_FENCE, ruleset);
    return ruleset < 0 ? -EMFILE : ruleset;
}

/* A program that nothing can be loaded into is no news; what is easily set right is. */
static void tell_fenced(const struct program *program)
{
    const bool two_users = sys_getuid() != sys_geteuid() || sys_getgid() != sys_getegid();
    if (program->verdict != PROGRAM_UNSEALABLE)
        return;
    const bool warn =
        (two_users || program->is_audited || !library_is_loadable()) && warned_first(program->reason);
    log_line(warn ? LOG_WARN : LOG_INFO, "%s; the ports of SOCKSEAL_PORTS are denied to it", program->reason);
}

static bool fence_is_absent(int error)
{
    return error == -EOPNOTSUPP || error == -EPERM || error == -EINVAL || error == -ENOSYS;
}

static int run_fenced(const struct request *request, const void *context)
{
    const struct program *program = context;
    const struct exec_call exec = call_of(request);
    bool own, outside = true;
    int ruleset = get_ruleset(&own), result = ruleset;
    if (ruleset >= 0) {
        tell_fenced(program);
        result = exec_fenced(&exec, ruleset, program->raises_rights, &outside);
    }
    if (own)
        sys_close(ruleset);
    if (!outside)
        return result;
    if (fence_is_absent(result))
        return run_in_the_clear(request, program);
    log_line(LOG_ERROR, "exec is refused: %s, and its ports cannot be denied to it (errno %d)",
             program->reason, -result);
    return result;
}

/* Programs that it starts in turn may be sealed ones. */
static int run_unsealed(const struct request *request, const void *context)
{
    char text[ENVIRONMENT_TEXT];
    char **complete = alloca((environment_count(request->envp) + ENVIRONMENT_ADDED) * sizeof *complete);
    struct request completed = *request;
    struct listeners listeners;
    if (library_is_loadable() && environment_complete(request->envp, NULL, complete, text))
        completed.envp = complete;
    exec_handover_find_listeners(&listeners);
    exec_handover_keep_listeners(&listeners, true);
    int result = run_fenced(&completed, context);
    exec_handover_keep_listeners(&listeners, false);
    return result;
}

static int go_on_unsealed(struct exec_handover *plan, const struct program *program,
                          const struct request *request)
{
    if (config_get()->strict)
        return refuse(program->reason, " (SOCKSEAL_STRICT)");
    if (plan->surviving)
        return refuse(program->reason, ", for the program would get a sealed connection");
    if (plan->close_after_exec)
        exec_handover_end_closing();
    return exec_handover_plan(plan) ? run_handed_over(plan, request, program, run_unsealed)
                                    : run_unsealed(request, program);
}

static int run_as_it_is(const struct request *request, const void *context)
{
    (void)context;
    return call(request);
}

/* -errno or PLAN_AGAIN. */
static int attempt(const struct request *request)
{
    struct exec_handover plan;
    struct program program;
    fdtable_note_copies(); /* a vfork(2) child's */
    const bool any = exec_handover_plan(&plan), needed = plan.surviving + plan.close_after_exec > 0;
    if (!request->path || !config_get()->active || (!needed && environment_opts_out(request->envp)))
        return any ? run_handed_over(&plan, request, NULL, run_as_it_is) : call(request);
    check(request, &program);
    if (program.verdict == PROGRAM_GOOD)
        return run_sealed(&plan, request);
    if (program.verdict == PROGRAM_UNSEALABLE)
        return go_on_unsealed(&plan, &program, request);
    if (program.verdict == PROGRAM_MISSING)
        return call(request);               /* for the kernel to refuse */
    return run_unsealed(request, &program); /* sealed descriptors are close-on-exec */
}

int exec_at(int directory, const char *path, char *const argv[], char *const envp[], int flags)
{
    const struct request request = {directory, path, argv, envp, flags};
    int error, saved = errno;
    config_load();
    do
        error = attempt(&request);
    while (error == PLAN_AGAIN);
    errno = error < 0 ? -error : saved;
    return -1;
}
