/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "libc/streams.h"

#include "libc/door.h"

#include <fcntl.h>
#include <link.h>
#include <paths.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/lookup.h"
#include "sys/net.h"
#include "sys/ro_after_init.h"

/*
 * Entries of glibc's table, struct _IO_jump_t of libio. Their order is part of the ABI: libstdc++ of GCC 2
 * derived from it. A stream points to its table behind its FILE (struct _IO_FILE_plus).
 */
typedef void entry(void);
enum { ENTRY_READ = 14, ENTRY_WRITE, ENTRY_SEEK, ENTRY_CLOSE, ENTRY_STAT };
typedef ssize_t read_entry(FILE *stream, void *buffer, ssize_t len);
typedef ssize_t write_entry(FILE *stream, const void *data, ssize_t len);
typedef int close_entry(FILE *stream);

/* What stands in the table of ordinary streams. */
static RO_AFTER_INIT struct {
    entry *read, *write, *seek, *close, *stat;
} file;

/* The tables that were changed, and how each closes: streams of popen(3) and of fopen(3)'s mode "m" have a
 * way of their own. glibc 2.36 and 2.41 have seven. */
enum { TABLES = 16 };
static RO_AFTER_INIT struct {
    entry **table, *close;
} tables[TABLES];
static RO_AFTER_INIT unsigned table_count;

static ssize_t read_stream(FILE *stream, void *buffer, ssize_t len)
{
    int fd = stream->_fileno;
    return fdtable_concerns(fd) ? read(fd, buffer, (size_t)len)
                                : ((read_entry *)file.read)(stream, buffer, len);
}

/* All of it, or the stream has an error, as glibc has it. */
static ssize_t write_sealed(FILE *stream, const char *data, ssize_t len)
{
    ssize_t done = 0;
    while (done < len) {
        ssize_t sent = write(stream->_fileno, data + done, (size_t)(len - done));
        if (sent < 0) {
            stream->_flags |= _IO_ERR_SEEN;
            break;
        }
        done += sent;
    }
    if (stream->_offset >= 0) /* a file was there before */
        stream->_offset += done;
    return done;
}

static ssize_t write_stream(FILE *stream, const void *data, ssize_t len)
{
    return fdtable_concerns(stream->_fileno) ? write_sealed(stream, data, len)
                                             : ((write_entry *)file.write)(stream, data, len);
}

static entry *own_close(const FILE *stream)
{
    entry **table;
    memcpy(&table, stream + 1, sizeof table);
    for (unsigned i = 0; i < table_count; i++) {
        if (tables[i].table == table)
            return tables[i].close;
    }
    return file.close;
}

void streams_make_way(int fd)
{
    int null = open(_PATH_DEVNULL, O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, fd);
    close(null < 0 ? fd : null); /* without a descriptor to be had, what comes next fails, too */
}

static int close_stream(FILE *stream)
{
    entry *own = own_close(stream);
    int fd = stream->_fileno;
    if (!fdtable_has(fd))
        return ((close_entry *)own)(stream);
    if (own == file.close)
        return close(fd);
    streams_make_way(fd);
    return ((close_entry *)own)(stream);
}

/* ---- Replacing the entries ---- */

static bool is_table(entry *const *table)
{
    return table[ENTRY_READ] == file.read && table[ENTRY_WRITE] == file.write &&
           table[ENTRY_SEEK] == file.seek && table[ENTRY_CLOSE] && table[ENTRY_STAT] == file.stat;
}

/* What the dynamic linker makes read-only after relocation; libc's tables are there. */
struct region {
    const void *within;
    uintptr_t start, end;
};

static int find_region(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct region *region = argument;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr, end = start + header->p_memsz;
        if (header->p_type == PT_GNU_RELRO && start <= (uintptr_t)region->within &&
            (uintptr_t)region->within < end) {
            region->start = start;
            region->end = end;
            return 1;
        }
    }
    return 0;
}

static void find_tables(const struct region *region)
{
    uintptr_t last = region->end - (ENTRY_STAT + 1) * sizeof(entry *);
    for (uintptr_t at = region->start; at <= last && table_count < TABLES; at += sizeof(entry *)) {
        entry **table = (entry **)at;
        if (!is_table(table))
            continue;
        tables[table_count].table = table;
        tables[table_count].close = table[ENTRY_CLOSE];
        table_count++;
    }
}

static bool found(const void *table)
{
    for (unsigned i = 0; table && i < table_count; i++) {
        if (tables[i].table == table)
            return true;
    }
    return false;
}

static void replace_entries(void)
{
    for (unsigned i = 0; i < table_count; i++) {
        entry **table = tables[i].table;
        table[ENTRY_READ] = (entry *)read_stream;
        table[ENTRY_WRITE] = (entry *)write_stream;
        table[ENTRY_CLOSE] = (entry *)close_stream;
    }
}

/* The dynamic linker rounds the region's end down to a page: what is behind stays writable. */
static bool replace_read_only(const struct region *region)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), last = (uintptr_t)tables[table_count - 1].table;
    uintptr_t from = (uintptr_t)tables[0].table & ~(page - 1), protected_end = region->end & ~(page - 1);
    uintptr_t to = (last + (ENTRY_STAT + 1) * sizeof(entry *) + page - 1) & ~(page - 1);
    if (to > protected_end)
        to = protected_end;
    if (to > from && mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) < 0)
        return false;
    replace_entries();
    return to <= from || mprotect((void *)from, to - from, PROT_READ) == 0;
}

static bool find_functions(void)
{
    const struct {
        const char *name;
        entry **slot;
    } needed[] = {{"_IO_file_read", &file.read},
                  {"_IO_file_write", &file.write},
                  {"_IO_file_seek", &file.seek},
                  {"_IO_file_close", &file.close},
                  {"_IO_file_stat", &file.stat}};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        void *symbol = lookup_next(needed[i].name);
        if (!symbol)
            return false;
        memcpy(needed[i].slot, &symbol, sizeof symbol);
    }
    return true;
}

bool streams_begin(void)
{
    const void *narrow = lookup_next("_IO_file_jumps"), *wide = lookup_next("_IO_wfile_jumps");
    struct region region = {.within = narrow};
    if (!narrow || !find_functions() || !dl_iterate_phdr(find_region, &region))
        return false;
    find_tables(&region);
    return found(narrow) && found(wide) && replace_read_only(&region);
}

/*
 * exit(3) flushes every stream after the last destructor, from the newest to the oldest, and calls _exit()
 * within libc. A stream of this library's gets a byte to be flushed in the destructor; its write function
 * flushes what is older than it, which the standard streams are.
 */
static RO_AFTER_INIT FILE *last_stream;
static RO_AFTER_INIT void (*at_end)(void);

static ssize_t last_write(void *cookie, const char *buffer, size_t len)
{
    (void)cookie, (void)buffer;
    for (FILE *stream = last_stream->_chain; stream; stream = stream->_chain) {
        if (__fwriting(stream))
            fflush_unlocked(stream); /* exit(3) takes no lock either: its holder may never give it back */
    }
    at_end();
    return (ssize_t)len;
}

bool streams_at_end(void (*last)(void))
{
    const cookie_io_functions_t functions = {.write = last_write};
    at_end = last;
    last_stream = fopencookie(NULL, "w", functions);
    return last_stream != NULL;
}

void streams_end_comes(void)
{
    if (last_stream)
        fputc(0, last_stream);
}
