/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the test programs themselves promise: a test that hangs is ended by its time limit, and the report
 * names the system call that each of its threads and processes is in. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *lock_twice(void *context)
{
    pthread_mutex_lock(&held);
    return context;
}

/* A thread in a lock, a process that reads, and one that is stopped; this thread waits for the last. */
static void hangs(void)
{
    int pipes[2];
    pthread_t thread;
    assert_int_equal(pipe(pipes), 0);
    pthread_mutex_lock(&held);
    assert_int_equal(pthread_create(&thread, NULL, lock_twice, NULL), 0);
    if (suite_fork() == 0) {
        char byte;
        _exit(read(pipes[0], &byte, 1) == 1 ? 1 : 0);
    }
    pid_t stopped = suite_fork();
    if (stopped == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    suite_wait(stopped);
}

/* A process that outlives its test. */
static void leaves_a_process(void)
{
    if (fork() == 0) {
        net_sleep_ms(60000);
        _exit(0);
    }
}

/* Runs the program anew with one of these as its only test; gives its status, and what it printed. */
static int run_alone(const char *name, char *said, size_t room)
{
    char program[4096];
    int output = memfd_create("said", MFD_CLOEXEC);
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(len > 0);
    program[len] = '\0';
    pid_t child = suite_fork();
    if (child == 0) {
        setenv("SUITE_HANGING", "1", 1);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execl(program, program, name, (char *)NULL);
        _exit(126);
    }
    int status = suite_wait(child);
    ssize_t got = pread(output, said, room - 1, 0);
    said[got > 0 ? got : 0] = '\0';
    close(output);
    return status;
}

static void expect_word(const char *said, const char *word)
{
    if (strstr(said, word) == NULL)
        fail_msg("'%s' is not in the report:\n%s", word, said);
}

static void a_hang_is_a_failure_that_names_its_calls(void)
{
    static char said[65536];
    assert_int_equal(run_alone("hangs", said, sizeof said), 1);
    expect_word(said, "hangs: not finished after 2 s");
    expect_word(said, "in futex\n");
    expect_word(said, "in read\n");
    expect_word(said, "in wait4\n");
    expect_word(said, "is stopped\n");
}

static void a_process_left_behind_is_a_failure(void)
{
    static char said[65536];
    assert_int_equal(run_alone("leaves a process", said, sizeof said), 1);
    expect_word(said, "left processes behind");
    expect_word(said, "nanosleep\n");
}

static const struct suite_test tests[] = {
    {.name = "a hang is a failure that names its calls", .run = a_hang_is_a_failure_that_names_its_calls},
    {.name = "a process left behind is a failure", .run = a_process_left_behind_is_a_failure},
};

static const struct suite_test bad_tests[] = {
    {.name = "hangs", .run = hangs, .limit_s = 2},
    {.name = "leaves a process", .run = leaves_a_process},
};

int main(int argc, char **argv)
{
    if (getenv("SUITE_HANGING") != NULL)
        suite_tests(bad_tests, suite_count(bad_tests));
    else
        suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
