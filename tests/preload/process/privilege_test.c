/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Programs that give up the right to read their key file before they listen: what was read before serves them
 * and their children, and the log file stays theirs. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, LIMIT_S = 20 };

#define KEY      "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
#define NEW_KEYS "new:b2" KEY "\n"

/* A word goes over a new connection of this process with itself: 0, or where it went wrong. */
static int converse(int listener, const struct sockaddr_in *address)
{
    char text[3];
    int one = net_client(&net_sealed, 0);
    if (net_connect_to(one, address) < 0)
        return errno == ENOKEY ? 10 : 11;
    int two = accept(listener, NULL, NULL);
    if (two < 0)
        return 12;
    bool good = write(one, "hey", 3) == 3 && net_read_all(two, text, 3) == 3 && memcmp(text, "hey", 3) == 0;
    close(one), close(two);
    return good ? 0 : 13;
}

static int listen_and_converse(void)
{
    struct sockaddr_in address;
    int listener = net_listen(&net_sealed, 4, &address);
    return converse(listener, &address);
}

/* ---- every door ---- */

static int set_user(void)
{
    return setuid(getuid());
}

static int set_effective_user(void)
{
    return seteuid(geteuid());
}

static int set_two_users(void)
{
    return setreuid((uid_t)-1, (uid_t)-1);
}

static int set_three_users(void)
{
    return setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1);
}

static int set_user_for_files(void)
{
    return setfsuid((uid_t)-1) == (int)geteuid() ? 0 : -1;
}

static int set_group(void)
{
    return setgid(getgid());
}

static int set_effective_group(void)
{
    return setegid(getegid());
}

static int set_two_groups(void)
{
    return setregid((gid_t)-1, (gid_t)-1);
}

static int set_three_groups(void)
{
    return setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1);
}

static int set_group_for_files(void)
{
    return setfsgid((gid_t)-1) == (int)getegid() ? 0 : -1;
}

static int set_groups(void)
{
    return setgroups(0, NULL);
}

static int set_groups_of_user(void)
{
    return initgroups("root", 0);
}

static int change_root(void)
{
    return chroot("/");
}

static int set_user_raw(void)
{
    return (int)syscall(SYS_setresuid, -1, -1, -1);
}

static int change_root_raw(void)
{
    return (int)syscall(SYS_chroot, "/");
}

static const struct {
    const char *name;
    int (*call)(void);
    bool for_root;
} doors[] = {
    {"setuid", set_user, false},
    {"seteuid", set_effective_user, false},
    {"setreuid", set_two_users, false},
    {"setresuid", set_three_users, false},
    {"setfsuid", set_user_for_files, false},
    {"setgid", set_group, false},
    {"setegid", set_effective_group, false},
    {"setregid", set_two_groups, false},
    {"setresgid", set_three_groups, false},
    {"setfsgid", set_group_for_files, false},
    {"setgroups", set_groups, true},
    {"initgroups", set_groups_of_user, true},
    {"chroot", change_root, true},
    {"syscall(SYS_setresuid)", set_user_raw, false},
    {"syscall(SYS_chroot)", change_root_raw, true},
};

/* Makes the call of the door that it is told, in which the keys are read, or they never are. */
static int door_role(int argc, char **argv)
{
    (void)argc;
    if (doors[atoi(argv[1])].call() != 0)
        return 20;
    unlink(getenv("SOCKSEAL_KEY_FILE"));
    return listen_and_converse();
}

/* ---- a directory of root's, with a key file and a log ---- */

