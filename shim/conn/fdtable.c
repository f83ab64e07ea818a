/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/fdtable.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "conn/holders.h"
#include "conn/liveness.h"
#include "conn/status.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/net.h"
#include "sys/ro_after_init.h"

enum { TABLE_LEAST = 1024, TABLE_MAX = 1 << 20 };

struct conn fdtable_dead = {.status = {.phase = CONN_ESTABLISHED, .error = EBADF},
                            .rx.attention = RX_FAILED,
                            .tx.attention = TX_FAILED};

/* Held while a descriptor is added or hidden, and over a fork, from the counting of the child on. A signal
 * handler that interrupts the holder goes on without the lock. */
static struct lock table_lock;

_Atomic(struct fdtable_entry *) fdtable_table;
_Atomic uint32_t fdtable_size;

/* The next three are made together with the table. */
static _Atomic uint8_t *flags;         /* per descriptor */
static _Atomic uint32_t *local_counts; /* descriptors of this process, per slot */
static _Atomic uint8_t *released;      /* per slot: this process has given up its part already */
static _Atomic int bound;

static uint32_t table_entries(void)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0 || limit.rlim_max > TABLE_MAX)
        return TABLE_MAX;
    return limit.rlim_max < TABLE_LEAST ? TABLE_LEAST : (uint32_t)limit.rlim_max;
}

static void *map_private(size_t len)
{
    void *memory = net_mmap(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    return memory == MAP_FAILED ? NULL : memory;
}

bool fdtable_has_room(int fd)
{
    const uint32_t size = atomic_load(&fdtable_size);
    return fd < TABLE_LEAST || (uint32_t)fd < (size ? size : table_entries());
}

/* Of racing threads one makes the table, and the others wait for it. */
bool fdtable_init(void)
{
    static _Atomic uint32_t making; /* the process whose thread makes it */
    if (atomic_load_explicit(&fdtable_size, memory_order_acquire))
        return true;
    const uint32_t self = (uint32_t)sys_getpid();
    uint32_t by = atomic_load(&making);
    if (by == self || !atomic_compare_exchange_strong(&making, &by, self)) {
        while (!atomic_load(&fdtable_size) && atomic_load(&making) == self)
            sys_call3(SYS_sched_yield, 0, 0, 0);
        return atomic_load(&fdtable_size) != 0;
    }
    const uint32_t entries = table_entries();
    struct fdtable_entry *table = map_private(entries * sizeof *table);
    flags = map_private(entries);
    local_counts = map_private(ARENA_SLOTS * sizeof *local_counts);
    released = map_private(ARENA_SLOTS);
    if (!table || !flags || !local_counts || !released || !status_begin() || !self_begin(NULL)) {
        atomic_store(&making, 0);
        return false;
    }
    self_check_fork();
    liveness_note_namespace();
    atomic_store(&fdtable_table, table);
    atomic_store_explicit(&fdtable_size, entries, memory_order_release);
    return true;
}

static void *grow(void *memory, size_t len, size_t longer)
{
    const long moved = sys_call(SYS_mremap, sys_ptr(memory), (long)len, (long)longer, MREMAP_MAYMOVE, 0, 0);
    return moved < 0 && moved > -4096 ? NULL : (void *)(uintptr_t)moved;
}

bool fdtable_reach(int fd)
{
    if (fdtable_has_room(fd))
        return true;
    if (fd >= TABLE_MAX || !fdtable_init())
        return false;
    const uint32_t size = atomic_load(&fdtable_size), entries = (uint32_t)fd + 1;
    void *longer = grow((void *)(uintptr_t)flags, size, entries);
    if (longer)
        flags = longer;
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    if (!longer || !(table = grow(table, size * sizeof *table, entries * sizeof *table)))
        return false;
    atomic_store(&fdtable_table, table);
    atomic_store(&fdtable_size, entries);
    return true;
}

/* Whether fd is connected, or is the socket of this slot's connection, whatever its state. */
static bool may_be_sealed(int fd, arena_ref slot)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    const uint64_t cookie = arena_cookie(slot);
    return (cookie && fdtable_cookie(fd) == cookie) ||
           (net_getpeername(fd, &peer, &len) == 0 &&
            (peer.ss_family == AF_INET || peer.ss_family == AF_INET6));
}

/* The entry's connection is gone: the descriptor was closed without passing a door, and its number may belong
 * to any file now; or a process that shares the connection has written to its memory. If it may still be the
 * old socket, it must not be used as a plain one. */
static struct conn_handle without_connection(int fd, uint64_t where)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    if (may_be_sealed(fd, (arena_ref)where))
        return (struct conn_handle){.conn = &fdtable_dead, .fd = fd};
    atomic_compare_exchange_strong(&table[fd].where, &where, 0);
    return (struct conn_handle){.fd = fd};
}

