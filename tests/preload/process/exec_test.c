/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* exec(2) by each of its doors: the next program goes on with the connection; close-on-exec is obeyed; and an
 * exec that fails leaves everything as it was. */

#include "suite.h"

#include "net.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { STATUS_NO_EXEC = 126 };

/* ---- the doors ---- */

typedef int exec_door(char *path, char **argv);

static int by_execve(char *path, char **argv)
{
    return execve(path, argv, environ);
}

static int by_execv(char *path, char **argv)
{
    return execv(path, argv);
}

/* The program's directory is the last of a PATH whose others have nothing to run. */
static char *search(char *path)
{
    static char list[PATH_MAX * 2], copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    snprintf(list, sizeof list, "/nonexistent:/etc/passwd:/proc:%s", dirname(copy));
    setenv("PATH", list, 1);
    return strrchr(path, '/') + 1;
}

static int by_execvp(char *path, char **argv)
{
    return execvp(search(path), argv);
}

static int by_execvpe(char *path, char **argv)
{
    return execvpe(search(path), argv, environ);
}

static int by_execl(char *path, char **argv)
{
    return execl(path, argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], argv[6], (char *)NULL);
}

static int by_execlp(char *path, char **argv)
{
    return execlp(search(path), argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], argv[6], (char *)NULL);
}

static int by_execle(char *path, char **argv)
{
    return execle(path, argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], argv[6], (char *)NULL, environ);
}

static int by_fexecve(char *path, char **argv)
{
    return fexecve(open(path, O_RDONLY | O_CLOEXEC), argv, environ);
}

static int by_execveat(char *path, char **argv)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return execveat(directory, strrchr(path, '/') + 1, argv, environ, 0);
}

static int by_raw_execve(char *path, char **argv)
{
    return (int)syscall(SYS_execve, path, argv, environ);
}

static int by_raw_execveat(char *path, char **argv)
{
    return (int)syscall(SYS_execveat, open(path, O_PATH | O_CLOEXEC), "", argv, environ, AT_EMPTY_PATH);
}

static void run_by(exec_door *door, const char *const *steps)
{
    char *argv[SCRIPT_WORDS];
    script_arguments(steps, argv);
    door(argv[0], argv);
    _exit(STATUS_NO_EXEC);
}

/* The next program talks on the connection, at the same number, and its end is the connection's. */
static void through(const struct net *net, exec_door *door)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        fcntl(pair[0], F_SETFD, 0);
        run_by(door,
               (const char *[]){script_step("r %d ask", pair[0]), script_step("w %d answer", pair[0]),
                                script_step("keeps %d", pair[0]), script_step("closed %d", pair[1]), NULL});
    }
    script_expect(pair, child, "answer");
}

/* ... and at the standard numbers, as under inetd. */
static void as_standard(const struct net *net, exec_door *door)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        for (int fd = 0; fd < 3; fd++)
            dup2(pair[0], fd);
        run_by(door, (const char *[]){"r 0 ask", "w 1 answer", "w 2 error", script_step("closed %d", pair[0]),
                                      NULL});
    }
    script_expect(pair, child, "answererror");
}

#define DOOR_TEST(door)                                                                                      \
    static void test_##door(const struct net *net)                                                           \
    {                                                                                                        \
        through(net, door);                                                                                  \
        as_standard(net, door);                                                                              \
    }

DOOR_TEST(by_execve)
DOOR_TEST(by_execv)
DOOR_TEST(by_execvp)
DOOR_TEST(by_execvpe)
DOOR_TEST(by_execl)
DOOR_TEST(by_execlp)
DOOR_TEST(by_execle)
DOOR_TEST(by_fexecve)
DOOR_TEST(by_execveat)
DOOR_TEST(by_raw_execve)
DOOR_TEST(by_raw_execveat)

/* ---- close-on-exec ---- */

/* Ways to say it, each on a descriptor of its own, which they give. */
static int cloexec_by_setfd(int fd)
{
    int copy = dup(fd);
    fcntl(copy, F_SETFD, FD_CLOEXEC);
    return copy;
}

static int cloexec_by_ioctl(int fd)
{
    int copy = dup(fd);
    ioctl(copy, FIOCLEX);
    return copy;
}

