/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a child does to its descriptors before it becomes another program: by file actions, and in the memory
 * of its parent. */

#include "suite.h"

#include "net.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static char program[4096];

static void find_program(void)
{
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(len > 0);
    program[len] = '\0';
}

static void talk_to(int fd, pid_t child)
{
    net_expect_text(fd, "spoken written");
    assert_int_equal(write(fd, "echo", 4), 4);
    net_expect_text(fd, "echo");
    assert_int_equal(suite_wait(child), 0);
}

/* dup2 onto the standard descriptors, close of the old number and of another connection, open over it: all
 * done inside libc. */
static void complaint_13_file_actions_are_seen(const struct net *net)
{
    int pair[2], other[2];
    pid_t child;
    char *words[] = {program, "--role", "speaking", NULL};
    posix_spawn_file_actions_t actions;
    find_program();
    net_warm_pair(net, pair);
    net_warm_pair(net, other);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pair[0], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, pair[0]);
    posix_spawn_file_actions_addclose(&actions, other[0]);
    posix_spawn_file_actions_addopen(&actions, other[1], "/dev/null", O_RDWR, 0);
    for (int form = 0; form < 2; form++) {
        assert_int_equal(form == 0 ? posix_spawn(&child, program, &actions, NULL, words, environ)
                                   : posix_spawnp(&child, program, &actions, NULL, words, environ),
                         0);
        talk_to(pair[1], child);
        /* This process's descriptors are what they were. */
        assert_int_equal(write(pair[0], "mine", 4), 4);
        net_expect_text(pair[1], "mine");
        assert_int_equal(write(other[0], "mine", 4), 4);
        net_expect_text(other[1], "mine");
    }
    posix_spawn_file_actions_destroy(&actions);
    close(pair[0]), close(pair[1]), close(other[0]), close(other[1]);
}

/* The child of vfork has its parent's memory: what it does to its descriptors must not be done to the
 * parent's bookkeeping. */
static void complaint_13_a_vfork_childs_descriptors_are_its_own(const struct net *net)
{
    int pair[2], other[2];
    char byte;
    find_program();
    net_warm_pair(net, pair);
    net_warm_pair(net, other);
    pid_t child = vfork();
    if (child == 0) {
        dup2(pair[0], STDIN_FILENO);
        dup2(pair[0], STDOUT_FILENO);
        close(pair[0]);
        close(other[0]);
        dup2(other[1], pair[1]);
        close(other[1]);
        execl(program, program, "--role", "speaking", (char *)NULL);
        _exit(99);
    }
    assert_true(child > 0);
    talk_to(pair[1], child);
    assert_int_equal(write(pair[0], "mine", 4), 4);
    net_expect_text(pair[1], "mine");
    assert_int_equal(write(other[0], "mine", 4), 4);
    net_expect_text(other[1], "mine");
    close(pair[0]), close(other[0]);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    assert_int_equal(read(other[1], &byte, 1), 0);
    close(pair[1]), close(other[1]);
}

/* The next program: says a word by stdio and by write, then repeats what it hears. */
static int speaking_role(int argc, char **argv)
{
    char word[8] = "";
    (void)argc, (void)argv;
    printf("spoken ");
    fflush(stdout);
    if (write(STDOUT_FILENO, "written", 7) != 7 || net_read_all(STDIN_FILENO, word, 4) != 4)
        return 1;
    return net_write_all(STDOUT_FILENO, word, 4) == 4 ? 0 : 2;
}

static const struct suite_case cases[] = {
    {.name = "complaint_13_file_actions_are_seen", .run = complaint_13_file_actions_are_seen},
    {.name = "complaint_13_a_vfork_childs_descriptors_are_its_own",
     .run = complaint_13_a_vfork_childs_descriptors_are_its_own},
};

static const struct suite_role roles[] = {
    {"speaking", speaking_role},
};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