RO_AFTER_INIT enum fdtable_settled (*fdtable_settle)(int fd, struct conn_handle *found);

/* Changes when descriptors may have been copied: by dup(2), fork(2) or SCM_RIGHTS. */
static _Atomic uint32_t copies = 1;

/* Whether an entry was ever made that may be a copy. */
static _Atomic bool copies_used;

static struct conn_handle resolve_unconnected(int fd, uint64_t where)
{
    if ((uint32_t)(where >> 32) == atomic_load(&copies) || !fdtable_settle)
        return (struct conn_handle){.generation = 1, .fd = fd};
    struct conn_handle found;
    switch (fdtable_settle(fd, &found)) {
    case FDTABLE_SETTLED:
        return fdtable_find(fd);
    case FDTABLE_FOUND:
        return found;
    case FDTABLE_UNKNOWN:
        return (struct conn_handle){.conn = &fdtable_dead, .fd = fd};
    case FDTABLE_STILL_UNCONNECTED:
        break;
    }
    return (struct conn_handle){.generation = 1, .fd = fd};
}

struct conn_handle fdtable_resolve(int fd, uint64_t where)
{
    self_check_fork();
    if ((uint32_t)where == FDTABLE_UNCONNECTED)
        return resolve_unconnected(fd, where);
    if ((uint32_t)where == FDTABLE_HIDDEN) {
        if ((uint32_t)(where >> 32) ==
            self_tid()) /* in a signal handler that interrupted this thread's close */
            return (struct conn_handle){.conn = &fdtable_dead, .fd = fd};
        sys_call3(SYS_sched_yield, 0, 0, 0);
        return fdtable_find(fd);
    }
    struct conn *conn = arena_slot((arena_ref)where);
    uint32_t generation = (uint32_t)(where >> 32);
    if (atomic_load_explicit(&conn->generation, memory_order_acquire) != generation)
        return without_connection(fd, where);
    return (struct conn_handle){.conn = conn, .generation = generation, .slot = (arena_ref)where, .fd = fd};
}

struct conn_handle fdtable_find_now(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    uint64_t where = (uint32_t)fd < atomic_load(&fdtable_size) ? atomic_load(&table[fd].where) : 0;
    if (!where || (uint32_t)where >= FDTABLE_UNCONNECTED)
        return (struct conn_handle){.fd = fd};
    return fdtable_resolve(fd, where);
}

uint32_t fdtable_descriptors(const struct conn *conn)
{
    return atomic_load(&local_counts[arena_slot_of(conn)]);
}

bool fdtable_only_descriptor(struct conn *conn)
{
    return atomic_load(&local_counts[arena_slot_of(conn)]) == 1 && holders_only(conn);
}

bool fdtable_lock(void)
{
    /* Without the table there may be no page that tells a forked child that its cached thread id is its
     * parent's (shm/self.h). */
    if (!atomic_load(&fdtable_size))
        return false;
    enum lock_result taken = lock_take(&table_lock);
    return taken != LOCK_REENTERED && taken != LOCK_BLOCKED;
}

void fdtable_unlock(bool locked)
{
    if (locked)
        lock_release(&table_lock);
}

static void raise_bound(int fd)
{
    int seen = atomic_load(&bound);
    while (fd >= seen && !atomic_compare_exchange_weak(&bound, &seen, fd + 1)) {
    }
}

static void add(int fd, struct conn *conn, uint32_t generation, bool counted)
{
    const arena_ref slot = arena_slot_of(conn);
    bool locked = fdtable_lock();
    if (atomic_fetch_add(&local_counts[slot], 1) == 0) {
        atomic_store(&released[slot], 0);
        if (!counted)
            holders_add(conn, sys_getpid());
        status_open(conn);
    }
    raise_bound(fd);
    atomic_store(&flags[fd], 0);
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    atomic_store_explicit(&table[fd].where, (uint64_t)generation << 32 | slot, memory_order_release);
    fdtable_unlock(locked);
}

void fdtable_add(int fd, struct conn *conn, uint32_t generation)
{
    add(fd, conn, generation, false);
}

void fdtable_note_child_copy(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    uint64_t none = 0;
    if ((uint32_t)fd < atomic_load(&fdtable_size))
        atomic_compare_exchange_strong(&table[fd].where, &none, FDTABLE_UNCONNECTED);
}