static int cloexec_by_dup3(int fd)
{
    return dup3(fd, 40, O_CLOEXEC);
}

static int cloexec_by_dupfd(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int cloexec_by_range(int fd)
{
    int copy = dup2(fd, 41);
    close_range(41, 41, CLOSE_RANGE_CLOEXEC);
    return copy;
}

static int cloexec_by_raw_range(int fd)
{
    int copy = dup2(fd, 42);
    syscall(SYS_close_range, 42, 42, CLOSE_RANGE_CLOEXEC);
    return copy;
}

static int kept_by_dup(int fd)
{
    return dup(fd);
}

static int kept_by_dup2(int fd)
{
    return dup2(fd, 50);
}

static int kept_by_dup3(int fd)
{
    return dup3(fd, 51, 0);
}

static int kept_by_dupfd(int fd)
{
    return fcntl(fd, F_DUPFD, 30);
}

static int kept_by_setfd(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    fcntl(copy, F_SETFD, 0);
    return copy;
}

static int kept_by_ioctl(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    ioctl(copy, FIONCLEX);
    return copy;
}

static void close_on_exec_in_every_spelling(const struct net *net)
{
    int (*const closing[])(int fd) = {cloexec_by_setfd, cloexec_by_ioctl, cloexec_by_dup3,
                                      cloexec_by_dupfd, cloexec_by_range, cloexec_by_raw_range};
    int (*const keeping[])(int fd) = {kept_by_dup,   kept_by_dup2,  kept_by_dup3,
                                      kept_by_dupfd, kept_by_setfd, kept_by_ioctl};
    const char *steps[SCRIPT_WORDS] = {NULL};
    int pair[2], count = 0;
    char text[16] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        for (size_t i = 0; i < suite_count(closing); i++) {
            int fd = closing[i](pair[0]);
            if (fd < 0 || fcntl(fd, F_GETFD) != FD_CLOEXEC)
                _exit(50 + (int)i);
            steps[count++] = script_step("closed %d", fd);
        }
        for (size_t i = 0; i < suite_count(keeping); i++) {
            int fd = keeping[i](pair[0]);
            if (fd < 0 || fcntl(fd, F_GETFD) != 0)
                _exit(60 + (int)i);
            steps[count++] = script_step("keeps %d", fd);
            steps[count++] = script_step("w %d x", fd);
        }
        steps[count] = script_step("closed %d", pair[0]);
        run_by(by_execv, steps);
    }
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], text, sizeof text), suite_count(keeping));
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]);
}

/* accept() and socket() without the flag, and with it. */
static void flags_from_the_beginning(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0), other = net_client(net, 0);
    fcntl(one, F_SETFD, 0);
    assert_int_equal(net_connect_to(one, &address), 0);
    int kept = accept(listener, NULL, NULL);
    assert_int_equal(net_connect_to(other, &address), 0);
    int closing = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(fcntl(one, F_GETFD), 0);
    assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(kept, F_GETFD), 0);
    assert_int_equal(fcntl(closing, F_GETFD), FD_CLOEXEC);
    pid_t child = suite_fork();
    if (child == 0)
        run_by(by_execv,
               (const char *[]){script_step("keeps %d", one), script_step("closed %d", other),
                                script_step("keeps %d", kept), script_step("closed %d", closing),
                                script_step("w %d child", one), script_step("r %d child", kept), NULL});
    assert_int_equal(suite_wait(child), 0);
    close(one), close(other), close(kept), close(closing), close(listener);
}

/* ---- an exec that fails ---- */

static void expect_exec_error(char *path, char **argv, char **envp, int error)
{
    assert_int_equal(execve(path, argv, envp), -1);
    assert_int_equal(errno, error);
}

static char *temporary_file(const char *content, mode_t mode)
{
    static char path[4096];
    const char *directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/exec-test-%d", directory ? directory : "/tmp", getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    return path;
}

