/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/fork.h"

#include "config/config.h"
#include "config/environment.h"
#include "config/keyring.h"
#include "conn/fdtable.h"
#include "conn/holders.h"
#include "conn/liveness.h"
#include "conn/pending.h"
#include "conn/reserve.h"
#include "io/private_pipe.h"
#include "io/worker.h"
#include "process/inherit.h"
#include "record/handshake.h"
#include "record/handshake_keys.h"
#include "shm/self.h"
#include "sys/net.h"

static void name_self(struct conn *conn)
{
    holders_name(conn, (int)*self_process); /* self_claim() came before */
    holders_meet(conn);
}

static void uncount(struct conn *conn)
{
    holders_uncount(conn);
}

/* Set during a fork whose child has been counted. The child of a clone(2) has not been. */
static _Atomic bool fork_counted;

/* Forks of this thread: a signal handler may fork in the midst of one. */
static __thread int fork_depth __attribute__((tls_model("initial-exec")));
static __thread bool fork_locked __attribute__((tls_model("initial-exec")));

void fork_prepare(void)
{
    worker_hold();
    if (fork_depth++ == 0)
        fork_locked = fdtable_lock();
    fdtable_note_copies();
    reserve_copies();
    fdtable_each_connection(holders_count);
    region_share_all(); /* what is made from here on is out of the child's reach */
    atomic_store(&fork_counted, true);
}

void fork_in_parent(void)
{
    if (--fork_depth == 0) {
        atomic_store(&fork_counted, false);
        fdtable_unlock(fork_locked);
    }
    pending_share();
    worker_resume();
}

void fork_failed(void)
{
    bool locked = fdtable_lock();
    fdtable_each_connection(uncount);
    fdtable_unlock(locked);
}

/* The parent finishes its lingering closes itself, and was closing the hidden descriptors (dup2 holds the
 * table's lock while it hides). */
static void drop_orphans(void)
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        bool left, last;
        fdtable_drop_hidden(fd);
        struct conn_handle orphan = fdtable_find(fd);
        if (!orphan.conn || !(fdtable_flags(fd) & FDTABLE_ORPHAN))
            continue;
        pending_remove(fd);
        fdtable_hide(&orphan, &left, &last);
        sys_close(fd);
        fdtable_publish(fd);
    }
}

static void repair_table(void)
{
    liveness_note_namespace();
    if (!atomic_exchange(&fork_counted, false))
        fdtable_each_connection(holders_count);
    fdtable_each_connection(name_self);
    pending_after_fork();
    private_pipe_after_fork();
    drop_orphans();
}

void fork_forget_keys(void)
{
    keyring_forget();
    environment_mark_forgotten();
    handshake_keys_forget();
}

static void repair(void)
{
    self_claim();
    self_forget_tid();
    fork_depth = 0;
    worker_after_fork();
    handshake_after_fork();
    fdtable_after_fork();
    fdtable_note_copies();
    region_share_all();
    if (atomic_load(&fdtable_size))
        repair_table();
    reserve_sweep();
    fdtable_sweep();
    if (config_get()->forget_keys)
        fork_forget_keys();
    worker_resume();
}

void fork_begin(void)
{
    self_begin(repair);
    inherit_tree(); /* children have the same */
}

void fork_in_child(void)
{
    if (self_process && *self_process != (uint32_t)sys_getpid())
        *self_process = 0; /* the parent's number, unless a look-up came before */
    self_check_fork();
}
