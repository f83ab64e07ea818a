/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/statusmem.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/net.h"

enum {
    BLOCKS = STATUSPAGE_ENTRIES / STATUSPAGE_BLOCK_ENTRIES,
    WORD_BITS = 64,
    WORDS = STATUSPAGE_ENTRIES / WORD_BITS,
};

static struct statuspage_counters before_memfd;
static _Atomic(struct statuspage_counters *) counters = &before_memfd;

/* The entries' memfd, by its mapped header and blocks. */
static _Atomic(struct statuspage_process *) process;
static _Atomic(struct statuspage_entry *) blocks[BLOCKS];
static _Atomic uint64_t taken[WORDS]; /* a bit per entry */
static atomic_flag making = ATOMIC_FLAG_INIT;
static _Atomic bool refused;

/* Where connections are counted that are not shown. */
static struct statuspage_entry nowhere;

/* The size is set with write(2), and only if RLIMIT_FSIZE allows it: see set_size() in segments.c. */
static bool set_size(int fd, long size)
{
    struct rlimit limit;
    return sys_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, sys_ptr(&limit), 0, 0) == 0 &&
           (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (rlim_t)size) &&
           sys_call3(SYS_lseek, fd, size - 1, SEEK_SET) >= 0 && sys_call3(SYS_write, fd, sys_ptr(""), 1) == 1;
}

/* A memfd that nobody can make shorter under this process's feet, or keep it from mapping more of. -1 if the
 * kernel gives none. */
static int make_memfd(const char *name, long size)
{
    int fd = (int)sys_call3(SYS_memfd_create, sys_ptr(name), MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (fd >= 0 && set_size(fd, size) &&
        net_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) >= 0)
        return fd;
    if (fd >= 0)
        sys_close(fd);
    return -1;
}