void fdtable_note_unconnected(int fd, bool copied)
{
    if (fd < 0 || !fdtable_init() || (uint32_t)fd >= atomic_load(&fdtable_size))
        return;
    if (!self_owns_tables()) {
        fdtable_note_child_copy(fd);
        return;
    }
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    const uint64_t entry = (uint64_t)(copied ? 0 : atomic_load(&copies)) << 32 | FDTABLE_UNCONNECTED;
    uint64_t where = atomic_load(&table[fd].where);
    raise_bound(fd);
    if (copied)
        atomic_store(&copies_used, true);
    else
        fdtable_clear_flags(fd, FDTABLE_USED);
    while ((!where || (uint32_t)where == FDTABLE_UNCONNECTED) &&
           !atomic_compare_exchange_weak(&table[fd].where, &where, entry)) {
    }
}

void fdtable_note_copies(void)
{
    if (atomic_fetch_add(&copies, 1) == UINT32_MAX)
        atomic_fetch_add(&copies, 1); /* 0 is no number of it */
}

void fdtable_settle_copies(void)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    if (!atomic_load(&copies_used))
        return;
    for (int fd = 0; fd < atomic_load(&bound); fd++) {
        if (atomic_load(&table[fd].where) == FDTABLE_UNCONNECTED)
            fdtable_find(fd);
    }
}

bool fdtable_each_unconnected(bool (*visit)(int fd, void *context), void *context)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    for (int fd = 0; table && fd < atomic_load(&bound); fd++) {
        if ((uint32_t)atomic_load(&table[fd].where) == FDTABLE_UNCONNECTED && visit(fd, context))
            return true;
    }
    return false;
}

void fdtable_forget_unconnected(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    uint64_t where = (uint32_t)fd < atomic_load(&fdtable_size) ? atomic_load(&table[fd].where) : 0;
    if ((uint32_t)where == FDTABLE_UNCONNECTED && self_owns_tables())
        atomic_compare_exchange_strong(&table[fd].where, &where, 0);
}

bool fdtable_add_unconnected(int fd, struct conn *conn, uint32_t generation)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    bool locked = fdtable_lock();
    bool unconnected = (uint32_t)atomic_load(&table[fd].where) == FDTABLE_UNCONNECTED;
    if (unconnected)
        add(fd, conn, generation, false);
    fdtable_unlock(locked);
    return unconnected;
}

void fdtable_adopt(int fd, struct conn *conn, bool counted)
{
    add(fd, conn, atomic_load(&conn->generation), counted);
}

uint64_t fdtable_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return net_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* The entry that this thread hides a descriptor with. */
static uint64_t hidden_by_self(void)
{
    return (uint64_t)self_tid() << 32 | FDTABLE_HIDDEN;
}

static bool hide(const struct conn_handle *handle, bool *left, bool *last)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    struct conn *conn = handle->conn;
    uint64_t where = (uint64_t)handle->generation << 32 | handle->slot;
    *left = *last = false;
    bool hidden = conn != &fdtable_dead &&
                  atomic_compare_exchange_strong(&table[handle->fd].where, &where, hidden_by_self());
    if (hidden) {
        atomic_store(&flags[handle->fd], 0);
        *left = atomic_fetch_sub(&local_counts[handle->slot], 1) == 1;
        if (*left)
            status_close(conn);
        *last = *left && fdtable_release(conn);
    }
    return hidden;
}

bool fdtable_hide(const struct conn_handle *handle, bool *left, bool *last)
{
    bool locked = fdtable_lock();
    bool hidden = hide(handle, left, last);
    fdtable_unlock(locked);
    return hidden;
}

bool fdtable_hide_soon(const struct conn_handle *handle, bool *hidden, bool *last)
{
    enum lock_result taken;
    bool left;
    if (!lock_take_soon(&table_lock, &taken))
        return false;
    *hidden = hide(handle, &left, last);
    fdtable_unlock(taken != LOCK_REENTERED && taken != LOCK_BLOCKED);
    return true;
}

void fdtable_reserve(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    uint64_t where = atomic_load(&table[fd].where);
    if (!where || (uint32_t)where == FDTABLE_UNCONNECTED)
        atomic_compare_exchange_strong(&table[fd].where, &where, hidden_by_self());
}

void fdtable_publish(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    uint64_t hidden = hidden_by_self();
    atomic_compare_exchange_strong(&table[fd].where, &hidden, 0);
}

void fdtable_publish_unconnected(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    uint64_t hidden = hidden_by_self();
    atomic_compare_exchange_strong(&table[fd].where, &hidden, FDTABLE_UNCONNECTED);
}

bool fdtable_release(struct conn *conn)
{
    if (atomic_exchange(&released[arena_slot_of(conn)], 1))
        return false;
    return holders_leave(conn, sys_getpid());
}

void fdtable_reclaim(struct conn *conn)
{
    if (atomic_exchange(&released[arena_slot_of(conn)], 0))
        holders_add(conn, sys_getpid());
}

