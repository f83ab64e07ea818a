/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/region.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "diag/log.h"
#include "shm/ownfd.h"
#include "sys/file.h"
#include "sys/net.h"

/* A region's number is given to another one only after so many more of its size were left: a thread that has
 * looked up a connection of it before gets that time. */
enum { REST = 16 };

enum state {
    STATE_NONE,   /* never used */
    STATE_BUSY,   /* being made or left, by one thread */
    STATE_OPEN,   /* no other process can reach it */
    STATE_SHARED, /* another one may */
    STATE_LEFT,   /* nothing of it is mapped; its range of addresses waits for another region */
};

/* What this process knows of a region. */
struct region {
    _Atomic uint8_t state;
    uint8_t areas;            /* in its file; this many have room in the range of addresses */
    bool anonymous;           /* there is no memfd, and forked children alone have it */
    _Atomic uint64_t held;    /* areas that are in use here, a bit for each */
    _Atomic uint64_t annexed; /* areas whose annex is mapped */
    _Atomic bool partial;     /* it may have areas whose connections others hold, and not this process */
    uint64_t id;
    dev_t device; /* of the file, and its inode number; 0: not asked for yet */
    ino_t inode;
    _Atomic uint32_t rest; /* how many of its size had been left when it was */
};

_Atomic(uint8_t *) region_bases[REGION_COUNT];

static struct region regions[REGION_COUNT];
static _Atomic(uint8_t *) annexes[REGION_REFS]; /* stay reserved, as the regions' ranges do */
static _Atomic uint32_t end = 1;                /* one past the highest number that is used */
static _Atomic uint32_t times_left;
static _Atomic bool restricted; /* region_restrict() was called */

static struct region *region_at(region_ref area)
{
    return &regions[area >> REGION_SHIFT];
}

static uint64_t bit_of(region_ref area)
{
    return (uint64_t)1 << (area & (REGION_AREAS - 1));
}

static region_ref ref_of(const struct region *region, unsigned index)
{
    return (region_ref)(region - regions) << REGION_SHIFT | index;
}

static enum ownfd_kind kind_of(const struct region *region)
{
    return (enum ownfd_kind)(OWNFD_REGIONS + (region - regions));
}

static enum state state_of(const struct region *region)
{
    return (enum state)atomic_load_explicit(&region->state, memory_order_acquire);
}

static bool change_state(struct region *region, enum state from, enum state to)
{
    uint8_t expected = (uint8_t)from;
    return atomic_compare_exchange_strong(&region->state, &expected, (uint8_t)to);
}

static bool is_in_use(const struct region *region)
{
    return state_of(region) == STATE_OPEN || state_of(region) == STATE_SHARED;
}

void region_report(void)
{
    static _Atomic bool told;
    if (!atomic_exchange(&told, true))
        log_line(
            LOG_ERROR,
            "the kernel refuses memory for sealed connections; check the limit on this process's address "
            "space (RLIMIT_AS, ulimit -v)");
}

/* ---- a region's file: the annexes, then the areas. So its size can be set by writing the last byte of a
 * page that is used anyway. ---- */

static size_t file_size(unsigned areas)
{
    return (size_t)areas * (REGION_STRIDE + REGION_ANNEX);
}

static size_t area_offset(const struct region *region, unsigned index)
{
    return (size_t)region->areas * REGION_ANNEX + (size_t)index * REGION_STRIDE;
}

static size_t annex_offset(unsigned index)
{
    return (size_t)index * REGION_ANNEX;
}

/* Sets the memfd's size with write(2): a program that filters its system calls (process/seccomp.h) has
 * allowed that, but perhaps not ftruncate(2). RLIMIT_FSIZE counts for a memfd too, and exceeding it raises
 * SIGXFSZ, which the program does not expect: so the limit is asked for first. Who shares the memory cannot
 * take it away by truncating the file. */
static bool set_size(int fd, size_t size)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, sys_ptr(&limit), 0, 0) == 0 && limit.rlim_cur < size)
        return false;
    return sys_call3(SYS_lseek, fd, (long)size - 1, SEEK_SET) >= 0 &&
           sys_call3(SYS_write, fd, sys_ptr(""), 1) == 1 &&
           net_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

static int make_file(unsigned areas)
{
    int fd = (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal"), MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (fd >= 0 && set_size(fd, file_size(areas)))
        return fd;
    if (fd >= 0)
        sys_close(fd);
    return -1;
}

/* The areas in the file of this descriptor; 0: it is none of a region's. */
static unsigned areas_of_file(int fd, struct stat *info)
{
    const int seals = net_fcntl(fd, F_GET_SEALS, 0);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || sys_fstat(fd, info) < 0 || !S_ISREG(info->st_mode))
        return 0;
    const uint64_t areas = (uint64_t)info->st_size / file_size(1);
    return areas <= REGION_AREAS && (uint64_t)info->st_size == file_size((unsigned)areas) ? (unsigned)areas
                                                                                          : 0;
}

