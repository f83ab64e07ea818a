/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "net.h"
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct suite_role script_role = {"script", script_main};

static bool do_read(int fd, const char *text)
{
    char got[256] = "";
    return net_read_all(fd, got, strlen(text)) == strlen(text) && strcmp(got, text) == 0;
}

static bool do_write(int fd, const char *text)
{
    return net_write_all(fd, text, strlen(text)) == strlen(text);
}

static bool do_end(int fd, const char *text)
{
    char byte;
    (void)text;
    return read(fd, &byte, 1) == 0;
}

static bool do_error(int fd, const char *text)
{
    char byte;
    return read(fd, &byte, 1) < 0 && errno == atoi(text);
}

/* For each part of the bytes that `text` names, "NUMBER SEED": whether `move` did what it is to do with it.
 */
static bool in_parts(int fd, const char *text, bool (*move)(int fd, uint8_t *data, size_t len, size_t at))
{
    static uint8_t data[65536];
    size_t left = 0, at = 0;
    if (sscanf(text, "%zu %zu", &left, &at) != 2)
        return false;
    while (left > 0) {
        size_t part = left < sizeof data ? left : sizeof data;
        if (!move(fd, data, part, at))
            return false;
        left -= part;
        at += part;
    }
    return true;
}

static bool get_part(int fd, uint8_t *data, size_t len, size_t at)
{
    return net_read_all(fd, data, len) == len && net_is_pattern(data, len, at);
}

static bool put_part(int fd, uint8_t *data, size_t len, size_t at)
{
    net_pattern(data, len, at);
    return net_write_all(fd, data, len) == len;
}

static bool do_get(int fd, const char *text)
{
    return in_parts(fd, text, get_part);
}

static bool do_put(int fd, const char *text)
{
    return in_parts(fd, text, put_part);
}

static bool do_closed(int fd, const char *text)
{
    (void)text;
    return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static bool do_close(int fd, const char *text)
{
    (void)text;
    return close(fd) == 0;
}

static bool do_keeps(int fd, const char *text)
{
    (void)text;
    return fcntl(fd, F_GETFD) == 0;
}

static bool do_cloexec(int fd, const char *text)
{
    (void)text;
    return fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

static bool do_clear(int fd, const char *text)
{
    (void)text;
    return fcntl(fd, F_SETFD, 0) == 0;
}

static bool do_set(int fd, const char *text)
{
    (void)text;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool do_wait(int fd, const char *text)
{
    char byte;
    (void)text;
    while (read(fd, &byte, 1) > 0)
        ;
    return true;
}

static bool do_descriptors(int most, const char *text)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = -3; /* ".", "..", and the directory's own */
    (void)text;
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return directory && count <= most;
}

static const struct {
    const char *word;
    bool (*run)(int fd, const char *text);
} verbs[] = {
    {"r", do_read},      {"w", do_write},         {"eof", do_end},       {"error", do_error},
    {"get", do_get},     {"put", do_put},         {"closed", do_closed}, {"close", do_close},
    {"keeps", do_keeps}, {"cloexec", do_cloexec}, {"clear", do_clear},   {"set", do_set},
    {"wait", do_wait},   {"fds", do_descriptors},
};

static bool run_step(const char *step)
{
    char word[16] = "";
    int fd = -1, used = 0;
    if (strncmp(step, "env ", 4) == 0) {
        const char *value = strchr(step, '=');
        char name[128] = "";
        snprintf(name, sizeof name, "%.*s", (int)(value - step - 4), step + 4);
        return getenv(name) && strcmp(getenv(name), value + 1) == 0;
    }
    if (strncmp(step, "noenv ", 6) == 0)
        return getenv(step + 6) == NULL;
    if (strcmp(step, "killed") == 0)
        return raise(SIGKILL) == 0;
    sscanf(step, "%15s %d%n", word, &fd, &used);
    for (size_t i = 0; i < suite_count(verbs); i++) {
        if (strcmp(word, verbs[i].word) == 0)
            return verbs[i].run(fd, step[used] ? step + used + 1 : "");
    }
    return false;
}

int script_main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "exec") == 0) {
            char *next[SCRIPT_WORDS];
            script_arguments((const char *const *)(uintptr_t)(argv + i + 1), next);
            execv(script_program(), next);
            return 100 + i;
        }
        if (!run_step(argv[i]))
            return i;
    }
    return 0;
}

char *script_program(void)
{
    /* Not /proc/self/exe itself: in a command it would be the shell. */
    static char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = '\0';
    return program;
}

void script_arguments(const char *const *steps, char *argv[SCRIPT_WORDS])
{
    size_t count = 3;
    argv[0] = script_program();
    argv[1] = (char *)(uintptr_t) "--role";
    argv[2] = (char *)(uintptr_t) "script";
    while (*steps && count < SCRIPT_WORDS - 1)
        argv[count++] = (char *)(uintptr_t)*steps++;
    argv[count] = NULL;
}

void script_command(const char *const *steps, char *command, size_t room)
{
    size_t used = (size_t)snprintf(command, room, "exec '%s' --role script", script_program());
    for (; *steps && used < room; steps++)
        used += (size_t)snprintf(command + used, room - used, " '%s'", *steps);
}

const char *script_step(const char *format, ...)
{
    static char texts[SCRIPT_WORDS][96];
    static size_t next;
    char *text = texts[next++ % SCRIPT_WORDS];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof texts[0], format, list);
    va_end(list);
    return text;
}

void script_expect(const int pair[2], pid_t child, const char *answer)
{
    close(pair[0]);
    assert_int_equal(write(pair[1], "ask", 3), 3);
    net_expect_text(pair[1], answer);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}
