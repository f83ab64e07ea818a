/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

void cli_error(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fputs("sockseal: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
