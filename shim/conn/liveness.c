/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/liveness.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shm/self.h"
#include "sys/net.h"
#include "sys/text.h"

static _Atomic bool proc_disabled;

/* A number for a namespace whose own cannot be found out. Process 1 chooses it, and its children inherit it.
 */
static void choose_space(void)
{
    if (sys_getpid() == 1)
        atomic_store(&self_space, (uint32_t)net_now_ns() | 1);
}

void liveness_note_namespace(void)
{
    struct stat info;
    if (atomic_load(&proc_disabled) ||
        sys_call(SYS_newfstatat, SYS_AT_FDCWD, sys_ptr("/proc/self/ns/pid"), sys_ptr(&info), 0, 0, 0) != 0) {
        choose_space();
        return;
    }
    atomic_store(&self_space, (uint32_t)info.st_ino);
}

/* Reads /proc/PID/stat (proc(5)). Gives the state letter, which follows the last ')'; 0 if it cannot be read.
 * *threads: num_threads, 17 fields further. */
static char read_stat(uint32_t id, int *threads)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%u/stat", id);
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long len = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[len > 0 ? len : 0] = 0;
    const char *end = strrchr(text, ')');
    if (!end || end[1] != ' ')
        return 0;
    const char *field = end + 1;
    for (int i = 0; i < 17 && field; i++)
        field = strchr(field + 1, ' ');
    *threads = 0;
    if (field)
        text_take_number(&field, threads);
    return end[2];
}

void liveness_disable_proc(void)
{
    atomic_store(&proc_disabled, true);
}

/* The state letter of a thread in this process's namespace; 'X' if there is none, 0 if it is not known. */
static char state_here(uint32_t id, int *threads)
{
    if (net_kill((int)id, 0) == -ESRCH)
        return 'X';
    return id == (uint32_t)sys_getpid() || atomic_load(&proc_disabled) ? 0 : read_stat(id, threads);
}

bool liveness_thread_dead(uint32_t id)
{
    int threads;
    char state = state_here(id, &threads);
    return state == 'Z' || state == 'X';
}

static bool is_process_dead(uint32_t id)
{
    int threads = 0;
    char state = state_here(id, &threads);
    return state == 'X' || (state == 'Z' && threads <= 1);
}

/* What this thread has found out in the round that it is in. */
enum { ANSWERS = 32 };
static __thread struct {
    unsigned depth, count;
    uint32_t id[ANSWERS];
    bool dead[ANSWERS];
} answers __attribute__((tls_model("initial-exec")));

void liveness_begin_round(void)
{
    if (answers.depth++ == 0)
        answers.count = 0;
}

void liveness_end_round(void)
{
    answers.depth--;
}

bool liveness_process_dead(uint32_t id)
{
    if (answers.depth == 0)
        return is_process_dead(id);
    for (unsigned i = 0; i < answers.count; i++)
        if (answers.id[i] == id)
            return answers.dead[i];
    const bool dead = is_process_dead(id);
    if (answers.count < ANSWERS) {
        answers.id[answers.count] = id;
        answers.dead[answers.count++] = dead;
    }
    return dead;
}
