/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The other ways to run a program: posix_spawn with its actions and attributes, vfork, system, popen, daemon.
 */

#include "suite.h"

#include "net.h"
#include "script.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>

FILE *_IO_popen(const char *command, const char *mode);
int __dup2(int from, int to);
int __fcntl(int fd, int command, ...);
pid_t __fork(void);
pid_t _Fork(void);
int __nanosleep(const struct timespec *time, struct timespec *left);
int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

extern char **environ;

enum { COMMAND_MAX = 8192 };

static pid_t spawn_script(const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                          const char *const *steps)
{
    char *argv[SCRIPT_WORDS];
    pid_t child = -1;
    script_arguments(steps, argv);
    assert_int_equal(posix_spawn(&child, argv[0], actions, attributes, argv, environ), 0);
    return child;
}

/* Without actions: what is not close-on-exec is there at its number. */
static void spawned_without_actions(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    fcntl(pair[0], F_SETFD, 0);
    pid_t child =
        spawn_script(NULL, NULL,
                     (const char *[]){script_step("r %d ask", pair[0]), script_step("w %d answer", pair[0]),
                                      script_step("closed %d", pair[1]), "noenv SOCKSEAL_STATE", NULL});
    script_expect(pair, child, "answer");
}

static void spawned_with_every_action(const struct net *net)
{
    int pair[2], other[2];
    posix_spawn_file_actions_t actions;
    net_warm_pair(net, pair);
    net_warm_pair(net, other);
    int top = fcntl(other[0], F_DUPFD, 60), folder = open("/", O_PATH | O_CLOEXEC), file = dup2(pair[0], 45);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[0], 0);
    posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
    posix_spawn_file_actions_adddup2(&actions, other[0], 30);
    posix_spawn_file_actions_adddup2(&actions, other[0], other[0]); /* survives */
    posix_spawn_file_actions_addclose(&actions, 999);
    posix_spawn_file_actions_addopen(&actions, 45, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, "/tmp");
    posix_spawn_file_actions_addopen(&actions, 32, "..", O_RDONLY, 0);
    posix_spawn_file_actions_addfchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, 33, "etc/passwd", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 50);
    pid_t child = spawn_script(
        &actions, NULL,
        (const char *[]){"r 0 one", "w 1 two", "w 30 three", script_step("w %d four", other[0]), "eof 45",
                         "keeps 32", "r 33 root", "closed 999", script_step("closed %d", top),
                         script_step("closed %d", pair[0]), script_step("closed %d", pair[1]), NULL});
    posix_spawn_file_actions_destroy(&actions);
    close(pair[0]), close(other[0]), close(top), close(folder), close(file);
    assert_int_equal(write(pair[1], "one", 3), 3);
    net_expect_text(pair[1], "two");
    net_expect_text(other[1], "threefour");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]), net_expect_end(other[1]);
}

/* What the attributes have made of the process, as /proc tells. */
static int attributes_role(int argc, char **argv)
{
    sigset_t mask;
    struct sigaction action, interrupt;
    (void)argc;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigaction(SIGUSR1, NULL, &action);
    sigaction(SIGINT, NULL, &interrupt);
    dprintf(1, "%d %d %d %d %d %d\n", getpgrp() == getpid(), getsid(0) == getpid(),
            sigismember(&mask, SIGUSR2), action.sa_handler == SIG_DFL, interrupt.sa_handler == SIG_IGN,
            sched_getscheduler(0) == SCHED_OTHER);
    return atoi(argv[1]);
}