struct place {
    char directory[64], keys[96], log[96];
    char key_file[128], log_file[128];
};

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void make_place(struct place *place)
{
    strcpy(place->directory, "/tmp/sockseal-privilege-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->keys, sizeof place->keys, "%s/keys", place->directory);
    snprintf(place->log, sizeof place->log, "%s/log", place->directory);
    snprintf(place->key_file, sizeof place->key_file, "SOCKSEAL_KEY_FILE=%s", place->keys);
    snprintf(place->log_file, sizeof place->log_file, "SOCKSEAL_LOG_FILE=%s", place->log);
    write_text(place->keys, "alpha:" KEY "\n");
}

static void remove_place(const struct place *place)
{
    unlink(place->keys);
    unlink(place->log);
    assert_int_equal(rmdir(place->directory), 0);
}

/* Runs the role there; gives its status, and the log's text. */
static int run_there(const struct place *place, const char *role, const char *argument, char log[static 4096])
{
    const char *changes[] = {place->key_file, place->log_file, "SOCKSEAL_LOG=info", NULL};
    const char *arguments[] = {argument, NULL};
    int status = suite_wait(suite_spawn(role, arguments, changes, -1, -1));
    memset(log, 0, 4096);
    int fd = open(place->log, O_RDONLY);
    if (fd >= 0) {
        assert_true(read(fd, log, 4095) >= 0);
        close(fd);
    }
    return status;
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        found++;
    return found;
}

static void every_door(void)
{
    char log[4096], number[8];
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(doors); i++) {
        struct place place;
        if (doors[i].for_root && geteuid() != 0)
            continue;
        make_place(&place);
        snprintf(number, sizeof number, "%zu", i);
        int status = run_there(&place, "door", number, log);
        remove_place(&place);
        if (status != 0)
            fail_msg("%s: status %d\n%s", doors[i].name, status, log);
    }
}

/* ---- becoming another user ---- */

static void become_nobody(void)
{
    alarm(LIMIT_S);
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        _exit(21);
}

/* A child that stays root replaces the text of the key file when it is told, by end of file. */
static int root_stays(int start[2])
{
    char byte;
    if (pipe(start) < 0)
        _exit(22);
    int child = fork();
    if (child == 0) {
        close(start[1]);
        if (read(start[0], &byte, 1) != 0)
            _exit(1);
        write_text(getenv("SOCKSEAL_KEY_FILE"), NEW_KEYS);
        _exit(0);
    }
    close(start[0]);
    return child;
}

static void let_root_write(int child, int start[2])
{
    close(start[1]);
    if (suite_wait(child) != 0)
        _exit(23);
}

/* A worker has the keys, and the old ones serve on when the file is changed, which is said once. */
static int nobody_role(int argc, char **argv)
{
    struct sockaddr_in address;
    int start[2], root = root_stays(start), status = 0;
    (void)argc, (void)argv;
    become_nobody();
    int listener = net_listen(&net_sealed, 4, &address);
    if ((status = converse(listener, &address)) != 0)
        return status;
    let_root_write(root, start);
    for (int round = 0; round < 3 && status == 0; round++)
        status = converse(listener, &address);
    pid_t worker = fork();
    if (worker == 0)
        _exit(converse(listener, &address));
    return status ? status : suite_wait(worker);
}

static void another_user(void)
{
    struct place place;
    char log[4096];
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place);
    assert_int_equal(chmod(place.directory, 0711), 0);
    int status = run_there(&place, "nobody", NULL, log);
    remove_place(&place);
    assert_int_equal(status, 0);
    assert_int_equal(count(log, "warning: "), 1);
    assert_non_null(strstr(log, "user 65534"));
    assert_non_null(strstr(log, "may not read it any more; restart"));
    assert_int_equal(count(log, "error: "), 0);
}

/* Where not even the directory can be looked into, there is no change to be warned of. */
static void another_user_who_sees_nothing(void)
{
    struct place place;
    char log[4096];
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place);
    int status = run_there(&place, "nobody", NULL, log);
    remove_place(&place);
    assert_int_equal(status, 0);
    assert_int_equal(count(log, "warning: ") + count(log, "error: "), 0);
    assert_int_equal(count(log, "out of this program's sight"), 1);
}

static int chroot_role(int argc, char **argv)
{
    (void)argc;
    if (chroot(argv[1]) != 0 || chdir("/") != 0)
        return 24;
    become_nobody();
    return listen_and_converse();
}

static void another_root_directory(void)
{
    struct place place;
    char log[4096], empty[] = "/tmp/sockseal-root-XXXXXX";
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place);
    assert_non_null(mkdtemp(empty));
    assert_int_equal(chmod(empty, 0755), 0);
    int status = run_there(&place, "chroot", empty, log);
    remove_place(&place);
    assert_int_equal(rmdir(empty), 0);
    assert_int_equal(status, 0);
    assert_int_equal(count(log, "warning: ") + count(log, "error: "), 0);
    assert_int_equal(count(log, "out of this program's sight"), 1);
}

