/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A program starts where the kernel or the file system lacks something, and its connections work all the
 * same. */

#include "suite.h"

#include "denied.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CANNOT = 77 };

static void cover(const char *path)
{
    const int own = geteuid() == 0 ? 0 : CLONE_NEWUSER;
    if (unshare(CLONE_NEWNS | own) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", path, "tmpfs", 0, "size=4k") != 0)
        _exit(CANNOT);
}

static void no_proc(void)
{
    cover("/proc");
}

static void no_dev(void)
{
    cover("/dev");
}

static void no_memfd(void)
{
    static const int calls[] = {SYS_memfd_create};
    denied_calls(calls, 1, ENOSYS);
}

static void no_getrandom(void)
{
    static const int calls[] = {SYS_getrandom};
    denied_calls(calls, 1, ENOSYS);
}

/* fork(2) is clone(2) in glibc, so what is refused is what threads alone are made with. */
static void no_new_calls(void)
{
    static const int calls[] = {SYS_clone3, SYS_close_range, SYS_epoll_pwait2, SYS_membarrier,
                                SYS_statx,  SYS_pidfd_open,  SYS_openat2,      SYS_rseq};
    denied_calls(calls, suite_count(calls), ENOSYS);
}

static void no_files(void)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &none);
}

static void few_descriptors(void)
{
    const struct rlimit few = {16, 16};
    setrlimit(RLIMIT_NOFILE, &few);
}

/* Log and key log are on a file system that has no room. */
static void full_disk(void)
{
    const char *directory = getenv("TMPDIR");
    static const char bytes[4096];
    char path[1000], log[1010];
    snprintf(path, sizeof path, "%s/full-XXXXXX", directory ? directory : "/tmp");
    if (!mkdtemp(path))
        _exit(2);
    cover(path);
    snprintf(log, sizeof log, "%s/log", path);
    int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    if (errno != ENOSPC)
        _exit(2);
    close(fd);
    setenv("SOCKSEAL_LOG", "debug", 1);
    setenv("SOCKSEAL_LOG_FILE", log, 1);
    setenv("SOCKSEAL_KEYLOG_FILE", log, 1);
}

static const struct {
    const char *name;
    void (*take_away)(void);
} lacks[] = {
    {"proc", no_proc},
    {"dev", no_dev},
    {"memfd", no_memfd},
    {"getrandom", no_getrandom},
    {"calls", no_new_calls},
    {"files", no_files},
    {"descriptors", few_descriptors},
    {"disk", full_disk},
};

static void exchange(int from, int to)
{
    static uint8_t bytes[30000], got[sizeof bytes];
    net_pattern(bytes, sizeof bytes, 0);
    if (net_write_all(from, bytes, sizeof bytes) != sizeof bytes)
        _exit(3);
    for (size_t done = 0; done < sizeof got;) {
        ssize_t part = read(to, got + done, sizeof got - done);
        if (part <= 0)
            _exit(4);
        done += (size_t)part;
    }
    if (!net_is_pattern(got, sizeof got, 0))
        _exit(6);
}

static bool take_away(const char *name)
{
    for (size_t i = 0; i < suite_count(lacks); i++) {
        if (strcmp(lacks[i].name, name) == 0) {
            lacks[i].take_away();
            return true;
        }
    }
    return false;
}

/* Both ways, by a child, and on a connection that is made later. With a second argument it lacks that from
 * here on. */
static int work_role(int argc, char **argv)
{
    int pair[2], second[2];
    net_warm_pair(&net_sealed, pair);
    if (argc > 2 && !take_away(argv[2]))
        return 9;
    exchange(pair[0], pair[1]);
    pid_t child = fork();
    if (child == 0) {
        exchange(pair[0], pair[1]);
        _exit(0);
    }
    if (suite_wait(child) != 0)
        return 7;
    net_warm_pair(&net_sealed, second);
    exchange(second[1], second[0]);
    exchange(pair[1], pair[0]);
    close(pair[0]);
    net_expect_end(pair[1]);
    printf("%s: fine\n", argv[1]);
    return 0;
}

static int lack_role(int argc, char **argv)
{
    if (argc != 3 || !take_away(argv[1]))
        return 9;
    execl(argv[2], argv[2], "--role", "work", argv[1], (char *)NULL);
    return 8;
}

/* Says that all is well, and nothing else: the log, of warnings and errors, is empty. */
static void runs(const char *role, const char *lack, const char *argument)
{
    char log[8192], fine[64];
    const char *args[] = {lack, argument, NULL}, *changes[] = {NULL};
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = suite_spawn(role, args, changes, pipes[1], pipes[1]);
    close(pipes[1]);
    log[net_read_all(pipes[0], log, sizeof log - 1)] = '\0';
    close(pipes[0]);
    int status = suite_wait(child);
    if (status == CANNOT)
        skip();
    snprintf(fine, sizeof fine, "%s: fine\n", lack);
    /* What the log's file does not take goes to standard error. */
    if (status != 0 || !strstr(log, fine) || (strcmp(lack, "disk") != 0 && strcmp(log, fine) != 0))
        fail_msg("%s, status %d: %s", role, status, log);
}

static void starts_without(const char *lack)
{
    static char self[4096];
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    runs("lack", lack, self);
}

static void works_without(const char *lack)
{
    starts_without(lack);
    runs("work", lack, lack);
}

static void without_proc(void)
{
    works_without("proc");
}

static void without_dev(void)
{
    works_without("dev");
}

static void without_memfd(void)
{
    works_without("memfd");
}

static void without_getrandom(void)
{
    works_without("getrandom");
}

static void without_new_calls(void)
{
    works_without("calls");
}

static void without_files(void)
{
    works_without("files");
}

static void with_few_descriptors(void)
{
    works_without("descriptors");
}

static void with_a_full_disk(void)
{
    starts_without("disk");
}

int main(int argc, char **argv)
{
    static const struct suite_role roles[] = {{"lack", lack_role}, {"work", work_role}};
    static const struct suite_test tests[] = {
        {"without /proc", without_proc, 0},
        {"without /dev", without_dev, 0},
        {"without memfd_create", without_memfd, 0},
        {"without getrandom", without_getrandom, 0},
        {"without newer system calls", without_new_calls, 0},
        {"without room for a file", without_files, 0},
        {"with few descriptors", with_few_descriptors, 0},
        {"with a log on a full disk", with_a_full_disk, 0},
    };
    suite_roles(roles, suite_count(roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