/* Whether this thread computes with a lock of the connection. Then none of its descriptors is closed
 * meanwhile (hold_drain()). */
static bool keeps_open(const struct conn *conn)
{
    bool rx_blocked, tx_blocked;
    const bool rx = lock_is_held(&conn->rx_lock, &rx_blocked), tx = lock_is_held(&conn->tx_lock, &tx_blocked);
    return (rx && !rx_blocked) || (tx && !tx_blocked);
}

/* Who holds the table's lock may be waiting for the connection's: it is not taken where it is not needed. */
int fdtable_shutdown(const struct conn_handle *handle, int how)
{
    bool locked = !keeps_open(handle->conn) && fdtable_lock();
    int result = fdtable_current(handle) ? net_shutdown(handle->fd, how) : -ENOTCONN;
    fdtable_unlock(locked);
    return result;
}

int fdtable_any(const struct conn *conn, int but)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    arena_ref slot = arena_slot_of(conn);
    for (int fd = 0; fd < atomic_load(&bound); fd++) {
        if (fd != but && (arena_ref)atomic_load(&table[fd].where) == slot)
            return fd;
    }
    return -1;
}

uint8_t fdtable_flags(int fd)
{
    return (uint32_t)fd < atomic_load(&fdtable_size) ? atomic_load(&flags[fd]) : 0;
}

uint8_t fdtable_set_flags(int fd, uint8_t set)
{
    return atomic_fetch_or(&flags[fd], set);
}

uint8_t fdtable_clear_flags(int fd, uint8_t unset)
{
    return atomic_fetch_and(&flags[fd], (uint8_t)~unset);
}

int fdtable_bound(void)
{
    return atomic_load(&bound);
}

void fdtable_each_connection(void (*visit)(struct conn *conn))
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    if (!table)
        return;
    for (int fd = 0; fd < atomic_load(&bound); fd++) {
        uint64_t where = atomic_load(&table[fd].where);
        if (!where || (uint32_t)where >= FDTABLE_UNCONNECTED)
            continue;
        struct conn *conn = arena_slot((arena_ref)where);
        if (atomic_load(&local_counts[(arena_ref)where]) == 1 || fdtable_any(conn, -1) == fd)
            visit(conn);
    }
}

static bool forget_release(arena_ref slot, void *context)
{
    (void)context;
    atomic_store(&released[slot], 0);
    return false;
}

void fdtable_after_fork(void)
{
    atomic_store(&table_lock.word, 0); /* its holder is a thread of the parent's */
    status_after_fork();
    if (atomic_load(&fdtable_size))
        region_each(forget_release, NULL);
}

/* Whether a thread of this process is in a system call with the lock: it is to find the lock when it comes
 * back, so that no other process takes it for held. */
static bool is_in_call(const struct lock *lock)
{
    const uint64_t owner = atomic_load(&lock->word) & LOCK_OWNER_BITS;
    return owner && owner >> 32 == self_id() >> 32 && net_tgkill(sys_getpid(), (int)owner, 0) == 0;
}

void fdtable_leave(const struct conn_handle *handle)
{
    const struct conn *conn = handle->conn;
    if (!region_is_shared(handle->slot) || arena_is_reserved(handle->slot) || is_in_call(&conn->rx_lock) ||
        is_in_call(&conn->tx_lock))
        return;
    bool locked = fdtable_lock();
    if (atomic_load(&local_counts[handle->slot]) == 0)
        arena_slot_leave(handle->slot);
    fdtable_unlock(locked);
}

static bool leave_unused(arena_ref slot, void *context)
{
    (void)context;
    if ((!atomic_load(&fdtable_size) || atomic_load(&local_counts[slot]) == 0) && !arena_is_reserved(slot))
        arena_slot_leave(slot);
    return false;
}

void fdtable_sweep(void)
{
    bool locked = fdtable_lock();
    region_each(leave_unused, NULL);
    fdtable_unlock(locked);
}

void fdtable_drop_hidden(int fd)
{
    struct fdtable_entry *table = atomic_load(&fdtable_table);
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    if ((uint32_t)atomic_load(&table[fd].where) != FDTABLE_HIDDEN)
        return;
    if (net_getpeername(fd, &peer, &len) == 0) /* else the number is another file's by now */
        sys_close(fd);
    atomic_store(&table[fd].where, 0);
}

bool fdtable_is_own(int fd)
{
    return ownfd_is(fd) || (fd >= 0 && (fdtable_flags(fd) & FDTABLE_ORPHAN));
}

int fdtable_own_bound(void)
{
    const int sealed = fdtable_bound(), own = ownfd_bound();
    return sealed > own ? sealed : own;
}
