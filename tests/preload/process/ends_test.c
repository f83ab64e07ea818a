/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Processes that share a connection: who counts, who ends it, and what the peer sees when one ends in
 * whatever way. */

#include "suite.h"

#include "net.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME = 200, FRAMES = 400, STATUS_KILLED = 1000 + SIGKILL };

struct frame {
    uint32_t writer, number;
    uint8_t fill[FRAME - 8];
};

static void go_on(const char *const *steps)
{
    char *argv[SCRIPT_WORDS];
    script_arguments(steps, argv);
    execv(argv[0], argv);
    _exit(126);
}

/* A gate that opens when the parent closes its end of the pipe. */
static void make_gate(int gate[2])
{
    assert_int_equal(pipe(gate), 0);
    fcntl(gate[1], F_SETFD, FD_CLOEXEC);
}

static void open_gate(int gate[2])
{
    close(gate[0]), close(gate[1]);
}

/* ---- who counts ---- */

/* The next program has the connection and does nothing with it: the peer sees no end until it is over. */
static void a_program_that_never_touches_it(const struct net *net)
{
    int pair[2], gate[2];
    net_warm_pair(net, pair);
    make_gate(gate);
    pid_t child = suite_fork();
    if (child == 0) {
        fcntl(pair[0], F_SETFD, 0);
        go_on((const char *[]){script_step("wait %d", gate[0]), NULL});
    }
    assert_int_equal(write(pair[0], "last", 4), 4);
    close(pair[0]);
    net_expect_text(pair[1], "last");
    assert_int_equal(net_wait(pair[1], POLLIN, 50), 0);
    open_gate(gate);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* The next program has it not, and lives on: the close of the one that has it is the end. */
static void a_program_that_has_it_not(const struct net *net)
{
    int pair[2], gate[2], other[2];
    net_warm_pair(net, pair);
    net_warm_pair(net, other);
    make_gate(gate);
    pid_t child = suite_fork();
    if (child == 0) {
        fcntl(other[0], F_SETFD, 0);
        go_on((const char *[]){script_step("closed %d", pair[0]), script_step("w %d there", other[0]),
                               script_step("wait %d", gate[0]), NULL});
    }
    net_expect_text(other[1], "there"); /* the exec is over */
    assert_int_equal(write(pair[0], "last", 4), 4);
    close(pair[0]);
    net_expect_text(pair[1], "last");
    net_expect_end(pair[1]);
    open_gate(gate);
    close(other[0]);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(other[1]);
}

/* The same where no other connection goes along. */
static void a_program_that_has_none(const struct net *net)
{
    int pair[2], gate[2], tell[2];
    net_warm_pair(net, pair);
    make_gate(gate);
    assert_int_equal(pipe(tell), 0);
    pid_t child = suite_fork();
    if (child == 0)
        go_on((const char *[]){script_step("closed %d", pair[0]), script_step("w %d .", tell[1]),
                               script_step("wait %d", gate[0]), NULL});
    net_expect_text(tell[0], ".");
    close(pair[0]);
    net_expect_end(pair[1]);
    open_gate(gate);
    assert_int_equal(suite_wait(child), 0);
    close(tell[0]), close(tell[1]);
}

/* The last holder runs a program that does not get the connection, which has data to be sent yet. */
static void the_last_holder_execs(const struct net *net, const char *program)
{
    enum { LEN = 300000 };
    static uint8_t data[LEN];
    int pair[2], small = 8192;
    net_warm_pair(net, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        net_pattern(data, sizeof data, 0);
        if (net_write_all(pair[0], data, sizeof data) != sizeof data)
            _exit(1);
        execl(program, program, "--version", (char *)NULL);
        _exit(126);
    }
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], data, sizeof data), sizeof data);
    assert_true(net_is_pattern(data, sizeof data, 0));
    net_expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

static void the_last_holder_execs_another_program(const struct net *net)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(1);
    dup2(null, 1);
    the_last_holder_execs(net, "/bin/cat");
    if (access("/sbin/ldconfig", X_OK) == 0)
        the_last_holder_execs(net, "/sbin/ldconfig"); /* static */
    dup2(saved, 1);
    close(saved), close(null);
}

/* What was written, and closed, before the keys stood is sent by the next program. */
static void an_exec_amid_what_close_left(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), gate[2];
    make_gate(gate);
    pid_t child = suite_fork();
    if (child == 0) {
        int one = net_connect(net, &address);
        net_set_nonblock(one, true);
        if (write(one, "queued", 6) != 6)
            _exit(1);
        close(one);
        go_on((const char *[]){script_step("closed %d", one), script_step("wait %d", gate[0]), NULL});
    }
    int two = accept(listener, NULL, NULL);
    open_gate(gate);
    net_expect_text(two, "queued");
    net_expect_end(two);
    assert_int_equal(suite_wait(child), 0);
    close(listener);
}

