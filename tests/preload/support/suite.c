/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "hang.h"
#include "leaks.h"
#include "net.h"
#include "proxy.h"
#include "scene.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 60, ITEMS_MAX = 1024, ROLES_MAX = 32, NAME_MAX_LEN = 96 };

/* One line of the report. Which of the members is set says what kind it is. */
struct item {
    char name[NAME_MAX_LEN];
    unsigned limit_s;
    void (*test)(void);
    void (*net_case)(const struct net *net);
    const struct net *net;
    const struct scenario *scenario;
    const struct variant *variant;
};

static struct item items[ITEMS_MAX];
static size_t item_count;
static const struct suite_role *roles[ROLES_MAX];
static size_t role_count;
static const struct suite_role proxy_role = {"proxy", proxy_main};

char *suite_trace;

static struct item *add_item(const char *name, const char *kind, unsigned limit_s)
{
    struct item *item = &items[item_count++];
    if (item_count > ITEMS_MAX)
        abort();
    if (kind != NULL)
        snprintf(item->name, sizeof item->name, "%s [%s]", name, kind);
    else
        snprintf(item->name, sizeof item->name, "%s", name);
    item->limit_s = limit_s ? limit_s : LIMIT_S;
    return item;
}

void suite_tests(const struct suite_test *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_item(table[i].name, NULL, table[i].limit_s)->test = table[i].run;
}

void suite_cases(const struct suite_case *table, size_t count)
{
    const struct net *nets[] = {&net_plain, &net_sealed};
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < 2; n++) {
            struct item *item = add_item(table[i].name, nets[n]->name, table[i].limit_s);
            item->net_case = table[i].run;
            item->net = nets[n];
        }
    }
}

void suite_scenarios(const struct scenario *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t v = 0; v < scene_variant_count; v++) {
            if (table[i].only != 0 && !(table[i].only & scene_variants[v].bit))
                continue;
            struct item *item = add_item(table[i].name, scene_variants[v].name, table[i].limit_s);
            item->scenario = &table[i];
            item->variant = &scene_variants[v];
        }
    }
}

void suite_roles(const struct suite_role *table, size_t count)
{
    for (size_t i = 0; i < count && role_count < ROLES_MAX; i++)
        roles[role_count++] = &table[i];
}

/* There in a program that is linked with the library's objects, as those for ThreadSanitizer are. */
extern void config_load(void) __attribute__((weak));

bool suite_has_library(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (config_load != NULL)
        return true;
    return preload != NULL && strstr(preload, "sockseal") != NULL;
}

/* In cmocka's place: it keeps what an assertion says until the test's function returns, and one that fails in
 * another thread than the test's own ends the process before that. */
void cm_print_error(const char *format, ...) __attribute__((format(printf, 1, 2), visibility("default")));

void cm_print_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (format[0] != '\0' && format[strlen(format) - 1] != '\n')
        fputc('\n', stderr);
}

/* The test itself, as cmocka calls it in the process that belongs to it. */
static void run_here(void **state)
{
    const struct item *item = *state;
    if (item->test != NULL)
        item->test();
    else if (item->net_case != NULL)
        item->net_case(item->net);
    else
        scene_compare(item->scenario, item->variant);
}

/* A nested cmocka run, so that a failed assertion ends this process's test and nothing else. */
static void be_the_test(struct item *item, int output)
{
    struct CMUnitTest one = {.name = item->name, .test_func = run_here, .initial_state = item};
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, 1);
    dup2(output, 2);
    close(output);
    leaks_remember();
    int failed = _cmocka_run_group_tests("one", &one, 1, NULL, NULL) || leaks_found();
    fflush(NULL);
    exit(failed ? 1 : 0);
}

static bool ends_within(pid_t child, int limit_ms)
{
    siginfo_t info = {.si_pid = 0};
    unsigned pause_ms = 1;
    for (int64_t end = net_now_ms() + limit_ms; net_now_ms() < end;) {
        if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child)
            return true;
        net_sleep_ms(pause_ms);
        pause_ms = pause_ms < 10 ? pause_ms + 1 : pause_ms;
    }
    return false;
}

static void print_output(int output)
{
    char line[4096];
    ssize_t n;
    lseek(output, 0, SEEK_SET);
    while ((n = read(output, line, sizeof line)) > 0)
        fwrite(line, 1, (size_t)n, stderr);
    fflush(stderr);
}

/* Whatever the test started must be gone shortly after it; orphans come to us, who are their subreaper. */
static bool nothing_left(pid_t group)
{
    for (int64_t end = net_now_ms() + 1000; net_now_ms() < end; net_sleep_ms(5)) {
        while (waitpid(-group, NULL, WNOHANG) > 0)
            ;
        if (kill(-group, 0) < 0 && errno == ESRCH)
            return true;
    }
    return false;
}

static void run_isolated(void **state)
{
    struct item *item = *state;
    int output = memfd_create("output", MFD_CLOEXEC);
    int status = 0;
    suite_trace[0] = '\0';
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        be_the_test(item, output);
    setpgid(child, child);
    bool in_time = ends_within(child, (int)item->limit_s * 1000);
    if (!in_time) {
        fprintf(stderr, "%s: not finished after %u s\n", item->name, item->limit_s);
        hang_report(child);
        fprintf(stderr, "--- so far:\n%s", suite_trace);
        kill(-child, SIGKILL);
    }
    waitpid(child, &status, 0);
    bool clean = nothing_left(child);
    if (!clean) {
        fprintf(stderr, "%s: left processes behind\n", item->name);
        hang_report(child);
        kill(-child, SIGKILL);
    }
    if (!in_time || !clean || status != 0)
        print_output(output);
    close(output);
    if (WIFSIGNALED(status) && in_time)
        fail_msg("ended by signal %d", WTERMSIG(status));
    if (!in_time || !clean || status != 0)
        fail();
}

static int run_role(int argc, char **argv)
{
    for (size_t i = 0; i < role_count; i++)
        if (strcmp(roles[i]->name, argv[2]) == 0)
            return roles[i]->run(argc - 2, argv + 2);
    return 127;
}

int suite_run(int argc, char **argv)
{
    static struct CMUnitTest tests[ITEMS_MAX];
    size_t count = 0;
    suite_roles(&proxy_role, 1);
    if (argc > 2 && strcmp(argv[1], "--role") == 0)
        return run_role(argc, argv);
    for (size_t i = 0; i < item_count; i++) {
        if (argc > 1 && strstr(items[i].name, argv[1]) == NULL)
            continue;
        tests[count++] =
            (struct CMUnitTest){.name = items[i].name, .test_func = run_isolated, .initial_state = &items[i]};
    }
    if (!suite_has_library())
        fprintf(stderr, "note: the library is not preloaded; all connections are plain\n");
    suite_trace = mmap(NULL, SUITE_TRACE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (suite_trace == MAP_FAILED)
        abort();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return _cmocka_run_group_tests(argv[0], tests, count, NULL, NULL) ? 1 : 0;
}
