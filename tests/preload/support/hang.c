/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "hang.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_file(const char *folder, const char *name)
{
    char path[512], text[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fprintf(stderr, "    %s: %s%s", name, text, len > 0 && text[len - 1] == '\n' ? "" : "\n");
    fclose(file);
}

static void print_process(const char *pid)
{
    char folder[300];
    snprintf(folder, sizeof folder, "/proc/%s/task", pid);
    DIR *tasks = opendir(folder);
    if (tasks == NULL)
        return;
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        char task[600];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(task, sizeof task, "%s/%s", folder, entry->d_name);
        fprintf(stderr, "  process %s, thread %s\n", pid, entry->d_name);
        print_file(task, "wchan");
        print_file(task, "syscall");
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
