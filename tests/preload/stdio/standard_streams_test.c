/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* stdin, stdout and stderr of a program that was given a connection, as under inetd. */

#include "suite.h"

#include "net.h"
#include "proxy.h"

#include <err.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static void say(int fd, const char *text)
{
    assert_int_equal(net_write_all(fd, text, strlen(text)), strlen(text));
}

/* Starts the role with the connection at 0, 1 and 2, and closes pair[0]. */
static pid_t serve(const struct net *net, const char *role, const char *const *args, int pair[2])
{
    net_warm_pair(net, pair);
    int saved = dup(0);
    dup2(pair[0], 0);
    pid_t child = suite_spawn(role, args, NULL, pair[0], pair[0]);
    dup2(saved, 0);
    close(saved), close(pair[0]);
    return child;
}

static int talk_role(int argc, char **argv)
{
    char line[64], *text = NULL;
    size_t room = 0;
    int a, b;
    (void)argc, (void)argv;
    printf("name? ");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 1;
    printf("hello %s", line);
    puts("two numbers");
    fflush(stdout);
    if (scanf("%d %d ", &a, &b) != 2)
        return 2;
    fprintf(stderr, "sum %d\n", a + b); /* not buffered */
    if (ungetc(getchar(), stdin) != 'l' || getline(&text, &room, stdin) != 5)
        return 3;
    printf("%s", text);
    putchar('.');
    free(text);
    return feof(stdin) || getchar() != EOF; /* stdout is flushed at exit */
}