static void spawned_with_attributes(const struct net *net)
{
    int pair[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t mask, defaults;
    struct sched_param parameters = {0};
    pid_t child;
    char *argv[] = {script_program(), (char *)(uintptr_t) "--role", (char *)(uintptr_t) "attributes",
                    (char *)(uintptr_t) "7", NULL};
    net_warm_pair(net, pair);
    signal(SIGUSR1, SIG_IGN), signal(SIGINT, SIG_IGN);
    sigemptyset(&mask), sigaddset(&mask, SIGUSR2);
    sigemptyset(&defaults), sigaddset(&defaults, SIGUSR1);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
    posix_spawnattr_setschedparam(&attributes, &parameters);
    const short common =
        POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_RESETIDS;
    for (int round = 0; round < 2; round++) {
        posix_spawnattr_setflags(&attributes,
                                 (short)(common | (round ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP)));
        assert_int_equal(posix_spawn(&child, argv[0], &actions, &attributes, argv, environ), 0);
        net_expect_text(pair[1], round ? "1 1 1 1 1 1\n" : "1 0 1 1 1 1\n");
        assert_int_equal(suite_wait(child), 7);
    }
    posix_spawnattr_setflags(&attributes, 0);
    assert_int_equal(posix_spawn(&child, argv[0], &actions, &attributes, argv, environ), 0);
    net_expect_text(pair[1], "0 0 0 0 1 1\n");
    assert_int_equal(suite_wait(child), 7);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* It fails with the error of the step that failed, and the connection goes on. */
static void a_spawn_that_fails(const struct net *net)
{
    int pair[2];
    pid_t child = 12345;
    posix_spawn_file_actions_t actions;
    char *argv[] = {(char *)(uintptr_t) "x", NULL};
    net_warm_pair(net, pair);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
    assert_int_equal(posix_spawn(&child, "/nonexistent", &actions, NULL, argv, environ), ENOENT);
    assert_int_equal(posix_spawn(&child, "/tmp", &actions, NULL, argv, environ), EACCES);
    assert_int_equal(posix_spawnp(&child, "no-such-program", &actions, NULL, argv, environ), ENOENT);
    posix_spawn_file_actions_addopen(&actions, 5, "/nonexistent/file", O_RDONLY, 0);
    assert_int_equal(posix_spawn(&child, "/bin/true", &actions, NULL, argv, environ), ENOENT);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
    posix_spawn_file_actions_adddup2(&actions, 998, 2);
    assert_int_equal(posix_spawn(&child, "/bin/true", &actions, NULL, argv, environ), EBADF);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]);
    net_expect_end(pair[1]);
}

