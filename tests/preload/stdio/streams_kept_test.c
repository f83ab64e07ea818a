/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Streams that are older than the sealed descriptor under them, by every kind of pointer to them, and a C
 * library whose streams are not known. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Taken before main(), as libstdc++ does for std::cout. */
static FILE *taken_in, *taken_out, *taken_err;

__attribute__((constructor)) static void take(void)
{
    taken_in = stdin, taken_out = stdout, taken_err = stderr;
}

static void say(int fd, const char *text)
{
    assert_int_equal(net_write_all(fd, text, strlen(text)), strlen(text));
}

/* Starts the role with the number of the connection as its argument; its standard input, output and error are
 * /dev/null. */
static pid_t start(const char *role, int fd)
{
    char number[16];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), saved = dup(0);
    fcntl(fd, F_SETFD, 0), fcntl(saved, F_SETFD, FD_CLOEXEC);
    snprintf(number, sizeof number, "%d", fd);
    dup2(null, 0);
    pid_t child = suite_spawn(role, (const char *[]){number, NULL}, NULL, null, null);
    dup2(saved, 0);
    close(saved), close(null), close(fd);
    return child;
}

/* The connection comes to 0, 1 and 2; the pointers are from before. */
static int taken_role(int argc, char **argv)
{
    char line[16];
    int fd = atoi(argv[1]);
    (void)argc;
    for (int to = 0; to < 3; to++)
        dup2(fd, to);
    close(fd);
    fprintf(taken_out, "one,");
    putc_unlocked('2', taken_out); /* fills the buffer without a call */
    fwrite(",", 1, 1, taken_out);
    fflush(taken_out);
    fputs("error,", taken_err);
    if (!fgets(line, sizeof line, taken_in) || strcmp(line, "answer\n") != 0)
        return 1;
    return getc_unlocked(taken_in) != 'x' || fputs("at exit", taken_out) < 0;
}

static void taken_before_main(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = start("taken", pair[0]);
    net_expect_text(pair[1], "one,2,error,");
    say(pair[1], "answer\nx");
    net_expect_text(pair[1], "at exit");
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* What is in the buffer goes to what is at the descriptor when it is flushed. */
static void over_the_stream_of_a_file(const struct net *net)
{
    static const char *const modes[] = {"w+", "w+m"};
    for (size_t i = 0; i < suite_count(modes); i++) {
        int pair[2];
        char line[16];
        FILE *stream = fopen("/dev/null", modes[i]);
        assert_non_null(stream);
        int fd = fileno(stream);
        net_warm_pair(net, pair);
        fputs("before,", stream);
        assert_int_equal(dup2(pair[0], fd), fd);
        close(pair[0]);
        fputs("behind\n", stream);
        assert_int_equal(fflush(stream), 0);
        net_expect_text(pair[1], "before,behind\n");
        say(pair[1], "answer\n");
        assert_string_equal(fgets(line, sizeof line, stream), "answer\n");
        assert_int_equal(fclose(stream), 0);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        net_expect_end(pair[1]);
    }
}

/* A file that is read through memory. */
static void over_a_mapped_file(const struct net *net)
{
    int pair[2];
    char line[16];
    FILE *stream = fopen("/etc/passwd", "rm");
    assert_non_null(stream);
    assert_non_null(fgets(line, 5, stream));
    assert_string_equal(line, "root");
    int fd = fileno(stream);
    net_warm_pair(net, pair);
    assert_int_equal(dup2(pair[0], fd), fd);
    close(pair[0]);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    net_expect_end(pair[1]);
}

static void over_the_stream_of_a_command(const struct net *net)
{
    int pair[2];
    FILE *stream = popen("cat >/dev/null", "w");
    assert_non_null(stream);
    int fd = fileno(stream);
    net_warm_pair(net, pair);
    assert_int_equal(dup2(pair[0], fd), fd);
    close(pair[0]);
    fputs("words", stream);
    assert_int_equal(pclose(stream), 0); /* the command has seen its end by dup2 */
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    net_expect_text(pair[1], "words");
    net_expect_end(pair[1]);
}

/* A socket has no name to be opened by: no stream can come by that way. */
static void by_the_name_of_the_descriptor(const struct net *net)
{
    static const char *const names[] = {"/dev/fd/%d", "/proc/self/fd/%d"};
    int pair[2];
    net_warm_pair(net, pair);
    for (size_t i = 0; i < suite_count(names); i++) {
        char name[32];
        snprintf(name, sizeof name, names[i], pair[0]);
        assert_null(fopen(name, "w"));
        assert_int_equal(errno, ENXIO);
    }
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* The peer has gone: the stream says so, once and for all. */
static void errors_of_a_stream(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "w");
    setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(pair[1]);
    assert_true(net_arrived(pair[0], POLLHUP));
    fputs("words", stream);
    assert_int_equal(fflush(stream), EOF);
    assert_int_equal(errno, ECONNRESET);
    assert_true(ferror(stream));
    fclose(stream);
}

static const struct suite_case cases[] = {
    {.name = "taken before main", .run = taken_before_main},
    {.name = "over the stream of a file", .run = over_the_stream_of_a_file},
    {.name = "over a mapped file", .run = over_a_mapped_file},
    {.name = "over the stream of a command", .run = over_the_stream_of_a_command},
    {.name = "by the name of the descriptor", .run = by_the_name_of_the_descriptor},
    {.name = "errors of a stream", .run = errors_of_a_stream},
};

static int nothing_role(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 0;
}

/* The plugin stands beside this program, and makes the tables look unknown. */
static void a_c_library_that_is_not_known(void)
{
    char setting[4096], directory[2048] = "", text[1024] = "";
    int pipe_ends[2];
    if (!suite_has_library())
        skip();
    assert_true(readlink("/proc/self/exe", directory, sizeof directory - 1) > 0);
    *strrchr(directory, '/') = '\0';
    snprintf(setting, sizeof setting, "LD_PRELOAD=%s:%s/streams_table_plugin.so", getenv("LD_PRELOAD"),
             directory);
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    pid_t child = suite_spawn("nothing", NULL, (const char *[]){setting, NULL}, -1, pipe_ends[1]);
    close(pipe_ends[1]);
    net_read_all(pipe_ends[0], text, sizeof text - 1);
    close(pipe_ends[0]);
    assert_int_equal(suite_wait(child), 78);
    assert_non_null(strstr(text, "the streams (stdio) of this C library, glibc "));
    child = suite_spawn("nothing", NULL, (const char *[]){setting, "SOCKSEAL_PORTS=", NULL}, -1,
                        -1); /* inactive */
    assert_int_equal(suite_wait(child), 0);
}

static const struct suite_test tests[] = {
    {.name = "a C library that is not known", .run = a_c_library_that_is_not_known},
};

static const struct suite_role test_roles[] = {
    {"taken", taken_role},
    {"nothing", nothing_role},
};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