/* ---- using it together ---- */

/* Reads a byte and writes it back for as long as there are turns. Arguments: connection, turns in, turns out.
 */
static int turns_role(int argc, char **argv)
{
    char byte;
    (void)argc;
    int fd = atoi(argv[1]), in = atoi(argv[2]), out = atoi(argv[3]);
    while (read(in, &byte, 1) == 1) {
        if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1 || write(out, &byte, 1) != 1)
            return 1;
    }
    return 0;
}

/* A shell and its children do so: a thousand rounds, first one then the other. */
static void alternately_for_a_thousand_rounds(const struct net *net)
{
    enum { ROUNDS = 1000 };
    int pair[2], turn[2], done[2];
    char byte, back, number[3][16];
    net_warm_pair(net, pair);
    make_gate(turn);
    assert_int_equal(pipe(done), 0);
    snprintf(number[0], 16, "%d", pair[0]), snprintf(number[1], 16, "%d", turn[0]);
    snprintf(number[2], 16, "%d", done[1]);
    fcntl(pair[0], F_SETFD, 0);
    pid_t child = suite_spawn("turns", (const char *[]){number[0], number[1], number[2], NULL}, NULL, -1, -1);
    for (int i = 0; i < ROUNDS; i++) {
        byte = (char)i;
        assert_int_equal(write(pair[1], &byte, 1), 1);
        if (i % 2) {
            assert_int_equal(read(pair[0], &back, 1), 1);
            assert_int_equal(write(pair[0], &back, 1), 1);
        } else {
            assert_int_equal(write(turn[1], &byte, 1), 1);
            assert_int_equal(read(done[0], &back, 1), 1);
        }
        assert_int_equal(read(pair[1], &back, 1), 1);
        assert_int_equal(back, byte);
    }
    open_gate(turn);
    assert_int_equal(suite_wait(child), 0);
    close(done[0]), close(done[1]), close(pair[0]);
    net_expect_end(pair[1]);
}

struct writer {
    int fd;
    uint32_t name;
};

static void *write_frames(void *argument)
{
    const struct writer *writer = argument;
    struct frame frame = {.writer = writer->name};
    for (frame.number = 0; frame.number < FRAMES; frame.number++) {
        net_pattern(frame.fill, sizeof frame.fill, (uint64_t)writer->name << 32 | frame.number);
        if (write(writer->fd, &frame, sizeof frame) != sizeof frame)
            return argument;
    }
    return NULL;
}

static int frames_role(int argc, char **argv)
{
    (void)argc;
    struct writer writer = {atoi(argv[1]), (uint32_t)atoi(argv[2])};
    return write_frames(&writer) ? 1 : 0;
}

/* Two programs, and three threads in one of them, write at once: frames arrive whole, each writer's in order.
 */
