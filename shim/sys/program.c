/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

#include "sys/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/text.h"

enum { SCRIPT_DEPTH_MAX = 5, HEADER_LEN = 4096, NOTES_LEN = 4096 };

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#endif

static __attribute__((format(printf, 3, 4))) bool
refuse(struct program *program, enum program_verdict verdict, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(program->reason, sizeof program->reason, format, arguments);
    va_end(arguments);
    program->verdict = verdict;
    return false;
}

static bool refuse_error(struct program *program, const char *path, int error)
{
    const char *text = text_of_error(error);
    return refuse(program, error == ENOENT || error == ENOTDIR ? PROGRAM_MISSING : PROGRAM_UNUSABLE, "%s: %s",
                  path, text ? text : "it cannot be read");
}

/* It could be run, but nothing tells what it is: it may be readable for the kernel alone. */
static bool refuse_unread(struct program *program, const char *path, int error)
{
    const char *text = text_of_error(error);
    return refuse(program, PROGRAM_UNSEALABLE, "%s cannot be read (%s): it may be a program of any kind",
                  path, text ? text : "?");
}

/* Whether exec would give it other rights than its caller's (credentials(7); the kernel's begin_new_exec()).
 */
static bool changes_user(const struct program *program, const struct stat *st)
{
    return (st->st_mode & S_ISUID) && !(program->exact && st->st_uid == sys_getuid());
}

static bool changes_group(const struct program *program, const struct stat *st)
{
    return (st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) &&
           !(program->exact && st->st_gid == sys_getgid());
}

static bool has_capabilities(const struct program *program, int fd)
{
    if (program->exact && sys_getuid() == 0)
        return false;
    return sys_call(SYS_fgetxattr, fd, sys_ptr("security.capability"), 0, 0, 0, 0) > 0;
}

/* Whether this thread has asked its security module for another domain at the next exec (setexeccon(3),
 * aa_change_onexec(2)). */
static bool asks_for_domain(void)
{
    char domain;
    int fd = sys_open("/proc/thread-self/attr/exec", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    const long got = sys_read(fd, &domain, sizeof domain);
    sys_close(fd);
    return got > 0 && domain != '\0';
}

static bool refuse_rights(struct program *program, const char *format, const char *path)
{
    program->raises_rights = true;
    return refuse(program, PROGRAM_UNSEALABLE, format, path);
}

/* The dynamic linker ignores LD_PRELOAD in a program that runs with other rights than its caller's
 * (ld.so(8)). */
static bool check_rights(struct program *program, const char *path, int fd, const struct stat *st)
{
    if (program->exact && (sys_getuid() != sys_geteuid() || sys_getgid() != sys_getegid()))
        return refuse(program, PROGRAM_UNSEALABLE,
                      "%s would run with two users' rights: nothing can be preloaded into it", path);
    if (program->exact && asks_for_domain())
        return refuse_rights(
            program, "%s is to run in another security domain: nothing may be preloaded into it", path);
    if (program->exact && sys_call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0) == 1)
        return true; /* what the file says of rights does nothing then */
    if (changes_user(program, st))
        return refuse_rights(program, "%s is set-user-ID: nothing can be preloaded into it", path);
    if (changes_group(program, st))
        return refuse_rights(program, "%s is set-group-ID: nothing can be preloaded into it", path);
    if (has_capabilities(program, fd))
        return refuse_rights(program, "%s has file capabilities: nothing can be preloaded into it", path);
    return true;
}

/* Gives the first program header of this type, or NULL. `header` holds the start of the file, `len` bytes of
 * it. */
static const Elf64_Phdr *find_segment(const unsigned char *header, size_t len, unsigned type, size_t from)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)header;
    for (size_t i = from; i < elf->e_phnum; i++) {
        size_t offset = elf->e_phoff + i * sizeof(Elf64_Phdr);
        if (elf->e_phentsize != sizeof(Elf64_Phdr) || elf->e_phoff % 8 != 0 ||
            offset + sizeof(Elf64_Phdr) > len)
            return NULL;
        const Elf64_Phdr *segment = (const Elf64_Phdr *)(const void *)(header + offset);
        if (segment->p_type == type)
            return segment;
    }
    return NULL;
}

static size_t segment_index(const unsigned char *header, const Elf64_Phdr *segment)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)header;
    return ((size_t)((const unsigned char *)segment - header) - elf->e_phoff) / sizeof *segment;
}

/* Reads from the file, of whose start `header` holds `len` bytes. False at its end. */
static bool read_at(int fd, const unsigned char *header, size_t len, size_t offset, void *out, size_t size)
{
    if (offset < len && size <= len - offset) {
        memcpy(out, header + offset, size);
        return true;
    }
    return sys_pread(fd, out, size, (long)offset) == (long)size;
}

