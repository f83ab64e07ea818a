/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Programs that nothing can be preloaded into, or not from here: with a sealed connection they are refused,
 * with EACCES and a line that says why; without one they run. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

extern char **environ;

enum { NOBODY = 65534, RAN = 0, REFUSED = 10, OTHER = 20, PATH_LEN = 4200 };

static const char static_program[] = "/sbin/ldconfig";

/* A directory that every user can look into: with the library, and a program with the bits of the test. */
struct place {
    char directory[64], library[PATH_LEN], program[PATH_LEN];
};

static void copy_file(const char *from, const char *to, mode_t mode)
{
    char data[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, data, sizeof data)) > 0;)
        assert_int_equal(net_write_all(out, data, (size_t)n), n);
    assert_int_equal(fchmod(out, mode), 0);
    close(in), close(out);
}

static void make_place(struct place *place, mode_t mode)
{
    snprintf(place->directory, sizeof place->directory, "/tmp/sockseal-place-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    assert_int_equal(chmod(place->directory, 0755), 0);
    snprintf(place->library, PATH_LEN, "%s/libsockseal.so", place->directory);
    snprintf(place->program, PATH_LEN, "%s/program", place->directory);
    copy_file(getenv("LD_PRELOAD"), place->library, 0755);
    copy_file("/bin/true", place->program, mode);
}

static void remove_place(const struct place *place)
{
    unlink(place->library), unlink(place->program);
    rmdir(place->directory);
}

/* As a process with a sealed connection that is to survive, or none, of this user: runs the program in a
 * child. Arguments: program, user or -1, effective user or -1, "sealed" or "", and "nnp", "audit" or "". */
static int runner_role(int argc, char **argv)
{
    int pair[2] = {-1, -1}, status = 0;
    int user = atoi(argv[2]), effective = atoi(argv[3]);
    (void)argc;
    if (strcmp(argv[4], "sealed") == 0) {
        net_warm_pair(&net_sealed, pair);
        fcntl(pair[0], F_SETFD, 0);
    }
    if (user >= 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                      setresuid((uid_t)user, (uid_t)effective, (uid_t)effective) < 0))
        return OTHER;
    if (strcmp(argv[5], "nnp") == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return OTHER;
    pid_t child = suite_fork();
    if (child == 0) {
        if (strcmp(argv[5], "audit") == 0)
            setenv("LD_AUDIT", "/nonexistent/audit.so", 1);
        execl(argv[1], argv[1], "--version", (char *)NULL);
        _exit(errno == EACCES ? REFUSED : OTHER);
    }
    waitpid(child, &status, 0);
    if (pair[0] >= 0 && net_wait(pair[1], POLLIN, 20) != 0)
        return OTHER; /* nothing may have been sent */
    return WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
}

struct run {
    const char *program;
    int user, effective;
    const char *sealed, *privileges, *strict;
};

static int outcome(const struct place *place, const struct run *run, char *log, size_t room)
{
    char numbers[2][16], preload[PATH_LEN + 16];
    int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    snprintf(numbers[0], 16, "%d", run->user), snprintf(numbers[1], 16, "%d", run->effective);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", place ? place->library : getenv("LD_PRELOAD"));
    const char *args[] = {run->program,
                          numbers[0],
                          numbers[1],
                          run->sealed ? run->sealed : "",
                          run->privileges ? run->privileges : "",
                          NULL};
    const char *changes[] = {preload, run->strict ? "SOCKSEAL_STRICT=1" : "SOCKSEAL_STRICT", NULL};
    int status = suite_wait(suite_spawn("runner", args, changes, out, err));
    lseek(err, 0, SEEK_SET);
    log[net_read_all(err, log, room - 1)] = '\0';
    close(out), close(err);
    return status;
}

static void expect(const struct place *place, struct run run, int status, const char *word)
{
    char log[4096];
    assert_int_equal(outcome(place, &run, log, sizeof log), status);
    if (word && !strstr(log, word))
        fail_msg("no '%s' in: %s", word, log);
    if (!word && *log)
        fail_msg("a line that should not be: %s", log);
}

static void a_static_program(void)
{
    if (!suite_has_library() || access(static_program, X_OK) < 0)
        skip();
    expect(NULL, (struct run){static_program, -1, -1, "sealed", "", NULL}, REFUSED, "statically");
    expect(NULL, (struct run){static_program, -1, -1, "", "", NULL}, RAN, NULL);
    expect(NULL, (struct run){static_program, -1, -1, "", "", "1"}, REFUSED, "SOCKSEAL_STRICT");
    expect(NULL, (struct run){"/bin/true", -1, -1, "", "", "1"}, RAN, NULL);
}

/* The bits count only where they would change the rights: for another user, and not under no_new_privs. */
static void a_set_user_id_program(void)
{
    struct place place;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place, 04755);
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "sealed", "", NULL}, REFUSED, "set-user-ID");
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "", "", NULL}, RAN, "warning: ");
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "", "", "1"}, REFUSED, "set-user-ID");
    expect(&place, (struct run){place.program, -1, -1, "sealed", "", NULL}, RAN, NULL);
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "sealed", "nnp", NULL}, RAN, NULL);
    remove_place(&place);
    make_place(&place, 02755);
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "sealed", "", NULL}, REFUSED, "set-group-ID");
    remove_place(&place);
    make_place(&place, 0755);
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "sealed", "", NULL}, RAN, NULL);
    remove_place(&place);
}