/* All the ways in which it fails in turn. */
static void fail_in_every_way(void)
{
    char *argv[] = {(char *)(uintptr_t) "x", NULL};
    expect_exec_error((char *)(uintptr_t) "/nonexistent/program", argv, environ, ENOENT);
    expect_exec_error((char *)(uintptr_t) "/etc/passwd/x", argv, environ, ENOTDIR);
    expect_exec_error((char *)(uintptr_t) "/tmp", argv, environ, EACCES);
    char *file = temporary_file("no program\n", 0600);
    expect_exec_error(file, argv, environ, EACCES);
    chmod(file, 0700);
    expect_exec_error(file, argv, environ, ENOEXEC);
    unlink(file);
    size_t room = 3 << 20; /* one word is 128 KiB at most */
    char *word = malloc(room);
    memset(word, 'x', room - 1);
    word[room - 1] = '\0';
    char *large[] = {(char *)(uintptr_t) "x", word, NULL};
    expect_exec_error((char *)(uintptr_t) "/bin/true", large, environ, E2BIG);
    free(word);
    assert_int_equal(execlp("no-such-program-anywhere", "x", (char *)NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(execv("", argv), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(fexecve(-1, argv, environ), -1);
    assert_int_equal(errno, EINVAL);
}

static void a_failed_exec_changes_nothing(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    int kept = dup(pair[0]), saved = dup(0);
    dup2(pair[0], 0);
    fail_in_every_way();
    assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(kept, F_GETFD), 0);
    assert_int_equal(fcntl(0, F_GETFD), 0);
    assert_int_equal(write(0, "zero", 4), 4);
    assert_int_equal(write(kept, "kept", 4), 4);
    assert_int_equal(net_read_all(pair[1], text, 8), 8);
    assert_string_equal(text, "zerokept");
    assert_int_equal(write(pair[1], "back", 4), 4);
    assert_int_equal(net_read_all(0, text, 4), 4);
    dup2(saved, 0);
    close(saved), close(kept), close(pair[0]);
    assert_int_equal(read(pair[1], text, 1), 0); /* the last close still is the end */
    close(pair[1]);
}

/* The same where nothing would survive. */
static void a_failed_exec_with_all_close_on_exec(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    fail_in_every_way();
    assert_int_equal(write(pair[0], "on", 2), 2);
    assert_int_equal(net_read_all(pair[1], text, 2), 2);
    close(pair[0]);
    assert_int_equal(read(pair[1], text, 1), 0);
    close(pair[1]);
}

/* A file without "#!" that execvp(3) gives to the shell. */
static void a_script_without_an_interpreter(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    char *file = temporary_file("read line; echo \"got $line $1\"\n", 0700);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(pair[0], 0), dup2(pair[0], 1);
        execlp(file, "x", "word", (char *)NULL);
        _exit(STATUS_NO_EXEC);
    }
    close(pair[0]);
    assert_int_equal(write(pair[1], "it\n", 3), 3);
    assert_int_equal(net_read_all(pair[1], text, sizeof text), 12);
    assert_string_equal(text, "got it word\n");
    assert_int_equal(suite_wait(child), 0);
    unlink(file);
    close(pair[1]);
}

/* ---- several programs one after the other ---- */

static void a_chain_of_programs(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(pair[0], 0), dup2(pair[0], 1);
        run_by(by_execv,
               (const char *[]){"r 0 one", "w 1 two", "exec", "r 0 three", "w 1 four", "clear 0", "exec",
                                "exec", "r 0 five", "set 0", "exec", "closed 0", "w 1 six", NULL});
    }
    close(pair[0]);
    assert_int_equal(write(pair[1], "one", 3), 3);
    assert_int_equal(net_read_all(pair[1], text, 3), 3);
    assert_int_equal(write(pair[1], "three", 5), 5);
    assert_int_equal(net_read_all(pair[1], text, 4), 4);
    assert_int_equal(write(pair[1], "five", 4), 4);
    assert_int_equal(net_read_all(pair[1], text, sizeof text), 3);
    assert_memory_equal(text, "six", 3);
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]);
}

/* A server that runs itself anew, connections, listener and all, a hundred times. Its descriptors must not
 * pile up. Arguments: the listener, the connection, how often more. */