/* Go's linker leaves a note with the owner "Go" (cmd/link: .note.go.buildid). */
static bool has_go_note(int fd, const unsigned char *header, size_t len, const Elf64_Phdr *segment)
{
    const size_t end = segment->p_filesz < NOTES_LEN ? segment->p_filesz : NOTES_LEN;
    struct {
        Elf64_Nhdr note;
        char name[2];
    } start;
    for (size_t at = 0; at + sizeof start.note + sizeof start.name <= end;) {
        if (!read_at(fd, header, len, segment->p_offset + at, &start, sizeof start.note + sizeof start.name))
            return false;
        if (start.note.n_namesz >= sizeof start.name && memcmp(start.name, "Go", sizeof start.name) == 0)
            return true;
        at += sizeof start.note + (((size_t)start.note.n_namesz + 3) & ~(size_t)3) +
              (((size_t)start.note.n_descsz + 3) & ~(size_t)3);
    }
    return false;
}

static bool is_go(int fd, const unsigned char *header, size_t len)
{
    const Elf64_Phdr *segment = find_segment(header, len, PT_NOTE, 0);
    while (segment) {
        if (has_go_note(fd, header, len, segment))
            return true;
        segment = find_segment(header, len, PT_NOTE, segment_index(header, segment) + 1);
    }
    return false;
}

/* glibc's dynamic linkers are all called ld-linux-something. */
static bool is_dynamic_linker(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, "ld-linux", 8) == 0;
}

/* Whether the file says that it is one, by its DT_SONAME: a name can be given to any. Its addresses are
 * places in the file up to there. */
static bool says_linker(int fd, const unsigned char *header, size_t len)
{
    enum { ENTRIES = 64 };
    Elf64_Dyn entries[ENTRIES];
    char name[32] = "";
    Elf64_Addr strings = 0, at = 0;
    const Elf64_Phdr *segment = find_segment(header, len, PT_DYNAMIC, 0);
    long got = segment ? sys_pread(fd, entries, sizeof entries, (long)segment->p_offset) : 0;
    for (size_t i = 0; got > 0 && i < (size_t)got / sizeof entries[0] && entries[i].d_tag != DT_NULL; i++) {
        if (entries[i].d_tag == DT_STRTAB)
            strings = entries[i].d_un.d_ptr;
        if (entries[i].d_tag == DT_SONAME)
            at = entries[i].d_un.d_val;
    }
    return strings && at && sys_pread(fd, name, sizeof name - 1, (long)(strings + at)) > 0 &&
           is_dynamic_linker(name);
}

/* The library needs glibc. */
static bool check_interpreter(struct program *program, const char *path, int fd, const Elf64_Phdr *segment)
{
    char interpreter[256] = "";
    size_t len = segment->p_filesz < sizeof interpreter ? segment->p_filesz : sizeof interpreter - 1;
    if (sys_pread(fd, interpreter, len, (long)segment->p_offset) != (long)len)
        return refuse(program, PROGRAM_UNSEALABLE, "%s cannot be read", path);
    if (!is_dynamic_linker(interpreter))
        return refuse(program, PROGRAM_UNSEALABLE,
                      "%s is for another C library than glibc (its loader is %s)", path, interpreter);
    return true;
}

static bool check_elf(struct program *program, const char *path, int fd, const unsigned char *header,
                      size_t len)
{
    if (len < sizeof(Elf64_Ehdr) || !program_is_native(header))
        return refuse(program, PROGRAM_UNSEALABLE, "%s is for another architecture than libsockseal.so",
                      path);
    const Elf64_Phdr *interpreter = find_segment(header, len, PT_INTERP, 0);
    program->is_linker = !interpreter && says_linker(fd, header, len);
    if (program->is_linker)
        return true;
    if (!interpreter)
        return refuse(
            program, PROGRAM_UNSEALABLE,
            "%s is linked statically: nothing can be preloaded into it, its traffic would go in the clear",
            path);
    if (is_go(fd, header, len))
        return refuse(
            program, PROGRAM_UNSEALABLE,
            "%s is a Go program: it calls the kernel past the C library, its traffic would go in the clear",
            path);
    return check_interpreter(program, path, fd, interpreter);
}

static bool check_file(struct program *program, long directory, const char *path, int depth);

