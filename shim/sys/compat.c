/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What libsodium calls, and glibc before 2.33 does not export: the headers had it as inline code. It stays
 * within this object (-fvisibility=hidden). */

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
