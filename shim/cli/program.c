/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Which programs the dynamic linker would load the shim into, and which would run on unsealed without a word.
 */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/cli.h"

enum { SCRIPT_DEPTH_MAX = 5, HEADER_LEN = 4096, NOTES_LEN = 4096 };

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#endif

static __attribute__((format(printf, 3, 4))) bool refuse(struct program *program, int status,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(program->reason, sizeof program->reason, format, arguments);
    va_end(arguments);
    program->status = status;
    return false;
}

/* The dynamic linker ignores LD_PRELOAD in a program that runs with other rights than its caller's
 * (ld.so(8)). */
static bool check_rights(struct program *program, const char *path, const struct stat *st)
{
    if (st->st_mode & S_ISUID)
        return refuse(program, CLI_CANNOT_INVOKE, "%s is set-user-ID: nothing can be preloaded into it",
                      path);
    if ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP))
        return refuse(program, CLI_CANNOT_INVOKE, "%s is set-group-ID: nothing can be preloaded into it",
                      path);
    if (getxattr(path, "security.capability", NULL, 0) > 0)
        return refuse(program, CLI_CANNOT_INVOKE,
                      "%s has file capabilities: nothing can be preloaded into it", path);
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

/* Go's linker leaves a note with the owner "Go" (cmd/link: .note.go.buildid). */
static bool has_go_note(int fd, const Elf64_Phdr *segment)
{
    _Alignas(4) unsigned char notes[NOTES_LEN];
    ssize_t got = pread(fd, notes, segment->p_filesz < sizeof notes ? segment->p_filesz : sizeof notes,
                        (off_t)segment->p_offset);
    size_t len = got > 0 ? (size_t)got : 0;
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= len;) {
        Elf64_Nhdr note;
        memcpy(&note, notes + at, sizeof note);
        const unsigned char *name = notes + at + sizeof note;
        if (note.n_namesz >= 2 && at + sizeof note + 2 <= len && memcmp(name, "Go", 2) == 0)
            return true;
        at += sizeof note + (((size_t)note.n_namesz + 3) & ~(size_t)3) +
              (((size_t)note.n_descsz + 3) & ~(size_t)3);
    }
    return false;
}

static bool is_go(int fd, const unsigned char *header, size_t len)
{
    const Elf64_Phdr *segment = find_segment(header, len, PT_NOTE, 0);
    while (segment) {
        if (has_go_note(fd, segment))
            return true;
        segment = find_segment(header, len, PT_NOTE, segment_index(header, segment) + 1);
    }
    return false;
}

/* The shim needs glibc, whose dynamic linkers are all called ld-linux-something. */
static bool check_interpreter(struct program *program, const char *path, int fd, const Elf64_Phdr *segment)
{
    char interpreter[256] = "";
    size_t len = segment->p_filesz < sizeof interpreter ? segment->p_filesz : sizeof interpreter - 1;
    if (pread(fd, interpreter, len, (off_t)segment->p_offset) != (ssize_t)len)
        return refuse(program, CLI_CANNOT_INVOKE, "%s cannot be read", path);
    const char *slash = strrchr(interpreter, '/');
    if (strncmp(slash ? slash + 1 : interpreter, "ld-linux", 8) != 0)
        return refuse(program, CLI_CANNOT_INVOKE, "%s is for another C library than glibc (its loader is %s)",
                      path, interpreter);
    return true;
}

static bool check_elf(struct program *program, const char *path, int fd, const unsigned char *header,
                      size_t len)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)header;
    if (len < sizeof *elf || elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != OWN_MACHINE)
        return refuse(program, CLI_CANNOT_INVOKE, "%s is for another architecture than libsockseal.so", path);
    const Elf64_Phdr *interpreter = find_segment(header, len, PT_INTERP, 0);
    if (!interpreter)
        return refuse(
            program, CLI_CANNOT_INVOKE,
            "%s is linked statically: nothing can be preloaded into it, its traffic would go in the clear",
            path);
    if (is_go(fd, header, len))
        return refuse(
            program, CLI_CANNOT_INVOKE,
            "%s is a Go program: it calls the kernel past the C library, its traffic would go in the clear",
            path);
    return check_interpreter(program, path, fd, interpreter);
}