static void *map(int fd, size_t len, long offset)
{
    void *memory = net_mmap_over(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, offset);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Makes a memfd, maps its first `len` bytes, and keeps its descriptor. NULL if the kernel refuses. */
static void *make(enum ownfd_kind kind, const char *name, long size, size_t len)
{
    int fd = make_memfd(name, size);
    void *memory = fd < 0 ? NULL : map(fd, len, 0);
    if (!memory) {
        if (fd >= 0)
            sys_close(fd);
        return NULL;
    }
    if (!ownfd_keep_first(kind, fd)) {
        net_munmap(memory, len);
        return NULL;
    }
    return memory;
}

static bool make_counters(void)
{
    const long size = sizeof(struct statuspage_counters);
    struct statuspage_counters *made = make(OWNFD_COUNTERS, STATUSPAGE_COUNTERS_NAME, size, (size_t)size);
    if (!made)
        return false;
    *made = (struct statuspage_counters){
        .magic = STATUSPAGE_MAGIC, .version = STATUSPAGE_VERSION, .pid = (uint32_t)sys_getpid()};
    for (int i = 0; i < STATUSPAGE_COUNTERS; i++)
        atomic_store(&made->counter[i], atomic_exchange(&before_memfd.counter[i], 0));
    for (int i = 0; i < STATUSPAGE_FAILURES; i++)
        atomic_store(&made->failure[i], atomic_exchange(&before_memfd.failure[i], 0));
    atomic_store(&counters, made);
    return true;
}

static bool make_process(void)
{
    struct statuspage_process *made = make(OWNFD_CONNECTIONS, STATUSPAGE_CONNECTIONS_NAME, STATUSPAGE_SIZE,
                                           sizeof(struct statuspage_process));
    if (!made)
        return false;
    *made = (struct statuspage_process){
        .magic = STATUSPAGE_MAGIC,
        .version = STATUSPAGE_VERSION,
        .id = (uint64_t)net_now_ns(),
        .pid = (uint32_t)sys_getpid(),
    };
    atomic_store(&process, made);
    return true;
}

/* Of racing threads one makes what is missing. The others, and a signal handler above it, go without for this
 * time: nothing waits here. A vfork child has descriptors of its own, so it makes nothing. */
void statusmem_publish(void)
{
    if (atomic_load(&process) || atomic_load(&refused) || !self_owns_tables() ||
        atomic_flag_test_and_set(&making))
        return;
    const bool have_counters = atomic_load(&counters) != &before_memfd || make_counters();
    if (!have_counters || (!atomic_load(&process) && !make_process()))
        atomic_store(&refused, true);
    atomic_flag_clear(&making);
}

void statusmem_count(enum statuspage_counter counter, uint64_t more)
{
    atomic_fetch_add_explicit(&atomic_load(&counters)->counter[counter], more, memory_order_relaxed);
}

void statusmem_count_failure(enum statuspage_failure failure)
{
    atomic_fetch_add_explicit(&atomic_load(&counters)->failure[failure], 1, memory_order_relaxed);
}

/* Whether fd is the memfd of the entries, and not a file that the program has put at its number by a raw
 * system call. */
static bool is_same(int fd)
{
    const struct statuspage_process *mapped = atomic_load(&process);
    struct statuspage_process found;
    return sys_call(SYS_pread64, fd, sys_ptr(&found), sizeof found, 0, 0, 0) == (long)sizeof found &&
           found.magic == STATUSPAGE_MAGIC && found.id == mapped->id && found.pid == mapped->pid;
}

/* The memory of a block, mapped now if it was not. NULL if the kernel refuses. */
static struct statuspage_entry *block_of(unsigned block)
{
    struct statuspage_entry *mapped = atomic_load(&blocks[block]), *other = NULL;
    const int fd = ownfd_get(OWNFD_CONNECTIONS);
    if (mapped || fd < 0 || !is_same(fd))
        return mapped;
    mapped = map(fd, STATUSPAGE_BLOCK_SIZE, STATUSPAGE_HEADER_SIZE + (long)block * STATUSPAGE_BLOCK_SIZE);
    if (mapped && !atomic_compare_exchange_strong(&blocks[block], &other, mapped)) {
        net_munmap(mapped, STATUSPAGE_BLOCK_SIZE);
        mapped = other;
    }
    uint32_t seen = atomic_load(&atomic_load(&process)->blocks);
    while (mapped && seen <= block &&
           !atomic_compare_exchange_weak(&atomic_load(&process)->blocks, &seen, block + 1)) {
    }
    return mapped;
}

/* Sets the lowest bit that is not set: its number, or -1. */
static int take_bit(void)
{
    for (unsigned word = 0; word < WORDS; word++) {
        uint64_t bits = atomic_load_explicit(&taken[word], memory_order_relaxed);
        while (bits != UINT64_MAX) {
            const unsigned bit = (unsigned)__builtin_ctzll(~bits);
            if (atomic_compare_exchange_weak(&taken[word], &bits, bits | UINT64_C(1) << bit))
                return (int)(word * WORD_BITS + bit);
        }
    }
    return -1;
}

static void give_bit(unsigned number)
{
    atomic_fetch_and(&taken[number / WORD_BITS], ~(UINT64_C(1) << number % WORD_BITS));
}

struct statuspage_entry *statusmem_take(void)
{
    statusmem_publish();
    struct statuspage_process *header = atomic_load(&process);
    const int number = header ? take_bit() : -1;
    struct statuspage_entry *block =
        number < 0 ? NULL : block_of((unsigned)number / STATUSPAGE_BLOCK_ENTRIES);
    if (block)
        return &block[number % STATUSPAGE_BLOCK_ENTRIES];
    if (number >= 0)
        give_bit((unsigned)number);
    if (header)
        atomic_fetch_add(&header->not_shown, 1);
    return &nowhere;
}

bool statusmem_begin_change(struct statuspage_entry *entry)
{
    uint32_t sequence = atomic_load(&entry->sequence);
    return !(sequence & 1) && atomic_compare_exchange_strong(&entry->sequence, &sequence, sequence + 1);
}

void statusmem_end_change(struct statuspage_entry *entry)
{
    atomic_fetch_add(&entry->sequence, 1);
}

/* All but `sequence`, which goes on: a reader may have begun with the connection before. */
static void clear(struct statuspage_entry *entry)
{
    const uint32_t sequence = atomic_load(&entry->sequence);
    memset((void *)entry, 0, sizeof *entry);
    atomic_store(&entry->sequence, (sequence | 1) + 1);
}

void statusmem_give(struct statuspage_entry *entry)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct statuspage_entry *block = atomic_load(&blocks[i]);
        if (!block || entry < block || entry >= block + STATUSPAGE_BLOCK_ENTRIES)
            continue;
        clear(entry);
        give_bit(i * STATUSPAGE_BLOCK_ENTRIES + (unsigned)(entry - block));
        return;
    }
    struct statuspage_process *header = atomic_load(&process);
    if (entry == &nowhere && header && atomic_load(&header->not_shown) > 0)
        atomic_fetch_sub(&header->not_shown, 1);
}

void statusmem_after_fork(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct statuspage_entry *block = atomic_exchange(&blocks[i], NULL);
        if (block)
            net_munmap(block, STATUSPAGE_BLOCK_SIZE);
    }
    struct statuspage_process *header = atomic_exchange(&process, NULL);
    if (header)
        net_munmap(header, sizeof *header);
    memset((void *)taken, 0, sizeof taken);
    ownfd_drop(OWNFD_CONNECTIONS);
    atomic_flag_clear(&making);
    atomic_store(&refused, false);
}
