/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/option.h"
#include "cli/status_read.h"
#include "cli/status_show.h"

enum form { TABLE, JSON, PROMETHEUS };

struct options {
    enum form form;
    bool failures, watch;
    const char *output; /* NULL: standard output */
    char **pids;        /* ends with NULL; none: all processes */
};

enum { WATCH_SECONDS = 2 };

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"prometheus", no_argument, NULL, 'm'},
    {"failures", no_argument, NULL, 'e'},
    {"watch", no_argument, NULL, 'w'},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *options)
{
    int letter;
    while ((letter = option_next(argc, argv, ":o:wh", long_options)) != -1) {
        switch (letter) {
        case 'j':
            options->form = JSON;
            break;
        case 'm':
            options->form = PROMETHEUS;
            break;
        case 'e':
            options->failures = true;
            break;
        case 'w':
            options->watch = true;
            break;
        case 'o':
            options->output = optarg;
            break;
        case 'h':
            return help_print("status");
        default:
            return CLI_USAGE;
        }
    }
    if ((options->failures && options->form != TABLE) || (options->watch && options->output)) {
        message_error(options->failures
                          ? "status: --failures is for the table; the other forms have them anyway"
                          : "status: --watch and --output exclude each other");
        return CLI_USAGE;
    }
    options->pids = argv + optind;
    return -1;
}

static int pid_of(const char *word)
{
    char *end;
    const long pid = strtol(word, &end, 10);
    return *word >= '0' && *word <= '9' && *end == '\0' && pid > 0 && pid <= INT_MAX ? (int)pid : 0;
}

/* Adds what was read. False: no memory. */
static bool add(struct status_all *all, const struct status_process *process)
{
    struct status_process *more = realloc(all->processes, (all->count + 1) * sizeof *all->processes);
    if (!more)
        return false;
    all->processes = more;
    all->processes[all->count++] = *process;
    return true;
}

static int no_memory(void)
{
    message_error("status: %s", strerror(ENOMEM));
    return CLI_FAILED;
}

static int by_pid(const void *left, const void *right)
{
    const struct status_process *a = left, *b = right;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

/* Reads every process; those that publish nothing are passed over. Gives the exit status. */
static int read_all(struct status_all *all)
{
    struct status_process process;
    DIR *directory = opendir("/proc");
    if (!directory) {
        message_error("status: /proc: %s", strerror(errno));
        return CLI_FAILED;
    }
    const struct dirent *entry;
    int status = 0;
    all->hidden = status_proc_hides_others();
    while (status == 0 && (entry = readdir(directory))) {
        const int pid = pid_of(entry->d_name);
        const enum status_result result = pid ? status_read(pid, &process) : STATUS_NOTHING;
        all->not_readable += result == STATUS_NOT_READABLE;
        if (result == STATUS_NO_MEMORY || (result == STATUS_READ && !add(all, &process)))
            status = no_memory();
    }
    closedir(directory);
    if (all->count > 1)
        qsort(all->processes, all->count, sizeof *all->processes, by_pid);
    return status;
}

static void explain(const char *word, int pid, enum status_result result)
{
    const char *reason = "there is no such process, or /proc hides it (hidepid)";
    if (result == STATUS_NOT_READABLE)
        reason = "this user may not look into it; root may";
    else if (result == STATUS_NOTHING && !status_may_run_program(pid))
        reason = "it runs no program: it has ended, or belongs to the kernel";
    else if (result == STATUS_NOTHING)
        reason =
            status_has_library(pid) ? "it has sealed nothing yet" : "it does not have the library loaded";
    message_error("status: process %s: %s", word, reason);
}

/* Reads the processes that are named. Gives the exit status. */
static int read_named(struct status_all *all, char **pids)
{
    struct status_process process;
    int status = 0;
    for (; *pids; pids++) {
        const int pid = pid_of(*pids);
        if (!pid) {
            message_error("status: '%s' is no process id", *pids);
            return CLI_USAGE;
        }
        const enum status_result result = status_read(pid, &process);
        if (result == STATUS_NO_MEMORY || (result == STATUS_READ && !add(all, &process)))
            return no_memory();
        all->not_readable += result == STATUS_NOT_READABLE;
        if (result != STATUS_READ) {
            explain(*pids, pid, result);
            status = CLI_FAILED;
        }
    }
    return status;
}

static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && (!no_colour || !*no_colour) && terminal && strcmp(terminal, "dumb") != 0;
}

static bool show(FILE *out, const struct options *options, const struct status_all *all)
{
    if (options->form == PROMETHEUS)
        return status_show_prometheus(out, all);
    if (options->form == JSON)
        status_show_json(out, all);
    else if (all->count > 0 || !*options->pids)
        status_show_table(out, all, options->failures, out == stdout && wants_colour());
    return true;
}

/* Writes a new file beside `path` and gives it that name, so that a reader sees the old one or the new one
 * whole. Gives the exit status. */
static int show_to_file(const char *path, const struct options *options, const struct status_all *all)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s.XXXXXX", path) >= (int)sizeof name) {
        message_error("status: %s: %s", path, strerror(ENAMETOOLONG));
        return CLI_FAILED;
    }
    const int fd = mkostemp(name, O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool good = file && fchmod(fd, 0644) == 0 && show(file, options, all);
    good = file && fflush(file) == 0 && good;
    good = file && fclose(file) == 0 && good;
    if (good && rename(name, path) == 0)
        return 0;
    message_error("status: %s: %s", path, strerror(errno));
    if (fd >= 0)
        unlink(name);
    return CLI_FAILED;
}

/* Gives the exit status. */
static int show_once(const struct options *options)
{
    struct status_all all = {0};
    if (!status_proc_is_own()) {
        message_error(
            "status: /proc is not mounted, or is that of another PID namespace: start sockseal in that "
            "one, too (nsenter --pid --mount)");
        return CLI_FAILED;
    }
    int status = *options->pids ? read_named(&all, options->pids) : read_all(&all);
    if (status != CLI_USAGE) {
        if (options->watch && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        const int shown = options->output               ? show_to_file(options->output, options, &all)
                          : show(stdout, options, &all) ? 0
                                                        : CLI_FAILED;
        status = status ? status : shown;
    }
    for (size_t i = 0; i < all.count; i++)
        status_free(&all.processes[i]);
    free(all.processes);
    return status;
}

int status_main(int argc, char **argv)
{
    struct options options = {.form = TABLE};
    int status = read_options(argc, argv, &options);
    if (status >= 0)
        return status;
    do {
        status = show_once(&options);
        if (!options.watch)
            break;
        if (fflush(stdout) != 0) /* nobody reads any more */
            return CLI_FAILED;
        sleep(WATCH_SECONDS);
    } while (status == 0);
    return status;
}
