/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/segments.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "diag/log.h"
#include "shm/ownfd.h"
#include "sys/net.h"

#define COUNT(log, shift)  (1u << ((log) - (shift)))
#define BYTES(log, size)   ((size_t)(size) << (log))
#define SLOTS_BYTES        BYTES(SEGMENTS_SLOTS_LOG, ARENA_SLOT_SIZE)
#define CHUNKS_BYTES       BYTES(SEGMENTS_CHUNKS_LOG, ARENA_CHUNK_SIZE)
#define NEXT_SLOTS_BYTES   BYTES(SEGMENTS_SLOTS_LOG, sizeof(uint32_t))
#define NEXT_CHUNKS_BYTES  BYTES(SEGMENTS_CHUNKS_LOG, sizeof(uint32_t))
#define COOKIES_BYTES      BYTES(SEGMENTS_SLOTS_LOG, sizeof(uint64_t))
#define NEXT_SLOTS_OFFSET  ((size_t)SEGMENTS_HEADER_SIZE)
#define NEXT_CHUNKS_OFFSET (NEXT_SLOTS_OFFSET + NEXT_SLOTS_BYTES)
#define COOKIES_OFFSET     (NEXT_CHUNKS_OFFSET + NEXT_CHUNKS_BYTES)
#define SLOTS_OFFSET       (COOKIES_OFFSET + COOKIES_BYTES)
#define CHUNKS_OFFSET      (SLOTS_OFFSET + SLOTS_BYTES)
#define ARENA_SIZE         (CHUNKS_OFFSET + CHUNKS_BYTES)

enum {
    /* Without a memfd, everything is mapped at once: at most 1/ADDRESS_SPACE_PART of RLIMIT_AS, */
    ADDRESS_SPACE_PART = 4,
    /* and 1/SMALLEST_PART of what a memfd would have room for, if the kernel refuses more. */
    SMALLEST_PART = 1 << 10,
};

_Atomic(uint8_t *) segments_slots[COUNT(SEGMENTS_SLOTS_LOG, SEGMENTS_SLOT_SHIFT)];
_Atomic(uint8_t *) segments_chunks[COUNT(SEGMENTS_CHUNKS_LOG, SEGMENTS_CHUNK_SHIFT)];
static _Atomic(uint8_t *) next_slots[COUNT(SEGMENTS_SLOTS_LOG, SEGMENTS_NEXT_SHIFT)];
static _Atomic(uint8_t *) next_chunks[COUNT(SEGMENTS_CHUNKS_LOG, SEGMENTS_NEXT_SHIFT)];
static _Atomic(uint8_t *) cookies[COUNT(SEGMENTS_SLOTS_LOG, SEGMENTS_COOKIE_SHIFT)];
static _Atomic(uint8_t *) mapped_header;

static const struct array {
    _Atomic(uint8_t *) *table;
    size_t offset;      /* bytes from the memfd's start */
    uint32_t size;      /* bytes of an item */
    uint8_t log, shift; /* items in the array and in a segment, as powers of two */
} ARRAYS[SEGMENTS_ARRAYS] = {
    [SEGMENTS_SLOTS] = {segments_slots, SLOTS_OFFSET, ARENA_SLOT_SIZE, SEGMENTS_SLOTS_LOG,
                        SEGMENTS_SLOT_SHIFT},
    [SEGMENTS_CHUNKS] = {segments_chunks, CHUNKS_OFFSET, ARENA_CHUNK_SIZE, SEGMENTS_CHUNKS_LOG,
                         SEGMENTS_CHUNK_SHIFT},
    [SEGMENTS_NEXT_SLOT] = {next_slots, NEXT_SLOTS_OFFSET, sizeof(uint32_t), SEGMENTS_SLOTS_LOG,
                            SEGMENTS_NEXT_SHIFT},
    [SEGMENTS_NEXT_CHUNK] = {next_chunks, NEXT_CHUNKS_OFFSET, sizeof(uint32_t), SEGMENTS_CHUNKS_LOG,
                             SEGMENTS_NEXT_SHIFT},
    [SEGMENTS_COOKIES] = {cookies, COOKIES_OFFSET, sizeof(uint64_t), SEGMENTS_SLOTS_LOG,
                          SEGMENTS_COOKIE_SHIFT},
};

static size_t segment_size(const struct array *array)
{
    return (size_t)array->size << array->shift;
}

void *segments_header(void)
{
    return atomic_load_explicit(&mapped_header, memory_order_acquire);
}

static void unmap(void *base, size_t len)
{
    if (base)
        net_munmap(base, len);
}