static bool check_file(struct program *program, const char *path, int depth);

/* The program that runs is the one behind "#!". */
static bool check_script(struct program *program, const char *path, char *header, int depth)
{
    char *interpreter = header + 2 + strspn(header + 2, " \t");
    interpreter[strcspn(interpreter, " \t\r\n")] = '\0';
    if (depth == SCRIPT_DEPTH_MAX || *interpreter == '\0')
        return refuse(program, CLI_CANNOT_INVOKE, "%s: the interpreter behind '#!' is not usable", path);
    return check_file(program, interpreter, depth + 1);
}

static bool check_content(struct program *program, const char *path, int fd, int depth)
{
    _Alignas(8) char header[HEADER_LEN + 1];
    ssize_t got = pread(fd, header, HEADER_LEN, 0);
    if (got < 0)
        return refuse(program, CLI_CANNOT_INVOKE, "%s: %s", path, strerror(errno));
    header[got] = '\0';
    if (got >= SELFMAG && memcmp(header, ELFMAG, SELFMAG) == 0)
        return check_elf(program, path, fd, (const unsigned char *)header, (size_t)got);
    if (got >= 2 && memcmp(header, "#!", 2) == 0)
        return check_script(program, path, header, depth);
    return refuse(program, CLI_CANNOT_INVOKE, "%s is neither an ELF program nor a script with '#!'", path);
}

static bool check_file(struct program *program, const char *path, int depth)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return refuse(program, errno == ENOENT || errno == ENOTDIR ? CLI_NOT_FOUND : CLI_CANNOT_INVOKE,
                      "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
        return refuse(program, CLI_CANNOT_INVOKE, "%s is not an executable file", path);
    if (!check_rights(program, path, &st))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 &&
        errno == EACCES) /* executable but not readable: nothing is known against it, the loader decides */
        return true;
    if (fd < 0)
        return refuse(program, CLI_CANNOT_INVOKE, "%s: %s", path, strerror(errno));
    bool good = check_content(program, path, fd, depth);
    close(fd);
    return good;
}

/* Gives false if `name` is in no directory of PATH. */
static bool search_path(struct program *program, const char *name)
{
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    for (const char *at = path;; at++) {
        size_t len = strcspn(at, ":");
        int need = len == 0 ? snprintf(program->path, sizeof program->path, "./%s", name)
                            : snprintf(program->path, sizeof program->path, "%.*s/%s", (int)len, at, name);
        struct stat st;
        if (need > 0 && (size_t)need < sizeof program->path && stat(program->path, &st) == 0 &&
            S_ISREG(st.st_mode) && access(program->path, X_OK) == 0)
            return true;
        at += len;
        if (*at == '\0')
            return false;
    }
}

void program_find(struct program *program, const char *name)
{
    program->status = 0;
    program->reason[0] = '\0';
    if (strchr(name, '/')) {
        if (strlen(name) >= sizeof program->path) {
            refuse(program, CLI_NOT_FOUND, "%.40s...: the name is too long", name);
            return;
        }
        strcpy(program->path, name);
    } else if (!*name || !search_path(program, name)) {
        refuse(program, CLI_NOT_FOUND, "%s: there is no such program", name);
        return;
    }
    check_file(program, program->path, 0);
}

int check_main(int argc, char **argv)
{
    int status = 0;
    if (argc < 2 || (argv[1][0] == '-' && strcmp(argv[1], "--") != 0)) {
        cli_error("usage: sockseal check PROGRAM...");
        return CLI_USAGE;
    }
    for (int i = strcmp(argv[1], "--") == 0 ? 2 : 1; i < argc; i++) {
        struct program program;
        program_find(&program, argv[i]);
        if (program.status == 0)
            printf("%s: can be sealed\n", argv[i]);
        else
            printf("%s: cannot be sealed: %s\n", argv[i], program.reason);
        if (program.status != 0)
            status = CLI_FAILED;
    }
    return status;
}
