/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A library for loading_test.c that uses a socket as any other would. */

#include <unistd.h>

__attribute__((visibility("default"))) ssize_t plugin_write(int fd, const void *data, size_t len);

ssize_t plugin_write(int fd, const void *data, size_t len)
{
    return write(fd, data, len);
}