static void a_conversation(const struct net *net)
{
    int pair[2];
    pid_t child = serve(net, "talk", NULL, pair);
    net_expect_text(pair[1], "name? ");
    say(pair[1], "Ann\n");
    net_expect_text(pair[1], "hello Ann\ntwo numbers\n");
    say(pair[1], "12 30\n");
    say(pair[1], "last\n");
    net_expect_text(pair[1], "sum 42\n");
    shutdown(pair[1], SHUT_WR);
    net_expect_text(pair[1], "last\n.");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* Argument: the buffering of standard output, "full", "line" or "none", chosen before the first word
 * (setvbuf(3) asks for that). Waits for the peer's word: what came until then was not held back. */
static int buffering_role(int argc, char **argv)
{
    (void)argc;
    if (strcmp(argv[1], "line") == 0)
        setvbuf(stdout, NULL, _IOLBF, 0);
    else if (strcmp(argv[1], "none") == 0)
        setvbuf(stdout, NULL, _IONBF, 0);
    printf("line\nhalf");
    fputs("err", stderr); /* not buffered */
    getchar();
    fflush(stdout);
    getchar();
    return 0;
}

static void what_is_held_back(const struct net *net)
{
    static const struct {
        const char *buffering, *before, *behind;
    } expected[] = {
        {"full", "err", "line\nhalf"},
        {"line", "line\nerr", "half"},
        {"none", "line\nhalferr", ""},
    };
    for (size_t i = 0; i < suite_count(expected); i++) {
        int pair[2];
        pid_t child = serve(net, "buffering", (const char *[]){expected[i].buffering, NULL}, pair);
        net_expect_text(pair[1], expected[i].before);
        say(pair[1], "1");
        net_expect_text(pair[1], expected[i].behind);
        say(pair[1], "2");
        assert_int_equal(suite_wait(child), 0);
        net_expect_end(pair[1]);
    }
}

static bool ending;

static void say_at_exit(void)
{
    printf("handler,");
}

__attribute__((destructor)) static void say_in_destructor(void)
{
    if (ending)
        printf("destructor,%0*d", 100000, 7);
}

static int ending_role(int argc, char **argv)
{
    (void)argc;
    ending = true;
    atexit(say_at_exit);
    printf("main,");
    if (strcmp(argv[1], "exit") == 0)
        exit(3);
    return 3;
}

static void flushed_behind_destructors(const struct net *net)
{
    static char text[100064];
    const char *const ways[] = {"exit", "return"};
    for (int way = 0; way < 2; way++) {
        int pair[2];
        pid_t child = serve(net, "ending", (const char *[]){ways[way], NULL}, pair);
        size_t len = net_read_all(pair[1], text, sizeof text);
        assert_int_equal(len, strlen("main,handler,destructor,") + 100000);
        assert_memory_equal(text, "main,handler,destructor,000", 27);
        assert_int_equal(text[len - 1], '7');
        assert_int_equal(suite_wait(child), 3);
        close(pair[1]);
    }
}

/* err(3) and its kin, error(3), psignal(3). */
static int complaining_role(int argc, char **argv)
{
    (void)argc, (void)argv;
    program_invocation_name = program_invocation_short_name = (char *)(uintptr_t) "me";
    errno = ENOENT;
    warn("warn %d", 1);
    warnx("warnx");
    printf("first,"); /* error(3) flushes it */
    error(0, EACCES, "error");
    psignal(SIGINT, "psignal");
    errno = EIO;
    perror("perror");
    errno = EPERM;
    err(7, "err");
}

static void complaints(const struct net *net)
{
    int pair[2];
    pid_t child = serve(net, "complaining", NULL, pair);
    net_expect_text(pair[1], "me: warn 1: No such file or directory\nme: warnx\nfirst,me: error: Permission "
                             "denied\npsignal: Interrupt\nperror: Input/output error\nme: err: Operation not "
                             "permitted\n");
    assert_int_equal(suite_wait(child), 7);
    net_expect_end(pair[1]);
}

/* A daemon lets go of its standard streams. */
static int reopening_role(int argc, char **argv)
{
    char line[64] = "";
    (void)argc, (void)argv;
    printf("flushed");
    if (!freopen("/dev/null", "w", stdout) || printf("nowhere") != 7 || fflush(stdout) != 0)
        return 1;
    fprintf(stderr, "error");
    if (!freopen("/etc/passwd", "r", stdin) || !fgets(line, sizeof line, stdin) || strncmp(line, "root", 4))
        return 2;
    if (fileno(stdin) != 0 || fileno(stdout) != 1 || write(1, "nowhere", 7) != 7)
        return 3;
    return freopen("/dev/null", "a", stderr) && fputs("nowhere", stderr) >= 0 ? 0 : 4;
}

static void standard_streams_reopened(const struct net *net)
{
    int pair[2];
    pid_t child = serve(net, "reopening", NULL, pair);
    net_expect_text(pair[1], "flushederror");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* As GNU's close_stdout does it: the errors of closing must be told, and are none. */
static int closing_role(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("words");
    if (__fpending(stdout) != 5 || ferror(stdout) || fclose(stdout) != 0)
        return 1;
    if (fcntl(1, F_GETFD) != -1 || errno != EBADF)
        return 2;
    if (fclose(stdin) != 0 || fcntl(0, F_GETFD) != -1)
        return 3;
    return fputs("last", stderr) < 0 || fclose(stderr) != 0;
}

static void standard_streams_closed(const struct net *net)
{
    int pair[2];
    pid_t child = serve(net, "closing", NULL, pair);
    net_expect_text(pair[1], "wordslast");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* What a shell does for its builtins: the connection at 1 for one command, with output in the buffer before
 * and behind. Argument: the connection. */
static int redirecting_role(int argc, char **argv)
{
    int fd = atoi(argv[1]), saved = dup(1);
    (void)argc;
    for (int round = 0; round < 3; round++) {
        printf("before %d,", round);
        fflush(stdout);
        dup2(fd, 1);
        printf("sealed %d,", round);
        fflush(stdout);
        dup2(saved, 1);
    }
    printf("unflushed,"); /* goes where 1 is when it is flushed */
    dup2(fd, 1);
    printf("end,");
    fflush(stdout);
    dup2(saved, 1);
    printf("back");
    return 0;
}

static void standard_output_there_and_back(const struct net *net)
{
    int pair[2], out[2];
    char number[16];
    net_warm_pair(net, pair);
    assert_int_equal(pipe(out), 0);
    fcntl(pair[0], F_SETFD, 0);
    snprintf(number, sizeof number, "%d", pair[0]);
    pid_t child = suite_spawn("redirecting", (const char *[]){number, NULL}, NULL, out[1], -1);
    close(pair[0]), close(out[1]);
    net_expect_text(pair[1], "sealed 0,sealed 1,sealed 2,unflushed,end,");
    net_expect_text(out[0], "before 0,before 1,before 2,back");
    assert_int_equal(suite_wait(child), 0);
    close(out[0]);
    net_expect_end(pair[1]);
}

/* The same for reading: what the plain stream has read ahead comes first. Argument: the connection. */
static int redirecting_input_role(int argc, char **argv)
{
    char line[32];
    int fd = atoi(argv[1]), saved = dup(0);
    (void)argc;
    if (!fgets(line, sizeof line, stdin) || strcmp(line, "plain\n") != 0)
        return 1;
    dup2(fd, 0);
    if (!fgets(line, sizeof line, stdin) || strcmp(line, "sealed\n") != 0)
        return 2;
    dup2(saved, 0);
    if (!fgets(line, sizeof line, stdin) || strcmp(line, "again\n") != 0)
        return 3;
    return 0;
}

/* Waits until a pipe is empty: its reader has taken what was written. */
static void wait_until_read(int pipe_end)
{
    for (int left = 1, tries = 0; left > 0; tries++) {
        assert_int_equal(ioctl(pipe_end, FIONREAD, &left), 0);
        assert_true(tries < 10000);
        net_sleep_ms(1);
    }
}

static void standard_input_there_and_back(const struct net *net)
{
    int pair[2], in[2], saved = dup(0);
    char number[16];
    net_warm_pair(net, pair);
    assert_int_equal(pipe(in), 0);
    fcntl(pair[0], F_SETFD, 0), fcntl(in[1], F_SETFD, FD_CLOEXEC);
    snprintf(number, sizeof number, "%d", pair[0]);
    dup2(in[0], 0);
    say(in[1], "plain\n");
    pid_t child = suite_spawn("redirecting input", (const char *[]){number, NULL}, NULL, -1, -1);
    dup2(saved, 0);
    close(pair[0]), close(in[0]), close(saved);
    say(pair[1], "sealed\n");
    wait_until_read(in[1]); /* else the stream would read both lines ahead */
    say(in[1], "again\n");
    assert_int_equal(suite_wait(child), 0);
    close(in[1]);
    net_expect_end(pair[1]);
}

/* Wide characters, in the locale "C": one byte each. */
static int wide_role(int argc, char **argv)
{
    wchar_t line[16];
    (void)argc, (void)argv;
    if (wprintf(L"wide %d\n", 1) != 7 || fputwc(L'w', stdout) != L'w' || fflush(stdout) != 0)
        return 1;
    if (!fgetws(line, 16, stdin) || wcscmp(line, L"answer\n") != 0)
        return 2;
    fwprintf(stderr, L"%ls", L"error"); /* not buffered */
    return fputws(L"end", stdout) < 0;
}

static void wide_streams(const struct net *net)
{
    int pair[2];
    pid_t child = serve(net, "wide", NULL, pair);
    net_expect_text(pair[1], "wide 1\nw");
    say(pair[1], "answer\n");
    net_expect_text(pair[1], "errorend");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "a conversation", .run = a_conversation},
    {.name = "what is held back", .run = what_is_held_back},
    {.name = "flushed behind destructors", .run = flushed_behind_destructors},
    {.name = "complaints", .run = complaints},
    {.name = "standard streams reopened", .run = standard_streams_reopened},
    {.name = "standard streams closed", .run = standard_streams_closed},
    {.name = "standard output there and back", .run = standard_output_there_and_back},
    {.name = "standard input there and back", .run = standard_input_there_and_back},
    {.name = "wide streams", .run = wide_streams},
};

/* The conversation with a man in the middle: all that passes is TLS records, and none of the words. */
static void the_wire_sees_records(void)
{
    static char seen[65536];
    char record[4096];
    int pair[2];
    if (!suite_has_library())
        skip();
    snprintf(record, sizeof record, "%s/record", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    struct proxy_plan plan = {.record = record};
    struct proxy proxy = proxy_pair(&net_sealed, &plan, pair);
    int saved = dup(0);
    dup2(pair[0], 0);
    pid_t child = suite_spawn("talk", NULL, NULL, pair[0], pair[0]);
    dup2(saved, 0);
    close(saved), close(pair[0]);
    net_expect_text(pair[1], "name? ");
    say(pair[1], "Ann\n12 30\nlast\n");
    shutdown(pair[1], SHUT_WR);
    net_expect_text(pair[1], "hello Ann\ntwo numbers\nsum 42\nlast\n.");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
    proxy_end(&proxy);
    int fd = open(record, O_RDONLY | O_CLOEXEC);
    size_t len = net_read_all(fd, seen, sizeof seen);
    close(fd), unlink(record);
    assert_true(len > 200);
    assert_null(memmem(seen, len, "hello", 5));
    assert_null(memmem(seen, len, "sum", 3));
    assert_null(memmem(seen, len, "Ann", 3));
    assert_null(memmem(seen, len, "name", 4));
}

static const struct suite_test tests[] = {
    {.name = "the wire sees records", .run = the_wire_sees_records},
};

static const struct suite_role test_roles[] = {
    {"talk", talk_role},
    {"buffering", buffering_role},
    {"ending", ending_role},
    {"complaining", complaining_role},
    {"reopening", reopening_role},
    {"closing", closing_role},
    {"redirecting", redirecting_role},
    {"redirecting input", redirecting_input_role},
    {"wide", wide_role},
};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