static void spawned_by_the_path(const struct net *net)
{
    int pair[2];
    pid_t child;
    posix_spawn_file_actions_t actions;
    char *argv[] = {(char *)(uintptr_t) "echo", (char *)(uintptr_t) "by PATH", NULL};
    net_warm_pair(net, pair);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
    assert_int_equal(posix_spawnp(&child, "echo", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    net_expect_text(pair[1], "by PATH\n");
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* As Python's subprocess does it: dup2 and exec in the child of a vfork, where the first program of the
 * search is missing. `shift`: the connection comes by another number than the parent has. */
static void spawned_with_a_descriptor_of_the_process(const struct net *net)
{
    typedef int spawn(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                      char *const[], char *const[]);
    static const char *const names[] = {"pidfd_spawn", "pidfd_spawnp"};
    static const char *const programs[] = {"/bin/echo", "echo"};
    for (size_t i = 0; i < suite_count(names); i++) {
        int pair[2], pidfd = -1;
        char *argv[] = {(char *)(uintptr_t) "echo", (char *)(uintptr_t) "-n", (char *)(uintptr_t) "hello",
                        NULL};
        posix_spawn_file_actions_t actions;
        siginfo_t info = {0};
        spawn *call = NULL;
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        if (!symbol)
            skip(); /* neither the library nor glibc 2.39 */
        memcpy(&call, &symbol, sizeof call);
        net_warm_pair(net, pair);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
        assert_int_equal(call(&pidfd, "/no/such/program", &actions, NULL, argv, environ), ENOENT);
        assert_int_equal(pidfd, -1);
        assert_int_equal(call(&pidfd, programs[i], &actions, NULL, argv, environ), 0);
        assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
        net_expect_text(pair[1], "hello");
        assert_int_equal(waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED), 0);
        assert_int_equal(info.si_status, 0);
        posix_spawn_file_actions_destroy(&actions);
        close(pidfd), close(pair[0]);
        net_expect_end(pair[1]);
    }
}

static pid_t vfork_exec(int fd, char *const argv[], char *const programs[])
{
    pid_t child = vfork();
    if (child == 0) {
        for (int to = 0; to < 3; to++)
            dup2(fd, to);
        for (int i = 0; programs[i]; i++)
            execve(programs[i], argv, environ);
        _exit(99);
    }
    return child;
}

static void in_a_vfork_child(const struct net *net)
{
    int pair[2];
    char *argv[SCRIPT_WORDS];
    net_warm_pair(net, pair);
    script_arguments((const char *[]){"r 0 ask", "w 1 answer", "w 2 .", script_step("closed %d", pair[0]),
                                      script_step("closed %d", pair[1]), NULL},
                     argv);
    char *programs[] = {(char *)(uintptr_t) "/nonexistent/a", (char *)(uintptr_t) "/etc/passwd", argv[0],
                        NULL};
    for (int round = 0; round < 3; round++) {
        pid_t child = vfork_exec(pair[0], argv, programs);
        assert_int_equal(write(pair[1], "ask", 3), 3);
        net_expect_text(pair[1], "answer.");
        assert_int_equal(suite_wait(child), 0);
    }
    programs[2] = NULL; /* fails in the end */
    assert_int_equal(suite_wait(vfork_exec(pair[0], argv, programs)), 99);
    assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(pair[0], "parent", 6), 6);
    net_expect_text(pair[1], "parent");
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* The parent closes first, and what the vfork child's program does is the end. */
static void a_vfork_child_survives_its_parents_close(const struct net *net)
{
    int pair[2], gate[2];
    char *argv[SCRIPT_WORDS];
    net_warm_pair(net, pair);
    assert_int_equal(pipe(gate), 0);
    fcntl(gate[1], F_SETFD, FD_CLOEXEC);
    script_arguments((const char *[]){script_step("wait %d", gate[0]), "w 1 last words", NULL}, argv);
    pid_t child = vfork_exec(pair[0], argv, (char *[]){argv[0], NULL});
    close(pair[0]);
    assert_int_equal(net_wait(pair[1], POLLIN, 30), 0);
    close(gate[0]), close(gate[1]);
    net_expect_text(pair[1], "last words");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* At the parent's own number, without FD_CLOEXEC. */
static void a_vfork_child_inherits(const struct net *net)
{
    int pair[2];
    char *argv[SCRIPT_WORDS];
    net_warm_pair(net, pair);
    fcntl(pair[0], F_SETFD, 0);
    script_arguments(
        (const char *[]){script_step("w %d here", pair[0]), script_step("keeps %d", pair[0]), NULL}, argv);
    pid_t child = vfork();
    if (child == 0) {
        execv(argv[0], argv);
        _exit(99);
    }
    net_expect_text(pair[1], "here");
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), 0);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]);
    net_expect_end(pair[1]);
}

static void by_system(const struct net *net)
{
    int pair[2];
    char command[COMMAND_MAX];
    net_warm_pair(net, pair);
    fcntl(pair[0], F_SETFD, 0);
    script_command(
        (const char *[]){script_step("w %d from system", pair[0]), script_step("closed %d", pair[1]), NULL},
        command, sizeof command);
    assert_int_equal(system(command), 0);
    net_expect_text(pair[1], "from system");
    assert_int_equal(system("exit 3"), 3 << 8);
    assert_int_equal(system("kill -9 $$"), SIGKILL);
    assert_int_equal(system("no-such-command-anywhere 2>/dev/null"), 127 << 8);
    assert_int_not_equal(system(NULL), 0);
    snprintf(command, sizeof command, "echo shell >&%d", pair[0]);
    assert_int_equal(system(command), 0);
    net_expect_text(pair[1], "shell\n");
    close(pair[0]);
    net_expect_end(pair[1]);
}

static void expect_stream(FILE *stream, const char *text)
{
    char line[128] = "";
    assert_non_null(fgets(line, sizeof line, stream));
    assert_string_equal(line, text);
}