static uint8_t *map_shared(size_t len, int flags, int fd, size_t offset)
{
    void *base =
        net_mmap_at(len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, fd, (int64_t)offset);
    if (base == MAP_FAILED)
        return NULL;
    net_madvise(base, len, MADV_DONTDUMP); /* it holds keys: none in a core dump */
    return base;
}

void segments_report(void)
{
    static _Atomic bool reported;
    if (!atomic_exchange(&reported, true))
        log_line(
            LOG_ERROR,
            "the kernel refuses memory for sealed connections; check the limit on this process's address "
            "space (RLIMIT_AS, ulimit -v) and whether the library's own descriptors were closed");
}

/* Whether fd is the memfd of the arena that is mapped. Its file position stays. */
static bool is_same(int fd)
{
    const struct segments_identity *mapped = segments_header();
    struct segments_identity found;
    return sys_call(SYS_pread64, fd, sys_ptr(&found), sizeof found, 0, 0, 0) == (long)sizeof found &&
           found.magic == mapped->magic && found.id == mapped->id;
}

/* Maps a segment of the memfd. The program may put a descriptor of its own at the memfd's number. Through a
 * door, close_make_way() moves the memfd first: then this loop starts again. By a raw system call, is_same()
 * finds out. */
static uint8_t *map_segment(const struct array *array, uint32_t segment)
{
    for (;;) {
        int fd = ownfd_get(OWNFD_ARENA);
        if (fd < 0 || !is_same(fd))
            return NULL;
        uint8_t *base = map_shared(segment_size(array), 0, fd, array->offset + segment * segment_size(array));
        if (fd == ownfd_get(OWNFD_ARENA))
            return base;
        unmap(base, segment_size(array));
    }
}

void *segments_map(enum segments_array which, uint32_t item)
{
    const struct array *array = &ARRAYS[which];
    const uint32_t segment = item >> array->shift;
    if (item >> array->log)
        return NULL;
    uint8_t *base = atomic_load_explicit(&array->table[segment], memory_order_acquire);
    if (!base && (base = map_segment(array, segment))) {
        uint8_t *other = NULL;
        if (!atomic_compare_exchange_strong(&array->table[segment], &other, base)) {
            unmap(base, segment_size(array));
            base = other;
        }
    }
    return base ? base + (size_t)(item & ((1u << array->shift) - 1)) * array->size : NULL;
}

static uint64_t new_id(void)
{
    return (uint64_t)sys_getpid() << 32 ^ (uint64_t)sys_gettid() << 44 ^ (uint64_t)net_now_ns();
}

static void identify(struct segments_identity *header, const struct segments_identity *identity)
{
    uint64_t none = 0;
    header->magic = identity->magic;
    header->layout = identity->layout;
    atomic_compare_exchange_strong(&header->id, &none, new_id());
}

/* Publishes the header, unless another thread has published one. */
static void publish(uint8_t *header, size_t len)
{
    uint8_t *none = NULL;
    if (!atomic_compare_exchange_strong(&mapped_header, &none, header))
        unmap(header, len);
}

static rlim_t limit_of(int resource)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, resource, 0, sys_ptr(&limit), 0, 0) < 0)
        return RLIM_INFINITY;
    return limit.rlim_cur;
}

/* Sets the memfd's size with write(2): a program that filters its system calls (process/seccomp.h) has
 * allowed that, but perhaps not ftruncate(2). RLIMIT_FSIZE counts for a memfd too, and exceeding it raises
 * SIGXFSZ, which the program does not expect: so the limit is asked for first. */
static bool set_size(int fd)
{
    const rlim_t limit = limit_of(RLIMIT_FSIZE);
    return (limit == RLIM_INFINITY || limit >= ARENA_SIZE) &&
           sys_call3(SYS_lseek, fd, (long)ARENA_SIZE - 1, SEEK_SET) >= 0 &&
           sys_call3(SYS_write, fd, sys_ptr(""), 1) == 1;
}

