/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Preloaded behind the library: its name for the function by which streams read is not what stands in libc's
 * tables, as it would be with a C library that the library does not know. */

#include <stdio.h>

__attribute__((visibility("default"))) ssize_t _IO_file_read(FILE *stream, void *buffer, ssize_t len);

ssize_t _IO_file_read(FILE *stream, void *buffer, ssize_t len)
{
    (void)stream, (void)buffer, (void)len;
    return -1;
}