static void a_program_with_file_capabilities(void)
{
    struct place place;
    /* struct vfs_cap_data, version 2, effective: CAP_NET_BIND_SERVICE */
    const uint32_t capabilities[] = {0x02000001, 1u << 10, 0, 0, 0};
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place, 0755);
    if (setxattr(place.program, "security.capability", capabilities, sizeof capabilities, 0) < 0) {
        remove_place(&place);
        skip(); /* a file system, or a container, without them */
    }
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "sealed", "", NULL}, REFUSED, "capabilities");
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "", "", NULL}, RAN, "warning: ");
    expect(&place, (struct run){place.program, -1, -1, "sealed", "", NULL}, RAN, NULL);
    remove_place(&place);
}

/* The process has two users' rights already, and so would every program that it runs. */
static void a_process_of_two_users(void)
{
    struct place place;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place, 0755);
    expect(&place, (struct run){place.program, 0, NOBODY, "sealed", "", NULL}, REFUSED, "two users");
    expect(&place, (struct run){place.program, 0, NOBODY, "sealed", "nnp", NULL}, REFUSED, "two users");
    expect(&place, (struct run){place.program, 0, NOBODY, "", "", NULL}, RAN, "warning: ");
    expect(&place, (struct run){place.program, NOBODY, NOBODY, "", "", NULL}, RAN, NULL);
    expect(&place, (struct run){place.program, 0, NOBODY, "", "", "1"}, REFUSED, "SOCKSEAL_STRICT");
    remove_place(&place);
}

/* Only the effective user may run it: access(2) asks for the real one. */
static void a_program_of_the_effective_user(void)
{
    struct place place;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place, 0700);
    expect(&place, (struct run){place.program, NOBODY, 0, "", "", NULL}, RAN, "two users");
    expect(&place, (struct run){place.program, NOBODY, 0, "", "", "1"}, REFUSED, "two users");
    remove_place(&place);
}

/* A carriage return belongs to the name of a script's interpreter. */
static void a_script_with_a_carriage_return(void)
{
    struct place place;
    char other[PATH_LEN + 8], line[PATH_LEN + 8];
    if (!suite_has_library() || access(static_program, X_OK) < 0)
        skip();
    make_place(&place, 0755);
    snprintf(other, sizeof other, "%s\r", place.program);
    copy_file(static_program, other, 0755);
    int len = snprintf(line, sizeof line, "#!%s\r\n", place.program), fd;
    strcat(place.directory, "/script");
    assert_true((fd = open(place.directory, O_WRONLY | O_CREAT | O_CLOEXEC, 0755)) >= 0);
    assert_int_equal(write(fd, line, (size_t)len), len);
    close(fd);
    expect(NULL, (struct run){place.directory, -1, -1, "", "", "1"}, REFUSED, "statically");
    unlink(other), unlink(place.directory);
    *strrchr(place.directory, '/') = '\0';
    remove_place(&place);
}