static void at_once_with_threads(const struct net *net)
{
    enum { THREADS = 3 };
    int pair[2];
    char number[16];
    pthread_t thread[THREADS];
    struct writer writer[THREADS];
    uint32_t next[THREADS + 1] = {0};
    struct frame frame;
    uint8_t expected[sizeof frame.fill];
    net_warm_pair(net, pair);
    fcntl(pair[0], F_SETFD, 0);
    snprintf(number, sizeof number, "%d", pair[0]);
    pid_t child = suite_spawn("frames", (const char *[]){number, "3", NULL}, NULL, -1, -1);
    for (uint32_t i = 0; i < THREADS; i++) {
        writer[i] = (struct writer){pair[0], i};
        assert_int_equal(pthread_create(&thread[i], NULL, write_frames, &writer[i]), 0);
    }
    for (int i = 0; i < (THREADS + 1) * FRAMES; i++) {
        assert_int_equal(net_read_all(pair[1], &frame, sizeof frame), sizeof frame);
        assert_in_range(frame.writer, 0, THREADS);
        assert_int_equal(frame.number, next[frame.writer]++);
        net_pattern(expected, sizeof expected, (uint64_t)frame.writer << 32 | frame.number);
        assert_memory_equal(frame.fill, expected, sizeof expected);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
    net_expect_end(pair[1]);
}

/* ---- ends ---- */

/* Says something when it is told to, and ends in this way. Arguments: connection, how. */
static int ending_role(int argc, char **argv)
{
    (void)argc;
    int fd = atoi(argv[1]), how = atoi(argv[2]);
    char byte;
    if (read(fd, &byte, 1) != 1 || write(fd, "words", 5) != 5)
        return 1;
    if (how == 0)
        exit(0);
    if (how == 1)
        _exit(0);
    if (how == 2)
        quick_exit(0);
    if (how == 3)
        abort();
    raise(SIGKILL);
    return 1;
}

static pid_t start_ending(int fd, int how)
{
    char numbers[2][16];
    fcntl(fd, F_SETFD, 0);
    snprintf(numbers[0], 16, "%d", fd), snprintf(numbers[1], 16, "%d", how);
    return suite_spawn("ending", (const char *[]){numbers[0], numbers[1], NULL}, NULL, -1, -1);
}

/* exit, _exit and quick_exit without a close. */
static void an_end_without_a_close(const struct net *net)
{
    for (int how = 0; how < 3; how++) {
        int pair[2];
        net_warm_pair(net, pair);
        pid_t child = start_ending(pair[0], how);
        close(pair[0]);
        assert_int_equal(write(pair[1], "!", 1), 1);
        net_expect_text(pair[1], "words");
        net_expect_end(pair[1]);
        assert_int_equal(suite_wait(child), 0);
    }
}

/* One of two sharers ends, in whatever way: the other goes on, and its close is the end. */
static void one_of_two_ends(const struct net *net)
{
    for (int how = 0; how < 5; how++) {
        int pair[2];
        net_warm_pair(net, pair);
        pid_t child = start_ending(pair[0], how);
        assert_int_equal(write(pair[1], "!", 1), 1);
        net_expect_text(pair[1], "words");
        assert_int_equal(suite_wait(child), how < 3 ? 0 : how == 3 ? 1000 + SIGABRT : STATUS_KILLED);
        assert_int_equal(write(pair[0], "on", 2), 2);
        net_expect_text(pair[1], "on");
        assert_int_equal(write(pair[1], "back", 4), 4);
        net_expect_text(pair[0], "back");
        close(pair[0]);
        net_expect_end(pair[1]);
    }
}

static const struct suite_case cases[] = {
    {.name = "a program that never touches it", .run = a_program_that_never_touches_it},
    {.name = "a program that has it not", .run = a_program_that_has_it_not},
    {.name = "a program that has none", .run = a_program_that_has_none},
    {.name = "the last holder execs another program", .run = the_last_holder_execs_another_program},
    {.name = "an exec amid what close left", .run = an_exec_amid_what_close_left},
    {.name = "alternately for a thousand rounds", .run = alternately_for_a_thousand_rounds},
    {.name = "at once, with threads", .run = at_once_with_threads},
    {.name = "an end without a close", .run = an_end_without_a_close},
    {.name = "one of two ends", .run = one_of_two_ends},
};

/* The last holder dies: the peer gets what was sent, and then an error, for the end may be a cut. */
static void the_last_holder_dies(void)
{
    if (!suite_has_library())
        skip();
    for (int how = 3; how < 5; how++) {
        int pair[2];
        char byte;
        net_warm_pair(&net_sealed, pair);
        pid_t child = start_ending(pair[0], how);
        close(pair[0]);
        assert_int_equal(write(pair[1], "!", 1), 1);
        net_expect_text(pair[1], "words");
        assert_int_equal(read(pair[1], &byte, 1), -1);
        assert_int_equal(errno, ECONNRESET);
        assert_int_equal(suite_wait(child), how == 3 ? 1000 + SIGABRT : STATUS_KILLED);
        close(pair[1]);
    }
}

/* Writes and reads as fast as it can, until an error or its end. Arguments: connection. */
static int hammer_role(int argc, char **argv)
{
    char data[5000];
    int fd = atoi(argv[1]);
    (void)argc;
    memset(data, 'h', sizeof data);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0;; i++) {
        if (write(fd, data, 1 + i * 37 % sizeof data) <= 0 || recv(fd, data, sizeof data, MSG_DONTWAIT) == 0)
            return 0;
        if (errno != EAGAIN && errno != 0)
            return 0;
        errno = 0;
    }
}

struct echo {
    int fd;
    _Atomic size_t count;
    _Atomic bool ended;
};

