/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * What newer headers make of calls here and in libsodium, and an older glibc does not export: fstat was
 * inline code before 2.33, and from 2.38 on strtol(3) and its kin are called by other names, for binary
 * numbers. The linker takes these, which stay within this object (-fvisibility=hidden).
 */

#include <errno.h>
#include <sys/stat.h>

#include "sys/file.h"

int fstat(int fd, struct stat *out)
{
    int result = sys_fstat(fd, out);
    if (result == 0)
        return 0;
    errno = -result;
    return -1;
}

/* The functions by their first names, whatever the headers say. */
long first_strtol(const char *text, char **end, int base) __asm__("strtol");
unsigned long first_strtoul(const char *text, char **end, int base) __asm__("strtoul");
unsigned long long first_strtoull(const char *text, char **end, int base) __asm__("strtoull");

long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
unsigned long long __isoc23_strtoull(const char *text, char **end, int base);

long __isoc23_strtol(const char *text, char **end, int base)
{
    return first_strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
    return first_strtoul(text, end, base);
}

unsigned long long __isoc23_strtoull(const char *text, char **end, int base)
{
    return first_strtoull(text, end, base);
}