/* What is no dynamic linker has its name. */
static void a_program_with_the_linkers_name(void)
{
    struct place place;
    char name[PATH_LEN + 32];
    if (!suite_has_library() || access(static_program, X_OK) < 0)
        skip();
    make_place(&place, 0755);
    snprintf(name, sizeof name, "%s/ld-linux-x86-64.so.2", place.directory);
    copy_file(static_program, name, 0755);
    expect(NULL, (struct run){name, -1, -1, "", "", "1"}, REFUSED, "statically");
    unlink(name);
    remove_place(&place);
}

/* Auditing libraries have a C library of their own. */
static void an_audited_program(void)
{
    if (!suite_has_library())
        skip();
    expect(NULL, (struct run){"/bin/true", -1, -1, "", "audit", NULL}, RAN,
           "warning: /bin/true is to be audited");
    expect(NULL, (struct run){"/bin/true", -1, -1, "", "audit", "1"}, REFUSED, "audited");
    expect(NULL, (struct run){"/bin/true", -1, -1, "sealed", "audit", NULL}, REFUSED, "audited");
}

/* Under another root directory the library is out of reach. */
static void behind_chroot(void)
{
    int pair[2], err = memfd_create("err", MFD_CLOEXEC);
    char log[1024], directory[] = "/tmp/sockseal-root-XXXXXX", program[64];
    if (!suite_has_library() || geteuid() != 0)
        skip();
    assert_non_null(mkdtemp(directory));
    snprintf(program, sizeof program, "%s/true", directory);
    copy_file("/bin/true", program, 0755);
    net_warm_pair(&net_sealed, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(err, 2);
        fcntl(pair[0], F_SETFD, 0);
        if (chroot(directory) < 0 || chdir("/") < 0)
            _exit(OTHER);
        execl("/true", "true", (char *)NULL);
        int error = errno;
        if (write(pair[0], "on", 2) != 2)
            _exit(OTHER);
        _exit(error == EACCES ? REFUSED : OTHER);
    }
    int status = suite_wait(child);
    unlink(program), rmdir(directory);
    assert_int_equal(status, REFUSED);
    lseek(err, 0, SEEK_SET);
    log[net_read_all(err, log, sizeof log - 1)] = '\0';
    assert_non_null(strstr(log, "chroot"));
    assert_int_equal(read(pair[1], log, sizeof log), 2);
    close(pair[0]), close(pair[1]), close(err);
}

/* By posix_spawn, and by the shell that system(3) and popen(3) start. */
static void by_the_other_ways(void)
{
    int pair[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(2);
    pid_t child;
    char *argv[] = {(char *)(uintptr_t)static_program, (char *)(uintptr_t) "--version", NULL};
    if (!suite_has_library() || access(static_program, X_OK) < 0)
        skip();
    net_warm_pair(&net_sealed, pair);
    fcntl(pair[0], F_SETFD, 0);
    dup2(null, 2);
    assert_int_equal(posix_spawn(&child, static_program, NULL, NULL, argv, environ), EACCES);
    assert_int_equal(posix_spawnp(&child, static_program, NULL, NULL, argv, environ), EACCES);
    assert_int_equal(system("/sbin/ldconfig --version >&2"), 126 << 8);
    FILE *stream = popen("/sbin/ldconfig --version", "r");
    assert_int_equal(fgetc(stream), EOF);
    assert_int_equal(pclose(stream), 126 << 8);
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    assert_int_equal(system("/sbin/ldconfig --version >&2"), 0);
    dup2(saved, 2);
    assert_int_equal(net_wait(pair[1], POLLIN, 0), 0);
    close(pair[0]), close(pair[1]), close(null), close(saved);
}

static const struct suite_test tests[] = {
    {.name = "a static program", .run = a_static_program},
    {.name = "a set-user-ID program", .run = a_set_user_id_program},
    {.name = "a program with file capabilities", .run = a_program_with_file_capabilities},
    {.name = "a process of two users", .run = a_process_of_two_users},
    {.name = "a program of the effective user", .run = a_program_of_the_effective_user},
    {.name = "a script with a carriage return", .run = a_script_with_a_carriage_return},
    {.name = "a program with the linker's name", .run = a_program_with_the_linkers_name},
    {.name = "an audited program", .run = an_audited_program},
    {.name = "behind chroot", .run = behind_chroot},
    {.name = "by the other ways", .run = by_the_other_ways},
};

static const struct suite_role test_roles[] = {{"runner", runner_role}};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