static int reborn_role(int argc, char **argv)
{
    char text[8], number[16];
    (void)argc;
    int listener = atoi(argv[1]), fd = atoi(argv[2]), left = atoi(argv[3]);
    if (net_read_all(fd, text, 1) != 1 || write(fd, text, 1) != 1)
        return 1;
    if (left == 0) {
        int last = accept(listener, NULL, NULL);
        const char *steps[] = {"script", "fds 10", script_step("r %d new", last), NULL};
        return script_main(3, (char **)(uintptr_t)steps);
    }
    snprintf(number, sizeof number, "%d", left - 1);
    execl(script_program(), "x", "--role", "reborn", argv[1], argv[2], number, (char *)NULL);
    return 2;
}

static void a_server_that_runs_itself_anew(const struct net *net)
{
    enum { TIMES = 100 };
    struct sockaddr_in address;
    char first[16], second[16];
    char byte = 'a', back;
    int listener = net_listen(net, 4, &address);
    int one = net_connect(net, &address), two = accept(listener, NULL, NULL);
    fcntl(listener, F_SETFD, 0);
    snprintf(first, sizeof first, "%d", listener), snprintf(second, sizeof second, "%d", two);
    pid_t child = suite_spawn("reborn", (const char *[]){first, second, "100", NULL}, NULL, -1, -1);
    close(two);
    for (int i = 0; i <= TIMES; i++, byte = (char)('a' + i % 26)) {
        assert_int_equal(write(one, &byte, 1), 1);
        assert_int_equal(net_read_all(one, &back, 1), 1);
        assert_int_equal(back, byte);
    }
    int last = net_connect(net, &address);
    assert_int_equal(write(last, "new", 3), 3);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(read(one, &back, 1), 0);
    close(one), close(last), close(listener);
}

/* ---- threads ---- */

struct reader {
    int fd;
    pthread_t thread;
    _Atomic pid_t id;
};

static void *read_for_ever(void *context)
{
    struct reader *reader = context;
    char byte;
    reader->id = gettid();
    while (read(reader->fd, &byte, 1) > 0)
        ;
    return NULL;
}

/* Other threads are in the midst of reading when one of them runs the next program. */
static void threads_at_exec(const struct net *net)
{
    int pair[2], spare[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    net_warm_pair(net, spare);
    pid_t child = suite_fork();
    if (child == 0) {
        struct reader readers[2] = {{.fd = pair[0]}, {.fd = spare[0]}};
        for (int i = 0; i < 2; i++) {
            pthread_create(&readers[i].thread, NULL, read_for_ever, &readers[i]);
            suite_until_thread_blocked(&readers[i].id);
        }
        fcntl(pair[0], F_SETFD, 0);
        run_by(by_execv,
               (const char *[]){script_step("w %d ready", pair[0]), script_step("r %d ask", pair[0]),
                                script_step("w %d answer", pair[0]), NULL});
    }
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    assert_int_equal(write(pair[1], "ask", 3), 3);
    assert_int_equal(net_read_all(pair[1], text, sizeof text), 6);
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]), close(spare[0]), close(spare[1]);
}

static const struct suite_case cases[] = {
    {.name = "execve", .run = test_by_execve},
    {.name = "execv", .run = test_by_execv},
    {.name = "execvp", .run = test_by_execvp},
    {.name = "execvpe", .run = test_by_execvpe},
    {.name = "execl", .run = test_by_execl},
    {.name = "execlp", .run = test_by_execlp},
    {.name = "execle", .run = test_by_execle},
    {.name = "fexecve", .run = test_by_fexecve},
    {.name = "execveat", .run = test_by_execveat},
    {.name = "syscall(SYS_execve)", .run = test_by_raw_execve},
    {.name = "syscall(SYS_execveat)", .run = test_by_raw_execveat},
    {.name = "close-on-exec in every spelling", .run = close_on_exec_in_every_spelling},
    {.name = "flags from the beginning", .run = flags_from_the_beginning},
    {.name = "a failed exec changes nothing", .run = a_failed_exec_changes_nothing},
    {.name = "a failed exec with all close-on-exec", .run = a_failed_exec_with_all_close_on_exec},
    {.name = "a script without an interpreter", .run = a_script_without_an_interpreter},
    {.name = "a chain of programs", .run = a_chain_of_programs},
    {.name = "a server that runs itself anew", .run = a_server_that_runs_itself_anew},
    {.name = "threads at exec", .run = threads_at_exec},
};

static const struct suite_role test_roles[] = {{"reborn", reborn_role}};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
