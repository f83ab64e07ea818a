/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SOCKSEAL_KEYS_AFTER_FORK=forget: children use the connections that they hold, and make none. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The address that everything here connects to. */
static struct sockaddr_in address;

/* 0, or the errno of a new connection. */
static int connected(void)
{
    int fd = net_client(&net_sealed, 0);
    int error = net_connect_to(fd, &address) < 0 ? errno : 0;
    close(fd);
    return error;
}

static int accepted(int listener)
{
    int fd = accept(listener, NULL, NULL), error = fd < 0 ? errno : 0;
    close(fd);
    return error;
}

/* Whether the process's memory has the key: as it stands in the file, or as bytes. */
static bool has_the_key(void)
{
    char line[300], needle[32];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < (int)sizeof needle; i++)
        needle[i] = (char)(0x51 ^ 0x55); /* not written down whole anywhere else */
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        static char bytes[1 << 20];
        if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || !strstr(line, " rw") || strstr(line, "[stack]") ||
            to - from > sizeof bytes || strchr(line, '/'))
            continue;
        ssize_t n = pread(memory, bytes, to - from, (off_t)from);
        found = found || (n > 0 && memmem(bytes, (size_t)n, needle, sizeof needle));
        memset(bytes, 0, sizeof bytes);
    }
    fclose(maps);
    close(memory);
    return found;
}

static int be_child(int argc, char **argv)
{
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(0x7f4d0001);
    address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    return connected() == ENOKEY ? 0 : 1;
}

static int run(int (*start)(pid_t *child, char *const argv[]))
{
    static char program[4096], port[16];
    char *const argv[] = {program, "--role", "child", port, NULL};
    pid_t child;
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = 0;
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    return start(&child, argv) == 0 ? suite_wait(child) : 1;
}

static int by_spawn(pid_t *child, char *const argv[])
{
    return posix_spawn(child, argv[0], NULL, NULL, argv, environ);
}

static int by_fork(pid_t *child, char *const argv[])
{
    if ((*child = fork()) == 0) {
        execv(argv[0], argv);
        _exit(126);
    }
    return *child < 0;
}

static int by_vfork(pid_t *child, char *const argv[])
{
    if ((*child = vfork()) == 0) {
        execv(argv[0], argv);
        _exit(126);
    }
    return *child < 0;
}

static int by_system(pid_t *child, char *const argv[])
{
    char line[5000];
    snprintf(line, sizeof line, "%s --role child %s", argv[0], argv[3]);
    if ((*child = fork()) == 0) /* for its status alone */
        _exit(system(line) == 0 ? 0 : 1);
    return *child < 0;
}

static int be_parent(int argc, char **argv)
{
    int pair[2];
    const int listener = net_listen(&net_sealed, 8, &address);
    char text[3] = "";
    const bool forgets = argc > 1 && strcmp(argv[1], "forget") == 0;
    net_pair(&net_sealed, pair);
    const int waiting = net_connect(&net_sealed, &address);
    pid_t child = fork();
    if (child == 0) {
        /* In the handshake still: what is held goes on. */
        if (write(pair[0], "ab", 2) != 2 || net_read_all(pair[1], text, 2) != 2 || strcmp(text, "ab") != 0)
            _exit(10);
        if (connected() != (forgets ? ENOKEY : 0))
            _exit(11);
        if (forgets && accepted(listener) != ENOKEY)
            _exit(12);
        close(waiting); /* in the handshake, which needs the keys */
        if (has_the_key() == forgets)
            _exit(13);
        _exit(0);
    }
    int status = suite_wait(child);
    close(waiting);
    if (status == 0 && !has_the_key())
        status = 14;
    if (status == 0 && connected() != 0)
        status = 15;
    if (!forgets)
        return status;
    status = status ? status : run(by_spawn) ? 16 : run(by_fork) ? 17 : run(by_vfork) ? 18 : 0;
    return status ? status : run(by_system) ? 19 : 0;
}

static int status_with(const char *what)
{
    char setting[64], file[300], key_file[] = "/tmp/sockseal-forget-XXXXXX";
    const int made = mkstemp(key_file);
    const char *const args[] = {what, NULL};
    FILE *keys = made < 0 ? NULL : fdopen(made, "w");
    assert_non_null(keys);
    fprintf(keys, "alpha:");
    for (int i = 0; i < 32; i++)
        fprintf(keys, "04");
    fprintf(keys, "\n");
    fclose(keys);
    snprintf(file, sizeof file, "SOCKSEAL_KEY_FILE=%s", key_file);
    snprintf(setting, sizeof setting, "SOCKSEAL_KEYS_AFTER_FORK=%s", what);
    const char *const changes[] = {setting, file, NULL};
    int status = suite_wait(suite_spawn("parent", args, changes, -1, -1));
    unlink(key_file);
    return status;
}

static void forgotten(void)
{
    assert_int_equal(status_with("forget"), 0);
}

static void kept(void)
{
    assert_int_equal(status_with("keep"), 0);
}

static const struct suite_test tests[] = {
    {"children forget the keys", forgotten, 30},
    {"children keep the keys", kept, 30},
};

static const struct suite_role roles[] = {{"parent", be_parent}, {"child", be_child}};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_roles(roles, suite_count(roles));
    return suite_run(argc, argv);
}
