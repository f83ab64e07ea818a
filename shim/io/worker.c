/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/worker.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

#include "conn/pending.h"
#include "io/partial.h"
#include "io/progress.h"
#include "io/revoke.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/thread.h"

enum {
    SLICE_MS = 10,  /* how often it checks where there is no descriptor left for an epoll */
    SPIN_LIMIT = 3, /* rounds without progress before a short sleep: another thread is making it */
    END_MS = 500,   /* how long worker_hold() waits */
    END_SLICE_MS = 10,
};

static _Atomic bool running;   /* there is a worker, or a thread is about to start it */
static _Atomic int holds;      /* calls of worker_hold() without their worker_resume() */
static _Atomic bool had;       /* they have ended a worker, or one was wanted since */
static _Atomic bool forbidden; /* none is started any more */
static _Atomic bool
    leaves; /* worker_hold() did not wait for the end of this one: it is to end all the same */
static struct thread thread;

/* The eventfd that wakes the worker, so that it ends; -1 if there is no descriptor left. */
static int wake_descriptor(void)
{
    int fd = ownfd_get_checked(OWNFD_WAKE);
    if (fd >= 0)
        return fd;
    int made = net_eventfd();
    return made < 0 ? -1 : ownfd_keep(OWNFD_WAKE, made);
}

/* Resets the eventfd. */
static void clear_wake(void)
{
    uint64_t count;
    int fd = ownfd_get_checked(OWNFD_WAKE);
    if (fd >= 0)
        sys_read(fd, &count, sizeof count);
}

static bool has_work(void)
{
    return pending_any() || partial_next() != INT64_MAX || revoke_next() != INT64_MAX;
}

static bool is_to_end(void)
{
    return atomic_load(&holds) || atomic_load(&leaves);
}

static int64_t earliest(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* When it has something to do without an event. */
static int64_t next_time(int epoll, int wake)
{
    const int64_t slice = net_now_ms() + SLICE_MS;
    int64_t until_ms = earliest(pending_deadline(), earliest(revoke_next(), partial_next()));
    if ((wake < 0 || (epoll < 0 && pending_any())) && slice < until_ms)
        until_ms = slice;
    return until_ms;
}

/* Waits until a pending connection has an event, or its deadline is past, or the worker is to end. Whether
 * there was an event. */
static bool wait_for_event(int epoll, int wake)
{
    struct pollfd both[] = {{.fd = epoll, .events = POLLIN}, {.fd = wake, .events = POLLIN}};
    pending_set_asleep(true); /* from here on a nearer deadline wakes it */
    const int64_t until_ms = next_time(epoll, wake);
    const struct timespec span = net_span_until(until_ms);
    net_ppoll(both, 2, until_ms == INT64_MAX ? NULL : &span);
    pending_set_asleep(false);
    if (both[1].revents && !atomic_load(&holds))
        clear_wake();
    return both[0].revents != 0;
}

static void make_progress(int epoll)
{
    if (epoll < 0 && pending_any())
        pending_each(progress_step);
    else
        progress_run();
    partial_check();
    revoke_check();
}

static void work(void)
{
    pending_set_carried(true);
    for (int idle = 0; has_work() && !is_to_end();) {
        int epoll = pending_epoll();
        bool event = wait_for_event(epoll, wake_descriptor());
        if (is_to_end())
            break;
        make_progress(epoll);
        idle = event ? idle + 1 : 0;
        if (idle > SPIN_LIMIT)
            net_ppoll(NULL, 0, &(struct timespec){.tv_nsec = 1000000});
    }
    pending_set_carried(false);
}

/* Another thread may bring work just after the last check found none, and see the flag still set. So there is
 * one more check after the flag is cleared. */
static int run(void *context)
{
    (void)context;
    bool free = false;
    do {
        work();
        atomic_store(&running, false);
        free = false;
    } while (has_work() && !is_to_end() && atomic_compare_exchange_strong(&running, &free, true));
    return 0;
}

static bool may_start(void)
{
    return !atomic_load(&holds) && has_work() && self_owns_tables();
}

static bool start(void)
{
    const bool started = thread_start(&thread, run, NULL);
    if (!started)
        revoke_impossible();
    return started;
}

/* No signal handler may fork in between: its child would find a worker that is being started, and start it.
 */
static void start_undisturbed(void)
{
    bool free = false;
    sigset_t all, mask;
    sigfillset(&all);
    sys_sigprocmask(SIG_SETMASK, &all, &mask);
    if (may_start() && atomic_compare_exchange_strong(&running, &free, true)) {
        wake_descriptor();
        atomic_store(&leaves, false);
        if (!may_start() || !start())
            atomic_store(&running, false);
    }
    sys_sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* Whether worker_resume() is to come and makes one. It may have been missed by a moment: then it is not. */
static bool is_left_to_resume(void)
{
    if (!atomic_load(&holds))
        return false;
    atomic_store(&had, true);
    return atomic_load(&holds) != 0;
}

/* Sets `running`, then checks `holds`. worker_hold() counts its hold, then checks `running`. So one of the
 * two sees the other. */
bool worker_carry(void)
{
    if (atomic_load(&forbidden)) {
        revoke_impossible();
        return false;
    }
    if (is_left_to_resume())
        return true;
    if (may_start() && !atomic_load(&running))
        start_undisturbed();
    return atomic_load(&running);
}

static bool exists(void)
{
    return atomic_load(&running) || !thread_is_gone(&thread);
}

static void end(void)
{
    const uint64_t one = 1;
    const int64_t limit_ms = net_now_ms() + END_MS;
    int wake = ownfd_get_checked(OWNFD_WAKE);
    if (wake >= 0)
        sys_write(wake, &one, sizeof one);
    while (exists() && net_now_ms() < limit_ms) {
        if (thread_is_alive(&thread))
            thread_wait(&thread, END_SLICE_MS);
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
    /* It is stuck in a system call, and keeps the rights that are about to be changed. It does nothing more
     * with them. What it leaves is carried on with the next call that brings work. */
    if (exists())
        atomic_store(&leaves, true); /* and the eventfd stays set */
    else
        clear_wake();
}

void worker_hold(void)
{
    if (!self_process || !self_owns_tables())
        return;
    atomic_fetch_add(&holds, 1);
    if (!exists())
        return;
    atomic_store(&had, true);
    end();
}

void worker_resume(void)
{
    if (!self_process || !self_owns_tables() || atomic_load(&holds) == 0)
        return;
    if (atomic_fetch_sub(&holds, 1) == 1 && atomic_exchange(&had, false))
        worker_carry();
}

void worker_forbid(void)
{
    atomic_store(&forbidden, true);
    worker_hold();
    worker_resume();
    revoke_impossible();
}

void worker_after_fork(void)
{
    thread_forget(&thread);
    atomic_store(&running, false);
    atomic_store(&leaves, false);
    atomic_store(&holds, 1);
}
