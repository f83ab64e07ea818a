/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Every way to run a program completes its environment, and an exec that fails leaves nothing behind. */

#include "suite.h"

#include "net.h"
#include "script.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;

enum { COMMAND_MAX = 8192 };

/* In the child: runs the program with this environment. */
typedef void start(char *const argv[], char *const envp[]);

static void by_execve(char *const argv[], char *const envp[])
{
    execve(argv[0], argv, envp);
}

static void by_execvpe(char *const argv[], char *const envp[])
{
    execvpe(argv[0], argv, envp);
}

static void by_fexecve(char *const argv[], char *const envp[])
{
    fexecve(open(argv[0], O_PATH | O_CLOEXEC), argv, envp);
}

static void by_execveat(char *const argv[], char *const envp[])
{
    execveat(AT_FDCWD, argv[0], argv, envp, 0);
}

static void by_execv(char *const argv[], char *const envp[])
{
    environ = (char **)(uintptr_t)envp;
    execv(argv[0], argv);
}

static void by_execvp(char *const argv[], char *const envp[])
{
    environ = (char **)(uintptr_t)envp;
    execvp(argv[0], argv);
}

static void by_execle(char *const argv[], char *const envp[])
{
    char command[COMMAND_MAX] = "exec";
    for (size_t i = 0; argv[i]; i++)
        snprintf(command + strlen(command), sizeof command - strlen(command), " '%s'", argv[i]);
    execle("/bin/sh", "sh", "-c", command, (char *)NULL, envp);
}

static void by_syscall(char *const argv[], char *const envp[])
{
    syscall(SYS_execve, argv[0], argv, envp);
}

static void by_syscall_at(char *const argv[], char *const envp[])
{
    syscall(SYS_execveat, AT_FDCWD, argv[0], argv, envp, 0);
}

static void leave_as(pid_t child)
{
    _exit(suite_wait(child));
}

static void by_vfork(char *const argv[], char *const envp[])
{
    pid_t child = vfork();
    if (child == 0) {
        execve(argv[0], argv, envp);
        _exit(126);
    }
    leave_as(child);
}

static void by_posix_spawn(char *const argv[], char *const envp[])
{
    pid_t child = -1;
    posix_spawn(&child, argv[0], NULL, NULL, argv, envp);
    leave_as(child);
}

/* Found along PATH, from a directory that an action changes to. */
static void by_posix_spawnp(char *const argv[], char *const envp[])
{
    pid_t child = -1;
    posix_spawn_file_actions_t actions;
    char *slash = strrchr(argv[0], '/');
    setenv("PATH", ".", 1);
    posix_spawn_file_actions_init(&actions);
    *slash = '\0';
    posix_spawn_file_actions_addchdir_np(&actions, argv[0]);
    posix_spawnp(&child, slash + 1, &actions, NULL, argv, envp);
    leave_as(child);
}

static void command_of(char *const argv[], char command[static COMMAND_MAX])
{
    *command = '\0';
    for (size_t i = 0; argv[i]; i++)
        snprintf(command + strlen(command), COMMAND_MAX - strlen(command), "'%s' ", argv[i]);
}

static void by_system(char *const argv[], char *const envp[])
{
    char command[COMMAND_MAX];
    command_of(argv, command);
    environ = (char **)(uintptr_t)envp;
    _exit(WEXITSTATUS(system(command)));
}

static void by_popen(char *const argv[], char *const envp[])
{
    char command[COMMAND_MAX];
    command_of(argv, command);
    environ = (char **)(uintptr_t)envp;
    _exit(WEXITSTATUS(pclose(popen(command, "w"))));
}

static const struct way {
    const char *name;
    start *run;
} ways[] = {
    {"execve", by_execve},
    {"execvpe", by_execvpe},
    {"fexecve", by_fexecve},
    {"execveat", by_execveat},
    {"execv", by_execv},
    {"execvp", by_execvp},
    {"execle", by_execle},
    {"syscall(SYS_execve)", by_syscall},
    {"syscall(SYS_execveat)", by_syscall_at},
    {"vfork", by_vfork},
    {"posix_spawn", by_posix_spawn},
    {"posix_spawnp", by_posix_spawnp},
    {"system", by_system},
    {"popen", by_popen},
};

/* The status of a program that was run each way with this environment and looks for these entries in its own.
 */
static void expect_each(char *const envp[], const char *const *steps)
{
    for (size_t i = 0; i < suite_count(ways); i++) {
        pid_t child = suite_fork();
        if (child == 0) {
            char *argv[SCRIPT_WORDS];
            script_arguments(steps, argv);
            ways[i].run(argv, envp);
            _exit(126);
        }
        int status = suite_wait(child);
        if (status != 0)
            fail_msg("%s: status %d", ways[i].name, status);
    }
}

