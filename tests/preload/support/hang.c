/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "hang.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void print_file(const char *folder, const char *name)
{
    char path[640], text[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fprintf(stderr, "    %s: %s%s", name, text, len > 0 && text[len - 1] == '\n' ? "" : "\n");
    fclose(file);
}

/* What programs wait in, by name; the kernel tells numbers. */
static const struct {
    long number;
    const char *name;
} calls[] = {
#define CALL(name)                                                                                           \
    {                                                                                                        \
        SYS_##name, #name                                                                                    \
    }
    CALL(read),     CALL(write),         CALL(readv),           CALL(writev),          CALL(recvfrom),
    CALL(recvmsg),  CALL(recvmmsg),      CALL(sendto),          CALL(sendmsg),         CALL(sendmmsg),
    CALL(sendfile), CALL(splice),        CALL(connect),         CALL(accept),          CALL(accept4),
    CALL(close),    CALL(ppoll),         CALL(pselect6),        CALL(epoll_pwait),     CALL(epoll_pwait2),
    CALL(futex),    CALL(wait4),         CALL(waitid),          CALL(nanosleep),       CALL(clock_nanosleep),
    CALL(flock),    CALL(rt_sigsuspend), CALL(rt_sigtimedwait), CALL(restart_syscall), CALL(openat),
#ifdef SYS_poll
    CALL(poll),     CALL(select),        CALL(epoll_wait),      CALL(pause),
#endif
#undef CALL
};

/* From "202 0x7ffd…", or "running". */
static void print_call(const char *folder)
{
    char path[640], text[256] = "";
    snprintf(path, sizeof path, "%s/syscall", folder);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    for (size_t i = 0; i < suite_count(calls); i++) {
        if (text[0] >= '0' && text[0] <= '9' && atol(text) == calls[i].number)
            fprintf(stderr, "    in %s\n", calls[i].name);
    }
    fprintf(stderr, "    syscall: %s\n", text);
}

/* The state, "T" for a stopped process, stands behind the name in brackets. */
static void print_state(const char *pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    const char *behind = strrchr(text, ')');
    if (behind != NULL && behind[1] == ' ' && behind[2] == 'T')
        fprintf(stderr, "  process %s is stopped\n", pid);
}

static void print_process(const char *pid)
{
    char folder[300];
    snprintf(folder, sizeof folder, "/proc/%s/task", pid);
    DIR *tasks = opendir(folder);
    if (tasks == NULL)
        return;
    print_state(pid);
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        char task[600];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(task, sizeof task, "%s/%s", folder, entry->d_name);
        fprintf(stderr, "  process %s, thread %s\n", pid, entry->d_name);
        print_file(task, "wchan");
        print_call(task);
    }
    closedir(tasks);
}

static pid_t group_of(const char *pid)
{
    return getpgid((pid_t)atoi(pid));
}

void hang_report(pid_t group)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return;
    for (struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes))
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name) && group_of(entry->d_name) == group)
            print_process(entry->d_name);
    closedir(processes);
}