/* The file is there when it is too late: it fails, and says what to do. */
static int late_role(int argc, char **argv)
{
    int start[2], root = root_stays(start);
    (void)argc, (void)argv;
    unlink(getenv("SOCKSEAL_KEY_FILE"));
    become_nobody();
    let_root_write(root, start);
    return listen_and_converse();
}

static void keys_that_were_not_there(void)
{
    struct place place;
    char log[4096];
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place);
    int status = run_there(&place, "late", NULL, log);
    remove_place(&place);
    assert_int_equal(status, 10);
    assert_int_equal(count(log, "error: "), 1);
    assert_non_null(strstr(log, "user 65534"));
    assert_non_null(strstr(log, "SOCKSEAL_KEY_FILE"));
}

/* A file of the user that the process becomes is no cause for complaint while it is root. */
static int own_file_role(int argc, char **argv)
{
    (void)argc, (void)argv;
    become_nobody();
    return listen_and_converse();
}

static void keys_of_the_later_user(void)
{
    struct place place;
    char log[4096];
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place);
    assert_int_equal(chmod(place.directory, 0711), 0);
    assert_int_equal(chown(place.keys, NOBODY, NOBODY), 0);
    int status = run_there(&place, "own file", NULL, log);
    remove_place(&place);
    assert_int_equal(status, 0);
    assert_int_equal(count(log, "warning: ") + count(log, "error: "), 0);
}

/* ---- bookkeeping ---- */

/* A vfork child shares the memory, and not the descriptors: what it did would be wrong for its parent. */
static int vfork_role(int argc, char **argv)
{
    int before = dup(0);
    (void)argc, (void)argv;
    close(before);
    pid_t child = vfork();
    if (child == 0) {
        setuid(getuid());
        _exit(0);
    }
    if (waitpid(child, NULL, 0) != child)
        return 25;
    for (int fd = 3; fd < 1024; fd++) /* a kept descriptor's number would be refused */
        if (close(fd) < 0 && dup2(0, fd) == fd && close(fd) < 0)
            return 26;
    unlink(getenv("SOCKSEAL_KEY_FILE"));
    return listen_and_converse();
}

static void vfork_child(void)
{
    struct place place;
    char log[4096];
    if (!suite_has_library())
        skip();
    make_place(&place);
    int status = run_there(&place, "vfork", NULL, log);
    remove_place(&place);
    assert_int_equal(status, 10);
}

/* The program puts a file of its own at the numbers of the library's, the log's among them. */
static int numbers_role(int argc, char **argv)
{
    struct sockaddr_in address;
    int start[2], root = root_stays(start);
    (void)argc;
    int file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    become_nobody();
    int listener = net_listen(&net_sealed, 4, &address);
    for (int fd = 512; fd < 1024; fd++) {
        if (dup2(file, fd) != fd)
            return 27;
    }
    let_root_write(root, start);
    int status = converse(listener, &address);
    struct stat written;
    return status ? status : fstat(file, &written) == 0 && written.st_size == 0 ? 0 : 28;
}

static void log_gives_way(void)
{
    struct place place;
    char log[4096], other[] = "/tmp/sockseal-other-XXXXXX";
    if (!suite_has_library() || geteuid() != 0)
        skip();
    make_place(&place);
    close(mkstemp(other));
    assert_int_equal(chmod(place.directory, 0711), 0);
    int status = run_there(&place, "numbers", other, log);
    remove_place(&place);
    unlink(other);
    assert_int_equal(status, 0);
    assert_int_equal(count(log, "may not read it any more"), 1);
}

static const struct suite_test tests[] = {
    {.name = "the keys are read before every door", .run = every_door},
    {.name = "another user", .run = another_user},
    {.name = "another user who sees nothing", .run = another_user_who_sees_nothing},
    {.name = "another root directory", .run = another_root_directory},
    {.name = "keys that were not there", .run = keys_that_were_not_there},
    {.name = "keys of the later user", .run = keys_of_the_later_user},
    {.name = "a vfork child", .run = vfork_child},
    {.name = "the log gives way", .run = log_gives_way},
};

static const struct suite_role roles[] = {
    {"door", door_role},   {"nobody", nobody_role},     {"chroot", chroot_role},   {"late", late_role},
    {"vfork", vfork_role}, {"own file", own_file_role}, {"numbers", numbers_role},
};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
