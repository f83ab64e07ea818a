/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_SUITE_H
#define PRELOAD_SUITE_H

/*
 * What each test program's main() is made of. Every test runs in a process of its own, with a time limit that
 * names it and shows where its processes hang, and must leave no process behind.
 *
 *     int main(int argc, char **argv)
 *     {
 *         suite_scenarios(scenarios, suite_count(scenarios)); // scene.h: the same script on plain and on
 * sealed TCP suite_cases(cases, suite_count(cases));             // the same assertions on plain and on
 * sealed TCP suite_tests(tests, suite_count(tests));             // once return suite_run(argc, argv);
 *     }
 *
 * The program takes one optional argument: only tests with this text in their names are run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/types.h>

struct net;
struct scenario;

#define suite_count(table) (sizeof(table) / sizeof(table)[0])

struct suite_test {
    const char *name;
    void (*run)(void);
    unsigned limit_s; /* 0: the usual limit */
};

struct suite_case {
    const char *name;
    void (*run)(const struct net *net);
    unsigned limit_s;
};

/* A program that a test starts (suite_spawn), standing in the same executable. */
struct suite_role {
    const char *name;
    int (*run)(int argc, char **argv);
};

void suite_tests(const struct suite_test *table, size_t count);
void suite_cases(const struct suite_case *table, size_t count);
void suite_scenarios(const struct scenario *table, size_t count);
void suite_roles(const struct suite_role *table, size_t count);
int suite_run(int argc, char **argv);

/* Whether the library under test is loaded; without it every test still runs, plain against plain. */
bool suite_has_library(void);

/* Memory that the test's process shares with the one that watches it: printed when the time is up. */
extern char *suite_trace;
enum { SUITE_TRACE_SIZE = 1 << 18 };

/*
 * Starts a role as a new program. `args` are its arguments, NULL-terminated; `changes` to the environment are
 * "NAME=value", or "NAME" for unset, NULL-terminated. `out` and `err` become its standard output and error
 * unless -1. Dies with the test.
 */
pid_t suite_spawn(const char *role, const char *const *args, const char *const *changes, int out, int err);

/* fork(2) for a test's second process: it dies with the test. The child must end with _exit() or exit(). */
pid_t suite_fork(void);

/* Waits for a child and gives its exit status, or 1000 + the signal that ended it. */
int suite_wait(pid_t child);

/* Waits until the thread, of this process or of another, has been asleep for a moment without waking up, as
 * in a call that blocks, or is gone. Fails the test if that does not come. */
void suite_until_blocked(pid_t thread);

/* The same for a thread that was just made, and that stores its gettid(2) here. */
void suite_until_thread_blocked(const _Atomic pid_t *id);

#endif