/* The region's descriptor. The program may have put one of its own at that number, by a raw system call:
 * then -1. */
static int descriptor_of(const struct region *region, unsigned index)
{
    const int fd = ownfd_get(kind_of(region));
    const size_t at =
        area_offset(region, index) + REGION_ROOM + REGION_CONNECTION_SIZE + offsetof(struct region_tail, id);
    uint64_t id = 0;
    return fd >= 0 && sys_call(SYS_pread64, fd, sys_ptr(&id), sizeof id, (long)at, 0, 0) == (long)sizeof id &&
                   id == region->id
               ? fd
               : -1;
}

/* ---- address space ---- */

static uint8_t *map(uint8_t *over, size_t len, int flags, int fd, size_t offset)
{
    void *base = net_mmap_over(over, len, PROT_READ | PROT_WRITE,
                               MAP_NORESERVE | flags | (over ? MAP_FIXED : 0), fd, (int64_t)offset);
    if (base == MAP_FAILED)
        return NULL;
    if (flags & MAP_SHARED)
        net_madvise(base, len, MADV_DONTDUMP); /* it holds keys: none in a core dump */
    return base;
}

/* Private zero pages in its place, or anywhere. */
static uint8_t *map_void(uint8_t *over, size_t len)
{
    return map(over, len, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static uint8_t *start_of(region_ref area)
{
    return region_page(area) - REGION_ROOM;
}

static bool map_annex_of(struct region *region, region_ref area, int fd)
{
    const unsigned index = area & (REGION_AREAS - 1);
    uint8_t *reserved = atomic_load(&annexes[area]), *none = NULL;
    uint8_t *annex = fd >= 0 ? map(reserved, REGION_ANNEX, MAP_SHARED, fd, annex_offset(index))
                             : map(reserved, REGION_ANNEX, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (annex && !reserved && !atomic_compare_exchange_strong(&annexes[area], &none, annex)) {
        net_munmap(annex, REGION_ANNEX); /* another thread was first; nobody has seen this one */
        annex = none;
    }
    if (annex)
        atomic_fetch_or(&region->annexed, bit_of(area));
    return annex;
}

bool region_map_annex(region_ref area)
{
    struct region *region = region_at(area);
    if (!area)
        return false;
    if (atomic_load(&region->annexed) & bit_of(area))
        return true;
    if (region->anonymous) /* once it is shared, one that is mapped here would be seen by nobody else */
        return state_of(region) == STATE_OPEN && map_annex_of(region, area, -1);
    const int fd = descriptor_of(region, area & (REGION_AREAS - 1));
    return fd >= 0 && map_annex_of(region, area, fd);
}

uint8_t *region_annex(region_ref area)
{
    return area && (atomic_load(&region_at(area)->annexed) & bit_of(area)) ? atomic_load(&annexes[area])
                                                                           : NULL;
}

region_ref region_of(const void *page)
{
    const uint32_t count = atomic_load(&end);
    for (uint32_t i = 1; i < count; i++) {
        const uint8_t *base = atomic_load_explicit(&region_bases[i], memory_order_acquire);
        const size_t offset = (size_t)((uintptr_t)page - (uintptr_t)base);
        if (base && offset < (size_t)regions[i].areas * REGION_STRIDE)
            return ref_of(&regions[i], (unsigned)(offset / REGION_STRIDE));
    }
    return 0;
}

/* ---- making ---- */

static bool has_rested(const struct region *region)
{
    return atomic_load(&times_left) - atomic_load(&region->rest) >= REST;
}

/* A number for a region of this size, which is the caller's to fill; NULL: none is left. */
static struct region *claim(unsigned areas)
{
    const uint32_t count = atomic_load(&end);
    for (uint32_t i = 1; i < count; i++) {
        if (state_of(&regions[i]) == STATE_LEFT && regions[i].areas == areas && has_rested(&regions[i]) &&
            change_state(&regions[i], STATE_LEFT, STATE_BUSY))
            return &regions[i];
    }
    for (uint32_t next = count; next < REGION_COUNT; next = atomic_load(&end)) {
        if (!atomic_compare_exchange_strong(&end, &next, next + 1))
            continue;
        regions[next].areas = (uint8_t)areas;
        atomic_store(&regions[next].state, STATE_BUSY);
        return &regions[next];
    }
    return NULL;
}

/* It was not filled. */
static void unclaim(struct region *region)
{
    ownfd_drop(kind_of(region));
    atomic_store(&region->rest, atomic_load(&times_left) - REST);
    atomic_store(&region->state, STATE_LEFT);
}

static uint64_t new_id(void)
{
    static _Atomic uint64_t made;
    return (uint64_t)sys_getpid() << 32 ^ (uint64_t)net_now_ns() ^ atomic_fetch_add(&made, 1) << 52;
}

static void publish_base(struct region *region, uint8_t *start)
{
    atomic_store_explicit(&region_bases[region - regions], start + REGION_ROOM, memory_order_release);
}

static uint8_t *reserved_of(const struct region *region)
{
    uint8_t *base = atomic_load(&region_bases[region - regions]);
    return base ? base - REGION_ROOM : NULL;
}

static void identify(const struct region *region, region_ref area, uint32_t layout)
{
    struct region_tail *tail = region_tail(region_page(area));
    atomic_store(&tail->id, region->id);
    tail->layout = layout;
}

/* Without a memfd the region is shared with forked children, but with no other program. */
static bool fill_anonymous(struct region *region)
{
    uint8_t *start = map(reserved_of(region), REGION_STRIDE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!start)
        return false;
    publish_base(region, start);
    region->anonymous = true;
    return true;
}

static bool fill(struct region *region, int fd)
{
    region->anonymous = false;
    region->inode = 0;
    fd = ownfd_keep(kind_of(region), fd);
    uint8_t *start = fd < 0 ? NULL
                            : map(reserved_of(region), (size_t)region->areas * REGION_STRIDE, MAP_SHARED, fd,
                                  area_offset(region, 0));
    if (start)
        publish_base(region, start);
    return start;
}

/* A new region, of which the first area is taken. 0: the kernel refuses. */
static region_ref make(unsigned areas, uint32_t layout)
{
    const int fd = make_file(areas);
    if (fd < 0 && areas > 1)
        return 0;
    struct region *region = claim(areas);
    if (!region) {
        if (fd >= 0)
            sys_close(fd);
        return 0;
    }
    if (!(fd >= 0 && fill(region, fd)) && !(areas == 1 && fill_anonymous(region))) {
        unclaim(region);
        return 0;
    }
    atomic_store(&region->partial, false);
    region->id = new_id();
    identify(region, ref_of(region, 0), layout);
    atomic_store(&region->held, 1);
    atomic_store(&region->state, STATE_OPEN);
    return ref_of(region, 0);
}

/* ---- areas ---- */

static uint64_t all_of(const struct region *region)
{
    return region->areas == 64 ? ~(uint64_t)0 : ((uint64_t)1 << region->areas) - 1;
}

/* Nothing of it is held any more. */
static void leave_region(struct region *region, enum state from)
{
    if (atomic_load(&region->held) || !change_state(region, from, STATE_BUSY))
        return;
    if (atomic_load(&region->held)) { /* a connection was put into it in between */
        atomic_store(&region->state, from);
        return;
    }
    ownfd_drop(kind_of(region));
    map_void(start_of(ref_of(region, 0)), (size_t)region->areas * REGION_STRIDE);
    atomic_store(&region->rest, atomic_fetch_add(&times_left, 1));
    atomic_store(&region->state, STATE_LEFT);
}

/* A free area of an open region; 0: it has none. */
static region_ref take_in(struct region *region, uint32_t layout)
{
    uint64_t held = atomic_load(&region->held);
    while (state_of(region) == STATE_OPEN && (~held & all_of(region))) {
        const unsigned index = (unsigned)__builtin_ctzll(~held & all_of(region));
        if (!atomic_compare_exchange_weak(&region->held, &held, held | (uint64_t)1 << index))
            continue;
        if (state_of(region) == STATE_OPEN) {
            identify(region, ref_of(region, index), layout);
            return ref_of(region, index);
        }
        atomic_fetch_and(&region->held, ~((uint64_t)1 << index)); /* a fork or leave_region() came between */
        leave_region(region, STATE_SHARED);
        return 0;
    }
    return 0;
}

/* Whether the next connection may have a region of its own, beside so many that have one. */
static bool may_be_single(unsigned singles)
{
    struct rlimit limit;
    return singles < REGION_SINGLES &&
           (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0 ||
            singles < limit.rlim_cur / REGION_DESCRIPTORS);
}

region_ref region_take(uint32_t layout)
{
    const uint32_t count = atomic_load(&end);
    unsigned singles = 0;
    for (uint32_t i = 1; i < count; i++) {
        const region_ref area = take_in(&regions[i], layout);
        if (area)
            return area;
        singles += is_in_use(&regions[i]) && regions[i].areas == 1;
    }
    region_ref area = 0;
    for (unsigned areas = may_be_single(singles) ? 1 : REGION_AREAS; areas >= 1 && !area; areas /= 4)
        area = make(areas, layout);
    return area;
}

/* What a connection has left in its chunks. */
static void wipe_chunks(struct region *region, region_ref area)
{
    const struct region_tail *tail = region_tail(region_page(area));
    const uint64_t used = atomic_load(&tail->taken[0]) | atomic_load(&tail->warm[0]);
    const uint64_t more = atomic_load(&tail->taken[1]) | atomic_load(&tail->warm[1]);
    const uint64_t near = ((uint64_t)1 << REGION_NEAR) - 1;
    if (region->areas > 1 && (used & near)) {
        net_madvise(start_of(area), REGION_ROOM, MADV_REMOVE);
    } else {
        for (unsigned i = 0; i < REGION_NEAR; i++) {
            if (used & (uint64_t)1 << i)
                memset(start_of(area) + (size_t)i * REGION_CHUNK_SIZE, 0, REGION_CHUNK_SIZE);
        }
    }
    if ((atomic_load(&region->annexed) & bit_of(area)) && ((used & ~near) || more))
        net_madvise(atomic_load(&annexes[area]), REGION_ANNEX, MADV_REMOVE);
}

/* An annex that is not mapped by then cannot be mapped any more: where the kernel refuses it, the connection
 * has two chunks. */
static void restrict_region(struct region *region)
{
    const uint64_t held = atomic_load(&region->held);
    if (state_of(region) != STATE_SHARED || !atomic_load(&region->partial) || region->areas == 1 ||
        ownfd_get(kind_of(region)) < 0)
        return;
    for (unsigned i = 0; i < region->areas; i++) {
        if (held & (uint64_t)1 << i)
            region_map_annex(ref_of(region, i));
    }
    ownfd_drop(kind_of(region));
}

region_ref region_take_alone(uint32_t layout)
{
    return make(1, layout);
}

static unsigned count_spare(void)
{
    const uint32_t count = atomic_load(&end);
    unsigned spare = 0;
    for (uint32_t i = 1; i < count; i++)
        spare += state_of(&regions[i]) == STATE_OPEN && !atomic_load(&regions[i].held);
    return spare;
}

/* Zeros to the end of the page, from a multiple of four on. A thread that looked the connection up before may
 * be reading one of its atomic words, and finds out afterwards that it has ended. */
static void wipe_page(uint8_t *page, size_t from)
{
    for (; from % sizeof(uint64_t) > 0; from += sizeof(uint32_t))
        atomic_store_explicit((_Atomic uint32_t *)(void *)(page + from), 0, memory_order_relaxed);
    for (; from < 4096; from += sizeof(uint64_t))
        atomic_store_explicit((_Atomic uint64_t *)(void *)(page + from), 0, memory_order_relaxed);
}

void region_give(region_ref area, size_t kept)
{
    struct region *region = region_at(area);
    uint8_t *page = region_page(area);
    if (state_of(region) != STATE_OPEN)
        return;
    wipe_chunks(region, area);
    wipe_page(page, kept);
    atomic_fetch_and(&region->held, ~bit_of(area));
    leave_region(region, STATE_SHARED); /* if a fork came in between */
    if (count_spare() > REGION_SPARE)
        leave_region(region, STATE_OPEN);
}

bool region_leave(region_ref area)
{
    struct region *region = region_at(area);
    if (state_of(region) != STATE_SHARED || !(atomic_load(&region->held) & bit_of(area)))
        return false;
    map_void(start_of(area), REGION_STRIDE);
    if (atomic_fetch_and(&region->annexed, ~bit_of(area)) & bit_of(area))
        map_void(atomic_load(&annexes[area]), REGION_ANNEX);
    atomic_store(&region->partial, true);
    atomic_fetch_and(&region->held, ~bit_of(area));
    leave_region(region, STATE_SHARED);
    if (atomic_load(&restricted))
        restrict_region(region);
    return true;
}

bool region_is_held(region_ref area)
{
    return is_in_use(region_at(area)) && (atomic_load(&region_at(area)->held) & bit_of(area));
}

bool region_is_shared(region_ref area)
{
    return state_of(region_at(area)) == STATE_SHARED && region_is_held(area);
}

static void share(struct region *region)
{
    if (region->anonymous && atomic_load(&region->held))
        region_map_annex(ref_of(region, 0));
    if (change_state(region, STATE_OPEN, STATE_SHARED))
        leave_region(region, STATE_SHARED); /* if it was empty, neither process needs it */
}

void region_share_all(void)
{
    const uint32_t count = atomic_load(&end);
    for (uint32_t i = 1; i < count; i++)
        share(&regions[i]);
}

bool region_is_crowded(region_ref area)
{
    const struct region *region = region_at(area);
    return (atomic_load(&region->held) & ~bit_of(area)) ||
           (region->areas > 1 && atomic_load(&region->partial)) || ownfd_get(kind_of(region)) < 0;
}

void region_restrict(void)
{
    const uint32_t count = atomic_load(&end);
    atomic_store(&restricted, true);
    for (uint32_t i = 1; i < count; i++)
        restrict_region(&regions[i]);
}

void region_each(bool (*visit)(region_ref area, void *context), void *context)
{
    const uint32_t count = atomic_load(&end);
    for (uint32_t i = 1; i < count; i++) {
        uint64_t held = is_in_use(&regions[i]) ? atomic_load(&regions[i].held) : 0;
        for (; held; held &= held - 1) {
            if (visit(ref_of(&regions[i], (unsigned)__builtin_ctzll(held)), context))
                return;
        }
    }
}

/* ---- to and from other processes ---- */

int region_export(region_ref area, uint32_t *index)
{
    struct region *region = region_at(area);
    *index = area & (REGION_AREAS - 1);
    const int fd = area ? ownfd_get(kind_of(region)) : -1;
    if (fd >= 0)
        change_state(region, STATE_OPEN, STATE_SHARED);
    return fd;
}

static void ask_file(struct region *region)
{
    struct stat info;
    if (region->inode || sys_fstat(ownfd_get(kind_of(region)), &info) < 0)
        return;
    region->device = info.st_dev;
    region->inode = info.st_ino;
}

/* The region in this file, if this process has it. */
static struct region *find_file(const struct stat *info)
{
    const uint32_t count = atomic_load(&end);
    for (uint32_t i = 1; i < count; i++) {
        if (!is_in_use(&regions[i]) || regions[i].anonymous)
            continue;
        ask_file(&regions[i]);
        if (regions[i].inode == info->st_ino && regions[i].device == info->st_dev)
            return &regions[i];
    }
    return NULL;
}

/* A region of which nothing is mapped yet. */
static struct region *adopt(int fd, unsigned areas, const struct stat *info, bool keep)
{
    const int own = keep ? fd : net_fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct region *region = own < 0 ? NULL : claim(areas);
    uint8_t *start = region ? reserved_of(region) : NULL;
    if (region && !start && (start = map_void(NULL, (size_t)areas * REGION_STRIDE)))
        publish_base(region, start);
    if (!start) {
        if (region)
            unclaim(region);
        if (own >= 0 && !keep)
            sys_close(own);
        return NULL;
    }
    region->anonymous = false;
    region->device = info->st_dev, region->inode = info->st_ino;
    atomic_store(&region->held, 0);
    atomic_store(&region->partial, areas > 1);
    if (keep)
        ownfd_adopt(kind_of(region), own);
    else if (ownfd_keep(kind_of(region), own) < 0) {
        unclaim(region);
        return NULL;
    }
    return region;
}

static bool map_area(struct region *region, region_ref area, int fd, uint32_t layout)
{
    const unsigned index = area & (REGION_AREAS - 1);
    if (!map(start_of(area), REGION_STRIDE, MAP_SHARED, fd, area_offset(region, index)))
        return false;
    const struct region_tail *tail = region_tail(region_page(area));
    const uint64_t id = atomic_load(&tail->id);
    if (!atomic_load(&region->held))
        region->id = id;
    if (tail->layout == layout && region->id == id)
        return true;
    map_void(start_of(area), REGION_STRIDE);
    return false;
}

region_ref region_import(int fd, uint32_t index, uint32_t layout, bool keep)
{
    struct stat info;
    const unsigned areas = areas_of_file(fd, &info);
    if (index >= areas)
        return 0;
    struct region *known = find_file(&info);
    struct region *region = known ? known : adopt(fd, areas, &info, keep);
    if (!region)
        return 0;
    const region_ref area = ref_of(region, index);
    if (atomic_load(&region->held) & bit_of(area))
        return area;
    if (!map_area(region, area, fd, layout)) {
        if (!known)
            unclaim(region);
        return 0;
    }
    atomic_fetch_or(&region->held, bit_of(area));
    if (!known)
        atomic_store(&region->state, STATE_SHARED);
    if (atomic_load(&restricted))
        restrict_region(region);
    return area;
}