/* The process's memfd, made now if there was none; -1 if the kernel gives none. */
static int take_memfd(void)
{
    int fd = ownfd_get(OWNFD_ARENA);
    if (fd >= 0)
        return fd;
    fd = (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal"), MFD_CLOEXEC, 0);
    if (fd >= 0 && set_size(fd))
        return ownfd_keep(OWNFD_ARENA, fd);
    if (fd >= 0)
        sys_close(fd);
    return -1;
}

/* The bytes of an array of which 1/part is mapped at once: at least one segment. */
static size_t part_of(const struct array *array, size_t part)
{
    size_t segments = ((size_t)1 << (array->log - array->shift)) / part;
    return (segments ? segments : 1) * segment_size(array);
}

static void fill_tables(uint8_t *base, size_t part)
{
    base += SEGMENTS_HEADER_SIZE;
    for (int i = 0; i < SEGMENTS_ARRAYS; i++) {
        const struct array *array = &ARRAYS[i];
        const size_t len = part_of(array, part);
        for (size_t segment = 0; segment * segment_size(array) < len; segment++)
            atomic_store(&array->table[segment], base + segment * segment_size(array));
        base += len;
    }
}

/* Without a memfd the arena is shared with forked children, but with no other program, and no segment can be
 * mapped later that they would share. So as much as is reasonable is mapped at once. */
static bool make_unreachable(const struct segments_identity *identity)
{
    const rlim_t limit = limit_of(RLIMIT_AS);
    for (size_t part = 1; part <= SMALLEST_PART; part *= 4) {
        size_t len = SEGMENTS_HEADER_SIZE;
        for (int i = 0; i < SEGMENTS_ARRAYS; i++)
            len += part_of(&ARRAYS[i], part);
        if (limit != RLIM_INFINITY && len > limit / ADDRESS_SPACE_PART)
            continue;
        uint8_t *base = map_shared(len, MAP_ANONYMOUS, -1, 0);
        if (!base)
            continue;
        identify((struct segments_identity *)(void *)base, identity);
        atomic_store(&((struct segments_identity *)(void *)base)->unreachable, 1);
        publish(base, len);
        if (segments_header() == base)
            fill_tables(base, part);
        return true;
    }
    return false;
}

/* Threads may race here. The first one's memfd is used by all, and then the first one's header. */
bool segments_make(const struct segments_identity *identity)
{
    if (segments_header())
        return true;
    const int fd = take_memfd();
    uint8_t *header = fd >= 0 ? map_shared(SEGMENTS_HEADER_SIZE, 0, fd, 0) : NULL;
    if (header) {
        identify((struct segments_identity *)(void *)header, identity);
        publish(header, SEGMENTS_HEADER_SIZE);
    } else if (fd >= 0 || !make_unreachable(identity)) {
        return segments_header() != NULL;
    }
    const struct segments_identity *made = segments_header();
    if (atomic_load(
            &made->unreachable)) /* another thread was given no memfd, and its arena was published first */
        ownfd_drop(OWNFD_ARENA);
    return true;
}

static bool is_arena(int fd)
{
    struct stat info;
    return sys_call3(SYS_fstat, fd, sys_ptr(&info), 0) == 0 && S_ISREG(info.st_mode) &&
           info.st_size == (off_t)ARENA_SIZE;
}

void *segments_window_header(int fd, const struct segments_identity *identity)
{
    void *header = is_arena(fd) ? map_shared(SEGMENTS_HEADER_SIZE, 0, fd, 0) : NULL;
    const struct segments_identity *found = header;
    if (!found || (found->magic == identity->magic && found->layout == identity->layout))
        return header;
    unmap(header, SEGMENTS_HEADER_SIZE);
    return NULL;
}

bool segments_attach(int fd, const struct segments_identity *identity)
{
    uint8_t *header = segments_header() ? NULL : segments_window_header(fd, identity);
    if (!header) {
        sys_close(fd);
        return false;
    }
    if (!ownfd_keep_first(OWNFD_ARENA, fd)) { /* another thread has just made one */
        unmap(header, SEGMENTS_HEADER_SIZE);
        return false;
    }
    publish(header, SEGMENTS_HEADER_SIZE);
    return true;
}

void *segments_window_map(int fd, struct segments_window window[static SEGMENTS_ARRAYS],
                          enum segments_array which, uint32_t item)
{
    const struct array *array = &ARRAYS[which];
    const uint32_t segment = item >> array->shift;
    struct segments_window *here = &window[which];
    if (item >> array->log)
        return NULL;
    if (!here->base || here->segment != segment) {
        unmap(here->base, segment_size(array));
        here->segment = segment;
        here->base = map_shared(segment_size(array), 0, fd, array->offset + segment * segment_size(array));
    }
    if (!here->base)
        segments_report();
    return here->base ? here->base + (size_t)(item & ((1u << array->shift) - 1)) * array->size : NULL;
}

void segments_window_unmap(void *header, struct segments_window window[static SEGMENTS_ARRAYS])
{
    for (int i = 0; i < SEGMENTS_ARRAYS; i++)
        unmap(window[i].base, segment_size(&ARRAYS[i]));
    unmap(header, SEGMENTS_HEADER_SIZE);
}