/* Sends something back of what comes, for as long as something does. */
static void *echo_all(void *argument)
{
    char data[3000];
    struct echo *echo = argument;
    ssize_t n;
    while ((n = read(echo->fd, data, sizeof data)) > 0) {
        echo->count += (size_t)n;
        if (send(echo->fd, data, 1 + (size_t)n / 4, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
            break;
    }
    echo->ended = true;
    shutdown(echo->fd, SHUT_RDWR);
    return NULL;
}

/* More must arrive than what stands in between, or the end. */
static bool goes_on_or_ends(const struct echo *echo)
{
    enum { BETWEEN = 200000 };
    size_t before = echo->count;
    for (int64_t end = net_now_ms() + 8000; net_now_ms() < end; usleep(500)) {
        if (echo->ended || echo->count > before + BETWEEN)
            return true;
    }
    return false;
}

/* A process is killed at any moment, in the midst of computing with a record too, while another uses the
 * connection: that one goes on, or gets an error, but does not hang. */
static void killed_at_any_moment(void)
{
    enum { ROUNDS = 20 };
    if (!suite_has_library())
        skip();
    for (unsigned round = 0; round < ROUNDS; round++) {
        int pair[2];
        char number[16];
        pthread_t thread;
        net_warm_pair(&net_sealed, pair);
        struct echo echo = {.fd = pair[1]};
        fcntl(pair[0], F_SETFD, 0);
        snprintf(number, sizeof number, "%d", pair[0]);
        assert_int_equal(pthread_create(&thread, NULL, echo_all, &echo), 0);
        pid_t first = suite_spawn("hammer", (const char *[]){number, NULL}, NULL, -1, -1);
        pid_t second = suite_spawn("hammer", (const char *[]){number, NULL}, NULL, -1, -1);
        close(pair[0]);
        while (!echo.ended && echo.count < 100000)
            usleep(200);
        usleep(round * 7919 % 3000);
        kill(first, SIGKILL);
        suite_wait(first);
        bool alive = goes_on_or_ends(&echo);
        kill(second, SIGKILL);
        suite_wait(second);
        assert_true(alive);
        assert_int_equal(pthread_join(thread, NULL), 0);
        close(pair[1]);
    }
}

/* Between exec and the beginning of the shim in the next program: its dynamic linker finds a library missing.
 * Not a byte of what it says reaches the wire, and the other sharer goes on. */
static char *without_its_library(void)
{
    static char path[4096], content[4 << 20];
    const char *directory = getenv("TMPDIR");
    static const char name[] = "libcmocka.so", other[] = "libnowhe.so.";
    int in = open(script_program(), O_RDONLY | O_CLOEXEC);
    size_t len = net_read_all(in, content, sizeof content);
    close(in);
    char *found = memmem(content, len, name, sizeof name - 1);
    assert_non_null(found);
    memcpy(found, other, sizeof other - 1);
    snprintf(path, sizeof path, "%s/broken-%d", directory ? directory : "/tmp", getpid());
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_int_equal(net_write_all(out, content, len), len);
    close(out);
    return path;
}

static void a_program_that_cannot_be_loaded(void)
{
    int pair[2], gate[2];
    char byte;
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    char *path = without_its_library();
    pid_t child = suite_fork();
    if (child == 0) {
        for (int fd = 0; fd < 3; fd++)
            dup2(pair[0], fd);
        execl(path, path, (char *)NULL);
        _exit(126);
    }
    assert_int_equal(suite_wait(child), 127);
    assert_int_equal(net_wait(pair[1], POLLIN, 30), 0);
    assert_int_equal(write(pair[0], "on", 2), 2);
    net_expect_text(pair[1], "on");
    close(pair[0]);
    net_expect_end(pair[1]);
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    child = suite_fork(); /* the last holder, once the parent has closed: no clean end */
    if (child == 0) {
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 0)
            _exit(125);
        for (int fd = 0; fd < 3; fd++)
            dup2(pair[0], fd);
        execl(path, path, (char *)NULL);
        _exit(126);
    }
    close(pair[0]);
    close(gate[0]), close(gate[1]);
    assert_int_equal(suite_wait(child), 127);
    assert_int_equal(read(pair[1], &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(pair[1]);
    unlink(path);
}

/* The connection is to be closed, and ended by the next program: what the dynamic linker says to that number
 * before must not reach it. */
static void a_standard_descriptor_that_is_to_be_closed(void)
{
    if (!suite_has_library())
        skip();
    for (int at = 1; at < 3; at++) {
        int pair[2];
        char *steps[SCRIPT_WORDS];
        net_warm_pair(&net_sealed, pair);
        pid_t child = suite_fork();
        if (child == 0) {
            dup3(pair[0], at, O_CLOEXEC);
            close(pair[0]), close(pair[1]);
            script_arguments((const char *[]){script_step("closed %d", at), NULL}, steps);
            setenv("LD_PRELOAD", "/nonexistent/library.so", 1); /* ld.so(8) complains, and goes on */
            execv(steps[0], steps);
            _exit(126);
        }
        close(pair[0]);
        net_expect_end(pair[1]);
        assert_int_equal(suite_wait(child), 0);
    }
}

static const struct suite_test tests[] = {
    {.name = "the last holder dies", .run = the_last_holder_dies},
    {.name = "killed at any moment", .run = killed_at_any_moment, .limit_s = 60},
    {.name = "a program that cannot be loaded", .run = a_program_that_cannot_be_loaded},
    {.name = "a standard descriptor that is to be closed", .run = a_standard_descriptor_that_is_to_be_closed},
};

static const struct suite_role test_roles[] = {
    {"turns", turns_role},
    {"frames", frames_role},
    {"ending", ending_role},
    {"hammer", hammer_role},
};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_roles(test_roles, suite_count(test_roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
