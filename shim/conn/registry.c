/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/registry.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "conn/drive.h"
#include "conn/private_pipe.h"
#include "sys/net.h"

enum { TABLE_MAX = 1 << 20 };

struct conn registry_dead = {.established = 1, .error = EBADF};

/* Held while a descriptor comes or goes, and from the count before a fork until it is over. A signal handler
 * above the holder goes on without it. */
static struct role book;

_Atomic(struct registry_entry *) registry_table;
_Atomic uint32_t registry_size;
uint32_t *registry_alive;

/* All three are made together with the table: one mapping. */
static _Atomic uint8_t *marks;         /* per descriptor */
static _Atomic uint32_t *local_counts; /* descriptors of this process, per slot */
static _Atomic uint8_t *gone;          /* per slot: this process has given up its part already */
static _Atomic int bound;

static uint32_t table_entries(void)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0 || limit.rlim_max > TABLE_MAX)
        return TABLE_MAX;
    return limit.rlim_max < 1024 ? 1024 : (uint32_t)limit.rlim_max;
}

int registry_own_base(void)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0)
        return 3;
    /* Below 1024: a higher number would enlarge the kernel's table, up to whose size select(2) reads and
     * writes the program's sets, whatever room they have. */
    uint64_t soft = limit.rlim_cur > FD_SETSIZE ? FD_SETSIZE : limit.rlim_cur;
    return soft > 512 ? (int)(soft - 256) : (int)(soft / 2);
}