/* The program that runs is the one behind "#!". */
static bool check_script(struct program *program, const char *path, char *header, int depth)
{
    char *interpreter = header + 2 + strspn(header + 2, " \t");
    interpreter[strcspn(interpreter, " \t\n")] = '\0'; /* a carriage return is a part of the name */
    if (depth == SCRIPT_DEPTH_MAX || *interpreter == '\0')
        return refuse(program, PROGRAM_UNUSABLE, "%s: the interpreter behind '#!' is not usable", path);
    if (!check_file(program, SYS_AT_FDCWD, interpreter, depth + 1))
        return false;
    return !program->is_linker ||
           refuse(program, PROGRAM_UNSEALABLE, "%s is run by the dynamic linker", path);
}

/* The kernel takes rights from a program, never from a script. */
static bool check_content(struct program *program, const char *path, int fd, const struct stat *st, int depth)
{
    _Alignas(8) char header[HEADER_LEN + 1];
    long got = sys_pread(fd, header, HEADER_LEN, 0);
    if (got < 0)
        return refuse_unread(program, path, (int)-got);
    header[got] = '\0';
    if (got >= SELFMAG && memcmp(header, ELFMAG, SELFMAG) == 0)
        return check_rights(program, path, fd, st) &&
               check_elf(program, path, fd, (const unsigned char *)header, (size_t)got);
    if (got >= 2 && memcmp(header, "#!", 2) == 0)
        return check_script(program, path, header, depth);
    return refuse(program, PROGRAM_UNKNOWN, "%s is neither an ELF program nor a script with '#!'", path);
}

/* Whether execve(2) may run it: by the effective user, and where that cannot be asked, it may. */
static bool may_execute(long directory, const char *path)
{
    return sys_call(SYS_faccessat2, directory, sys_ptr(path), X_OK, AT_EACCESS, 0, 0) != -EACCES;
}

static bool check_file(struct program *program, long directory, const char *path, int depth)
{
    struct stat st;
    long error = sys_call(SYS_newfstatat, directory, sys_ptr(path), sys_ptr(&st), 0, 0, 0);
    if (error < 0)
        return refuse_error(program, path, (int)-error);
    if (!S_ISREG(st.st_mode) || !may_execute(directory, path))
        return refuse(program, PROGRAM_UNUSABLE, "%s is not an executable file", path);
    int fd = (int)sys_call(SYS_openat, directory, sys_ptr(path), O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return check_rights(program, path, -1, &st) && refuse_unread(program, path, -fd);
    bool good = check_content(program, path, fd, &st, depth);
    sys_close(fd);
    return good;
}

void program_check(struct program *program, int directory, const char *path, bool exact)
{
    program->verdict = PROGRAM_GOOD;
    program->exact = exact;
    program->raises_rights = program->is_linker = program->is_audited = false;
    program->reason[0] = '\0';
    check_file(program, directory, path, 0);
}

/* Options of the dynamic linker's that are followed by a value. */
static bool has_value(const char *option)
{
    static const char *const options[] = {"--library-path",     "--inhibit-rpath", "--audit",
                                          "--preload",          "--argv0",         "--glibc-hwcaps-prepend",
                                          "--glibc-hwcaps-mask"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(option, options[i]) == 0)
            return true;
    }
    return false;
}

void program_refuse_audited(struct program *program, const char *path)
{
    program->is_audited = true;
    refuse(
        program, PROGRAM_UNSEALABLE,
        "%s is to be audited (LD_AUDIT, --audit): what watches it has a C library of its own, whose sockets "
        "cannot be sealed",
        path);
}

void program_check_loaded(struct program *program, char *const argv[])
{
    if (program->verdict != PROGRAM_GOOD || !program->is_linker || !argv || !argv[0])
        return;
    char *const *word = argv + 1;
    bool audited = false;
    for (; *word && strncmp(*word, "--", 2) == 0; word += has_value(*word) && word[1] ? 2 : 1)
        audited |= strcmp(*word, "--audit") == 0;
    if (!*word) /* it says what it is asked for */
        return;
    if (audited) {
        program_refuse_audited(program, *word);
        return;
    }
    const bool exact = program->exact;
    if (strchr(*word, '/'))
        program_check(program, SYS_AT_FDCWD, *word, exact);
    else /* it is searched for as a library */
        refuse(program, PROGRAM_UNSEALABLE, "%s is loaded by the dynamic linker from where is not known",
               *word);
    if (program->verdict == PROGRAM_GOOD && program->is_linker)
        refuse(program, PROGRAM_UNSEALABLE, "%s loads another program", *word);
    if (program->verdict != PROGRAM_GOOD)
        program->verdict = PROGRAM_UNSEALABLE;
}

bool program_is_native(const unsigned char header[static PROGRAM_HEADER])
{
    uint16_t machine;
    memcpy(&machine, header + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
    return memcmp(header, ELFMAG, SELFMAG) == 0 && header[EI_CLASS] == ELFCLASS64 && machine == OWN_MACHINE;
}
