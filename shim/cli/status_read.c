/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/status_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    AT_ONCE = 64, /* entries read by one system call */
    RETRIES = 3,  /* of an entry that is being changed */
    PATH_LEN = 320,
};

const char *status_state_name(enum statuspage_state state)
{
    static const char *const names[STATUSPAGE_STATES] = {
        "unused", "connecting", "handshake", "sealed", "peer_closed", "plaintext", "failed",
    };
    return names[state];
}

const char *status_failure_name(enum statuspage_failure failure)
{
    static const char *const names[STATUSPAGE_FAILURES] = {
        "key_rejected", "plaintext_refused", "protocol",   "record_damaged", "timeout",     "handshake_ended",
        "probed",       "truncated",         "peer_alert", "no_key",         "key_removed", "internal",
    };
    return names[failure];
}

/* Reads all of it, or nothing. */
static bool read_at(int fd, void *to, size_t len, off_t offset)
{
    return pread(fd, to, len, offset) == (ssize_t)len;
}

/* Opens the file behind a descriptor of another process, if it is the memfd of this name and size: what the
 * number stands for may change between two looks, and opening some files has effects. -1: it is not. */
static int open_memfd(const char *path, const char *wanted, off_t size)
{
    char own[64], name[64];
    struct stat st;
    const int look = open(path, O_PATH | O_CLOEXEC);
    if (look < 0)
        return -1;
    snprintf(own, sizeof own, "/proc/self/fd/%d", look);
    const ssize_t len = readlink(own, name, sizeof name - 1);
    int fd = -1;
    if (len > 0) {
        name[len] = '\0';
        if (strcmp(name, wanted) == 0 && fstat(look, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size)
            fd = open(own, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    close(look);
    return fd;
}

struct found {
    int counters, connections; /* descriptors, -1: none */
};

static void look_at(const char *path, struct found *found)
{
    static const struct {
        const char *name;
        off_t size;
    } wanted[] = {
        {"/memfd:" STATUSPAGE_COUNTERS_NAME " (deleted)", sizeof(struct statuspage_counters)},
        {"/memfd:" STATUSPAGE_CONNECTIONS_NAME " (deleted)", STATUSPAGE_SIZE},
    };
    int *const slots[] = {&found->counters, &found->connections};
    char name[64];
    const ssize_t len = readlink(path, name, sizeof name - 1);
    if (len <= 0)
        return;
    name[len] = '\0';
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (*slots[i] < 0 && strcmp(name, wanted[i].name) == 0)
            *slots[i] = open_memfd(path, wanted[i].name, wanted[i].size);
}

/* What runs no program has no arguments. With hidepid=1 they cannot be read. */
bool status_may_run_program(int pid)
{
    char path[PATH_LEN];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == EACCES || errno == EPERM;
    const bool runs = fgetc(file) != EOF;
    fclose(file);
    return runs;
}

/* STATUS_READ if one of the two was found. */
static enum status_result find(int pid, struct found *found)
{
    char path[PATH_LEN];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    if (!directory) {
        const bool refused = errno == EACCES || errno == EPERM;
        return !refused ? STATUS_GONE : status_may_run_program(pid) ? STATUS_NOT_READABLE : STATUS_NOTHING;
    }
    const struct dirent *entry;
    while ((found->counters < 0 || found->connections < 0) && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
        look_at(path, found);
    }
    closedir(directory);
    return found->counters < 0 && found->connections < 0 ? STATUS_NOTHING : STATUS_READ;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Copies an entry, if it makes sense. */
static bool take_entry(const struct statuspage_entry *entry, struct status_connection *to)
{
    const int64_t now = now_us();
    if (entry->state == STATUSPAGE_UNUSED || entry->state >= STATUSPAGE_STATES ||
        entry->direction > STATUSPAGE_IN || entry->identity_len > STATUSPAGE_IDENTITY_MAX)
        return false;
    *to = (struct status_connection){
        .state = (enum statuspage_state)entry->state,
        .direction = (enum statuspage_direction)entry->direction,
        .error = entry->error,
        .suite = entry->suite,
        .group = entry->group,
        .handshake_us = entry->handshake_us,
        .cookie = entry->cookie,
        .sent_bytes = entry->sent_bytes,
        .sent_records = entry->sent_records,
        .received_bytes = entry->received_bytes,
        .received_records = entry->received_records,
        .age_ms = entry->opened_us > 0 && entry->opened_us < now ? (now - entry->opened_us) / 1000 : 0,
        .local = entry->local,
        .peer = entry->peer,
        .identity_len = entry->identity_len,
    };
    memcpy(to->identity, entry->identity, entry->identity_len);
    return true;
}

static off_t offset_of(size_t number)
{
    return STATUSPAGE_HEADER_SIZE + (off_t)number * STATUSPAGE_ENTRY_SIZE;
}

/* Whether a copy is whole: `later` was read after it. */
static bool is_whole(const struct statuspage_entry *copy, const struct statuspage_entry *later)
{
    return !(copy->sequence & 1) && copy->sequence == later->sequence;
}

/* Reads an entry once more, in which a change was seen. */
static bool read_again(int fd, size_t number, struct statuspage_entry *entry)
{
    struct statuspage_entry later;
    for (int i = 0; i < RETRIES; i++)
        if (read_at(fd, entry, sizeof *entry, offset_of(number)) &&
            read_at(fd, &later, sizeof later, offset_of(number)) && is_whole(entry, &later))
            return true;
    return false;
}

static bool add(struct status_process *process, const struct status_connection *connection)
{
    if (process->count % AT_ONCE == 0) {
        struct status_connection *more =
            realloc(process->connections, (process->count + AT_ONCE) * sizeof *process->connections);
        if (!more)
            return false;
        process->connections = more;
    }
    process->connections[process->count++] = *connection;
    return true;
}

/* Reads AT_ONCE entries twice: of those that did not change between, the first copy is whole. */
static bool read_some(int fd, size_t first, struct status_process *process)
{
    struct statuspage_entry copies[AT_ONCE], later[AT_ONCE];
    struct status_connection connection;
    if (!read_at(fd, copies, sizeof copies, offset_of(first)) ||
        !read_at(fd, later, sizeof later, offset_of(first)))
        return true; /* the process has just ended */
    for (size_t i = 0; i < AT_ONCE; i++) {
        const bool unused = copies[i].state == STATUSPAGE_UNUSED;
        if (!unused && !is_whole(&copies[i], &later[i]) && !read_again(fd, first + i, &copies[i]))
            process->changing++;
        else if (take_entry(&copies[i], &connection) && !add(process, &connection))
            return false;
    }
    return true;
}

/* The process's number in its innermost PID namespace; 0: not known. */
static uint32_t inner_pid(int pid)
{
    char path[PATH_LEN], *line = NULL;
    size_t size = 0;
    uint32_t inner = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file && getline(&line, &size, file) > 0) {
        if (strncmp(line, "NSpid:", 6) != 0)
            continue;
        const char *last = strrchr(line, '\t');
        inner = last ? (uint32_t)strtoul(last + 1, NULL, 10) : 0;
    }
    free(line);
    if (file)
        fclose(file);
    return inner;
}

/* False: no memory. In a child that was forked by no door of the library's, the memfd is its parent's until
 * it uses a connection: nothing is its own then. */
static bool read_connections(int fd, struct status_process *process)
{
    struct statuspage_process header;
    if (!read_at(fd, &header, sizeof header, 0) || header.magic != STATUSPAGE_MAGIC ||
        header.version != STATUSPAGE_VERSION || header.pid != inner_pid(process->pid))
        return true;
    const size_t blocks = STATUSPAGE_ENTRIES / STATUSPAGE_BLOCK_ENTRIES;
    const size_t used = header.blocks < blocks ? header.blocks : blocks;
    process->not_shown = header.not_shown;
    for (size_t first = 0; first < used * STATUSPAGE_BLOCK_ENTRIES; first += AT_ONCE)
        if (!read_some(fd, first, process))
            return false;
    return true;
}

static void read_counters(int fd, struct status_process *process)
{
    struct statuspage_counters page;
    struct stat st;
    if (!read_at(fd, &page, sizeof page, 0) || page.magic != STATUSPAGE_MAGIC ||
        page.version != STATUSPAGE_VERSION || fstat(fd, &st) < 0)
        return;
    process->counted = true;
    process->counts.device = st.st_dev;
    process->counts.inode = st.st_ino;
    for (int i = 0; i < STATUSPAGE_COUNTERS; i++)
        process->counts.counter[i] = page.counter[i];
    for (int i = 0; i < STATUSPAGE_FAILURES; i++)
        process->counts.failure[i] = page.failure[i];
}

/* False: the process has ended. */
static bool read_program(int pid, char *to, size_t size)
{
    char path[PATH_LEN];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    const size_t len = file ? fread(to, 1, size - 1, file) : 0;
    to[len && to[len - 1] == '\n' ? len - 1 : len] = '\0';
    if (file)
        fclose(file);
    return len > 0;
}

enum status_result status_read(int pid, struct status_process *process)
{
    struct found found = {-1, -1};
    *process = (struct status_process){.pid = pid};
    enum status_result result = find(pid, &found);
    if (result != STATUS_READ)
        return result;
    if (found.counters >= 0) {
        read_counters(found.counters, process);
        close(found.counters);
    }
    if (found.connections >= 0) {
        if (!read_connections(found.connections, process))
            result = STATUS_NO_MEMORY;
        close(found.connections);
    }
    if (result == STATUS_READ && !read_program(pid, process->program, sizeof process->program))
        result = STATUS_GONE;
    if (result != STATUS_READ)
        status_free(process);
    return result;
}

bool status_proc_is_own(void)
{
    return access("/proc/self", F_OK) == 0;
}

/* Every PID namespace has a first process. */
bool status_proc_hides_others(void)
{
    return access("/proc/1", F_OK) < 0 && errno == ENOENT;
}

bool status_has_library(int pid)
{
    char path[PATH_LEN], *line = NULL;
    size_t size = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *file = fopen(path, "re");
    while (file && !found && getline(&line, &size, file) > 0)
        found = strstr(line, "/libsockseal.so") != NULL;
    free(line);
    if (file)
        fclose(file);
    return found;
}

void status_free(struct status_process *process)
{
    free(process->connections);
    process->connections = NULL;
    process->count = 0;
}