static void *map_private(size_t len)
{
    void *memory = net_mmap(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    return memory == MAP_FAILED ? NULL : memory;
}

/* The page stays the parent's where it is a vfork child that makes the table. */
static bool open_page(void)
{
    uint32_t *page = registry_alive;
    if (page)
        return true;
    page = map_private(4096);
    if (!page)
        return false;
    net_madvise(page, 4096, MADV_WIPEONFORK);
    *page = (uint32_t)sys_getpid();
    registry_alive = page;
    return true;
}

void registry_begin(void)
{
    open_page();
}

/* Racing threads: one makes the table, the others wait for it. */
bool registry_open(void)
{
    static _Atomic uint32_t making; /* by which process */
    const uint32_t self = (uint32_t)sys_getpid();
    if (atomic_load_explicit(&registry_size, memory_order_acquire))
        return true;
    uint32_t by = atomic_load(&making);
    if (by == self || !atomic_compare_exchange_strong(&making, &by, self)) {
        while (!atomic_load(&registry_size) && atomic_load(&making) == self)
            sys_call3(SYS_sched_yield, 0, 0, 0);
        return atomic_load(&registry_size) != 0;
    }
    uint32_t entries = table_entries();
    struct registry_entry *table = map_private(entries * sizeof *table);
    marks = map_private(entries);
    local_counts = map_private(ARENA_SLOTS * sizeof *local_counts);
    gone = map_private(ARENA_SLOTS);
    if (!table || !marks || !local_counts || !gone || !open_page()) {
        atomic_store(&making, 0);
        return false;
    }
    registry_check_fork();
    role_note_namespace();
    atomic_store(&registry_table, table);
    atomic_store_explicit(&registry_size, entries, memory_order_release);
    return true;
}

/* A table entry without its connection: the descriptor was closed behind the doors' back, and the number may
 * be anything now. If it may be the old socket still, it must not be taken for a plain one. */
static struct sealed without_connection(int fd, uint64_t where)
{
    struct registry_entry *table = atomic_load(&registry_table);
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    if (net_getpeername(fd, &peer, &len) == 0 && (peer.ss_family == AF_INET || peer.ss_family == AF_INET6))
        return (struct sealed){.conn = &registry_dead, .fd = fd};
    atomic_compare_exchange_strong(&table[fd].where, &where, 0);
    return (struct sealed){.fd = fd};
}

struct sealed registry_resolve(int fd, uint64_t where)
{
    if (!*registry_alive)
        registry_after_fork();
    if ((uint32_t)where == REGISTRY_HIDDEN) {
        if ((uint32_t)(where >> 32) == role_self()) /* a signal handler in the midst of our own close */
            return (struct sealed){.conn = &registry_dead, .fd = fd};
        sys_call3(SYS_sched_yield, 0, 0, 0);
        return registry_find(fd);
    }
    struct conn *conn = arena_slot((arena_ref)where);
    uint32_t generation = (uint32_t)(where >> 32);
    if (atomic_load_explicit(&conn->generation, memory_order_acquire) != generation)
        return without_connection(fd, where);
    return (struct sealed){.conn = conn, .generation = generation, .fd = fd};
}

static bool enter_holder(struct conn *conn, int32_t pid)
{
    for (int i = 0; i < CONN_HOLDERS; i++) {
        int32_t none = 0;
        if (atomic_compare_exchange_strong(&conn->holder[i], &none, pid))
            return true;
    }
    return false;
}

static bool leave_holder(struct conn *conn, int32_t pid)
{
    for (int i = 0; i < CONN_HOLDERS; i++) {
        int32_t found = pid;
        if (atomic_compare_exchange_strong(&conn->holder[i], &found, 0))
            return true;
    }
    return false;
}

bool registry_holds(const struct conn *conn, int pid)
{
    for (int i = 0; i < CONN_HOLDERS; i++) {
        if (atomic_load(&conn->holder[i]) == pid)
            return true;
    }
    return false;
}

void registry_enter(struct conn *conn, int pid)
{
    enter_holder(conn, pid);
    atomic_fetch_add(&conn->holders, 1);
}

void registry_withdraw(struct conn *conn, int pid)
{
    leave_holder(conn, pid);
    atomic_fetch_sub(&conn->holders, 1);
}

/* A process that was killed has not counted itself out: do it for it. */
bool registry_bury(struct conn *conn, bool (*dead)(uint32_t pid))
{
    bool last = false;
    for (int i = 0; i < CONN_HOLDERS; i++) {
        int32_t pid = atomic_load(&conn->holder[i]);
        if (pid && dead((uint32_t)pid) && atomic_compare_exchange_strong(&conn->holder[i], &pid, 0))
            last = atomic_fetch_sub(&conn->holders, 1) == 1;
    }
    return last;
}

static void bury_dead(struct conn *conn)
{
    registry_bury(conn, role_process_is_dead);
}

bool registry_only_holder(struct conn *conn)
{
    if (atomic_load(&conn->holders) > 1)
        bury_dead(conn);
    return atomic_load(&conn->holders) <= 1;
}

uint32_t registry_descriptors(const struct conn *conn)
{
    return atomic_load(&local_counts[registry_slot(conn)]);
}

bool registry_only_descriptor(struct conn *conn)
{
    return atomic_load(&local_counts[registry_slot(conn)]) == 1 && registry_only_holder(conn);
}

bool registry_lock(void)
{
    /* Without the table there is no page that tells a forked child that its cached thread id (role.h) is its
     * parent's. */
    if (!atomic_load(&registry_size))
        return false;
    enum role_result taken = role_take(&book);
    return taken != ROLE_REENTERED && taken != ROLE_PARKED;
}

void registry_unlock(bool locked)
{
    if (locked)
        role_release(&book);
}

static void add(int fd, struct conn *conn, uint32_t generation, bool counted)
{
    bool locked = registry_lock();
    if (atomic_fetch_add(&local_counts[registry_slot(conn)], 1) == 0) {
        atomic_store(&gone[registry_slot(conn)], 0);
        if (!counted)
            registry_enter(conn, sys_getpid());
    }
    int seen = atomic_load(&bound);
    while (fd >= seen && !atomic_compare_exchange_weak(&bound, &seen, fd + 1)) {
    }
    atomic_store(&marks[fd], 0);
    struct registry_entry *table = atomic_load(&registry_table);
    atomic_store_explicit(&table[fd].where, (uint64_t)generation << 32 | registry_slot(conn),
                          memory_order_release);
    registry_unlock(locked);
}

void registry_add(int fd, struct conn *conn, uint32_t generation)
{
    add(fd, conn, generation, false);
}

void registry_adopt(int fd, struct conn *conn, bool counted)
{
    add(fd, conn, atomic_load(&conn->generation), counted);
}

uint64_t registry_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return net_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static uint64_t hidden_by_us(void)
{
    return (uint64_t)role_self() << 32 | REGISTRY_HIDDEN;
}

bool registry_hide(const struct sealed *sealed, bool *left, bool *last)
{
    struct registry_entry *table = atomic_load(&registry_table);
    struct conn *conn = sealed->conn;
    uint64_t where = (uint64_t)sealed->generation << 32 | registry_slot(conn);
    bool locked = registry_lock();
    *left = *last = false;
    bool ours = conn != &registry_dead &&
                atomic_compare_exchange_strong(&table[sealed->fd].where, &where, hidden_by_us());
    if (ours) {
        atomic_store(&marks[sealed->fd], 0);
        *left = atomic_fetch_sub(&local_counts[registry_slot(conn)], 1) == 1;
        *last = *left && registry_leave(conn);
    }
    registry_unlock(locked);
    return ours;
}

void registry_reserve(int fd)
{
    struct registry_entry *table = atomic_load(&registry_table);
    uint64_t none = 0;
    atomic_compare_exchange_strong(&table[fd].where, &none, hidden_by_us());
}

void registry_show(int fd)
{
    struct registry_entry *table = atomic_load(&registry_table);
    uint64_t hidden = hidden_by_us();
    atomic_compare_exchange_strong(&table[fd].where, &hidden, 0);
}

bool registry_leave(struct conn *conn)
{
    if (atomic_exchange(&gone[registry_slot(conn)], 1))
        return false;
    leave_holder(conn, sys_getpid());
    bury_dead(conn); /* of the others: we need not ask whether we are alive */
    return atomic_fetch_sub(&conn->holders, 1) == 1;
}

void registry_rejoin(struct conn *conn)
{
    if (atomic_exchange(&gone[registry_slot(conn)], 0))
        registry_enter(conn, sys_getpid());
}

int registry_any(const struct conn *conn, int but)
{
    struct registry_entry *table = atomic_load(&registry_table);
    arena_ref slot = registry_slot(conn);
    for (int fd = 0; fd < atomic_load(&bound); fd++) {
        if (fd != but && (arena_ref)atomic_load(&table[fd].where) == slot)
            return fd;
    }
    return -1;
}

uint8_t registry_marks(int fd)
{
    return (uint32_t)fd < atomic_load(&registry_size) ? atomic_load(&marks[fd]) : 0;
}

uint8_t registry_mark(int fd, uint8_t set)
{
    return atomic_fetch_or(&marks[fd], set);
}

uint8_t registry_unmark(int fd, uint8_t unset)
{
    return atomic_fetch_and(&marks[fd], (uint8_t)~unset);
}

int registry_bound(void)
{
    return atomic_load(&bound);
}

/* Calls `visit` once for each connection of this process. */
static void each_connection(void (*visit)(struct conn *conn))
{
    struct registry_entry *table = atomic_load(&registry_table);
    if (!table)
        return;
    for (int fd = 0; fd < atomic_load(&bound); fd++) {
        uint64_t where = atomic_load(&table[fd].where);
        if (!where || (uint32_t)where == REGISTRY_HIDDEN)
            continue;
        struct conn *conn = arena_slot((arena_ref)where);
        if (atomic_load(&local_counts[(arena_ref)where]) == 1 || registry_any(conn, -1) == fd)
            visit(conn);
    }
}

static void count_in(struct conn *conn)
{
    atomic_fetch_add(&conn->holders, 1);
}

static void enter_self(struct conn *conn)
{
    enter_holder(conn, sys_getpid());
}

static void count_out(struct conn *conn)
{
    atomic_fetch_sub(&conn->holders, 1);
}

/* Set while a fork is under way whose child has been counted. One that comes by clone(2) has not been. */
static _Atomic bool fork_counted;

/* Forks of this thread: a signal handler may fork in the midst of one. */
static __thread int fork_depth __attribute__((tls_model("initial-exec")));
static __thread bool fork_locked __attribute__((tls_model("initial-exec")));

void registry_before_fork(void)
{
    if (fork_depth++ == 0)
        fork_locked = registry_lock();
    each_connection(count_in);
    atomic_store(&fork_counted, true);
}

void registry_fork_done(void)
{
    if (--fork_depth > 0)
        return;
    atomic_store(&fork_counted, false);
    registry_unlock(fork_locked);
}

void registry_fork_failed(void)
{
    bool locked = registry_lock();
    each_connection(count_out);
    registry_unlock(locked);
}

/* The parent finishes its orphans itself, and was closing what is hidden (dup2 holds the lock while it
 * hides). */
static void drop_orphans(void)
{
    struct registry_entry *table = atomic_load(&registry_table);
    for (int fd = 0; fd < atomic_load(&bound); fd++) {
        bool left, last;
        if ((uint32_t)atomic_load(&table[fd].where) == REGISTRY_HIDDEN) {
            struct sockaddr_storage peer;
            socklen_t len = sizeof peer;
            if (net_getpeername(fd, &peer, &len) == 0) /* else the number is another file's by now */
                sys_close(fd);
            atomic_store(&table[fd].where, 0);
        }
        struct sealed orphan = registry_find(fd);
        if (!orphan.conn || !(atomic_load(&marks[fd]) & REGISTRY_ORPHAN))
            continue;
        drive_drop(fd);
        registry_hide(&orphan, &left, &last);
        sys_close(fd);
        registry_show(fd);
    }
}

void registry_after_fork(void)
{
    *registry_alive = (uint32_t)sys_getpid();
    role_forget();
    fork_depth = 0;
    atomic_store(&book.word, 0); /* its holder, a thread of the parent's, is not in this process */
    if (!atomic_load(&registry_size))
        return;
    role_note_namespace();
    if (!atomic_exchange(&fork_counted, false))
        each_connection(count_in);
    memset((void *)gone, 0, arena_slots_used() + 1);
    each_connection(enter_self);
    drive_after_fork();
    private_pipe_after_fork();
    drop_orphans();
}

bool registry_is_ours(void)
{
    registry_check_fork();
    return registry_alive && *registry_alive == (uint32_t)sys_getpid();
}

void registry_check_fork(void)
{
    if (registry_alive && !*registry_alive)
        registry_after_fork();
}

void registry_in_child(void)
{
    if (registry_alive && *registry_alive != (uint32_t)sys_getpid())
        *registry_alive = 0; /* it is the parent's, unless a look-up came before */
    registry_check_fork();
}