static const char *setting(const char *name)
{
    return script_step("env %s=%s", name, getenv(name));
}

static void an_environment_of_its_own(void)
{
    static char entry[] = "MINE=1", *const some[] = {entry, NULL}, *const none[] = {NULL};
    const char *steps[] = {"env MINE=1",
                           setting("LD_PRELOAD"),
                           setting("SOCKSEAL_PORTS"),
                           setting("SOCKSEAL_KEY_FILE"),
                           "noenv SOCKSEAL_STATE",
                           NULL};
    if (!suite_has_library())
        skip();
    expect_each(some, steps);
    expect_each(none, steps + 1);
}

/* What the program sets itself stays. */
static void settings_of_its_own(void)
{
    static char ports[] = "SOCKSEAL_PORTS=127.77.0.0/16:9", other[] = "SOCKSEAL_LOG=error";
    static char *const envp[] = {ports, other, NULL};
    const char *steps[] = {"env SOCKSEAL_PORTS=127.77.0.0/16:9", "env SOCKSEAL_LOG=error",
                           setting("LD_PRELOAD"), setting("SOCKSEAL_KEY_FILE"), NULL};
    if (!suite_has_library())
        skip();
    expect_each(envp, steps);
}

/* The dynamic linker heeds the last of several entries, getenv(3) the first. */
static void preloaded_twice(void)
{
    static char other[] = "LD_PRELOAD=libm.so.6";
    char *const envp[] = {(char *)(uintptr_t)script_step("LD_PRELOAD=%s", getenv("LD_PRELOAD")), other, NULL};
    const char *steps[] = {script_step("env LD_PRELOAD=%s:libm.so.6", getenv("LD_PRELOAD")), NULL};
    if (!suite_has_library())
        skip();
    expect_each(envp, steps);
}

/* SOCKSEAL_PORTS is there and empty: the program wants nothing sealed. */
static void nothing_is_to_be_sealed(void)
{
    static char ports[] = "SOCKSEAL_PORTS=", *const envp[] = {ports, NULL};
    const char *steps[] = {"env SOCKSEAL_PORTS=", "noenv LD_PRELOAD", "noenv SOCKSEAL_KEY_FILE", NULL};
    if (!suite_has_library())
        skip();
    expect_each(envp, steps);
}

/* wordexp(3) runs the shell past the doors: not if that would be without the library. */
static void words_of_a_command(void)
{
    wordexp_t words;
    if (!suite_has_library())
        skip();
    assert_int_equal(wordexp("$(echo word)", &words, 0), 0);
    wordfree(&words);
    clearenv();
    assert_int_equal(wordexp("$(echo word)", &words, 0), WRDE_CMDSUB);
    assert_int_equal(wordexp("plain words", &words, 0), 0);
    wordfree(&words);
}

/* A program of another machine: it cannot be sealed, and the kernel refuses it. */
static void make_foreign(char path[static 64])
{
    Elf64_Ehdr header = {.e_type = ET_EXEC, .e_machine = EM_S390, .e_version = EV_CURRENT};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64, header.e_ident[EI_DATA] = ELFDATA2LSB;
    snprintf(path, 64, "/tmp/sockseal-foreign-%d", (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, &header, sizeof header), sizeof header);
    close(fd);
}

static void expect_refused_by_the_kernel(const char *path)
{
    sigset_t before = {0}, after = {0};
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    sigprocmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(execve(path, argv, environ), -1);
    assert_int_equal(errno, ENOEXEC);
    sigprocmask(SIG_SETMASK, NULL, &after);
    assert_memory_equal(&before, &after, sizeof before);
}

/* Neither the fence nor no_new_privs, as root and as another user, stay with the process. */
static int reach_named_port(void)
{
    int pair[2];
    net_warm_pair(&net_sealed, pair);
    close(pair[0]), close(pair[1]);
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void a_failed_exec_leaves_no_fence(void)
{
    char path[64];
    if (!suite_has_library())
        skip();
    make_foreign(path);
    chmod(path, 0755);
    expect_refused_by_the_kernel(path);
    assert_int_equal(reach_named_port(), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        if (geteuid() == 0)
            assert_int_equal(setresuid(65534, 65534, 65534), 0);
        expect_refused_by_the_kernel(path);
        _exit(reach_named_port());
    }
    int status = suite_wait(child);
    unlink(path);
    assert_int_equal(status, 0);
}

static const struct suite_test tests[] = {
    {.name = "an environment of its own", .run = an_environment_of_its_own},
    {.name = "preloaded twice", .run = preloaded_twice},
    {.name = "settings of its own", .run = settings_of_its_own},
    {.name = "nothing is to be sealed", .run = nothing_is_to_be_sealed},
    {.name = "words of a command", .run = words_of_a_command},
    {.name = "a failed exec leaves no fence", .run = a_failed_exec_leaves_no_fence},
};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