static void by_popen(const struct net *net)
{
    int pair[2];
    char command[COMMAND_MAX];
    net_warm_pair(net, pair);
    fcntl(pair[0], F_SETFD, 0);
    snprintf(command, sizeof command, "echo sealed >&%d; echo piped; exit 5", pair[0]);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    assert_int_equal(fcntl(fileno(stream), F_GETFD), 0);
    expect_stream(stream, "piped\n");
    net_expect_text(pair[1], "sealed\n");
    assert_int_equal(pclose(stream), 5 << 8);
    snprintf(command, sizeof command, "read line; echo \"$line!\" >&%d", pair[0]);
    stream = popen(command, "we");
    FILE *other = popen("cat >/dev/null; exit 1", "w"); /* has not the first one's pipe */
    assert_int_equal(fcntl(fileno(stream), F_GETFD), FD_CLOEXEC);
    fputs("words\n", stream);
    assert_int_equal(pclose(stream), 0);
    net_expect_text(pair[1], "words!\n");
    assert_int_equal(pclose(other), 1 << 8);
    assert_null(popen("true", "x"));
    assert_int_equal(errno, EINVAL);
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* popen's child reads from a sealed standard input; and one whose standard output is sealed writes to it. */
static void popen_between_sealed_standards(const struct net *net)
{
    int pair[2];
    char text[32] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(pair[0], 0), dup2(pair[0], 1);
        FILE *in = popen("read line; echo \"<$line>\"", "r"), *out = popen("cat", "w");
        if (!fgets(text, sizeof text, in))
            _exit(1);
        fputs(text, out);
        _exit(pclose(in) + pclose(out));
    }
    close(pair[0]);
    assert_int_equal(write(pair[1], "sealed\n", 7), 7);
    net_expect_text(pair[1], "<sealed>\n");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* wordexp(3) runs the shell within libc: it gets no sealed descriptor, and the connection is not harmed. */
static void by_wordexp(const struct net *net)
{
    int pair[2];
    wordexp_t words;
    net_warm_pair(net, pair);
    assert_int_equal(wordexp("$(echo one two) three", &words, 0), 0);
    assert_int_equal(words.we_wordc, 3);
    assert_string_equal(words.we_wordv[1], "two");
    wordfree(&words);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* The name under which programs of the nineties have it. */
static void old_name_of_popen(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    int kept = dup(STDOUT_FILENO);
    assert_int_equal(dup2(pair[0], STDOUT_FILENO), STDOUT_FILENO);
    FILE *stream = _IO_popen("cat", "w");
    assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
    assert_non_null(stream);
    fputs("command", stream);
    assert_int_equal(pclose(stream), 0);
    net_expect_text(pair[1], "command");
    close(kept), close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "spawned without actions", .run = spawned_without_actions},
    {.name = "spawned with every action", .run = spawned_with_every_action},
    {.name = "spawned with attributes", .run = spawned_with_attributes},
    {.name = "a spawn that fails", .run = a_spawn_that_fails},
    {.name = "spawned by the path", .run = spawned_by_the_path},
    {.name = "spawned with a descriptor of the process", .run = spawned_with_a_descriptor_of_the_process},
    {.name = "in a vfork child", .run = in_a_vfork_child},
    {.name = "a vfork child survives its parent's close", .run = a_vfork_child_survives_its_parents_close},
    {.name = "a vfork child inherits", .run = a_vfork_child_inherits},
    {.name = "by system", .run = by_system},
    {.name = "by popen", .run = by_popen},
    {.name = "popen between sealed standards", .run = popen_between_sealed_standards},
    {.name = "by wordexp", .run = by_wordexp},
    {.name = "_IO_popen", .run = old_name_of_popen},
};

static const struct suite_role test_roles[] = {{"attributes", attributes_role}};

/* Of a newer libc: refused, not forgotten. */
static void an_attribute_that_is_not_known(void)
{
    int pair[2];
    pid_t child = -1;
    posix_spawnattr_t attributes;
    char *argv[SCRIPT_WORDS];
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    fcntl(pair[0], F_SETFD, 0);
    script_arguments((const char *[]){NULL}, argv);
    posix_spawnattr_init(&attributes);
    attributes.__flags = 0x100; /* POSIX_SPAWN_SETCGROUP of glibc 2.39 */
    assert_int_equal(posix_spawn(&child, argv[0], NULL, &attributes, argv, environ), EOPNOTSUPP);
    assert_int_equal(child, -1);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]), close(pair[1]);
}

static const struct suite_test tests[] = {
    {.name = "an attribute that is not known", .run = an_attribute_that_is_not_known},
};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
