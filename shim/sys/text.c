/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/text.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#include "sys/lookup.h"

typedef const char *describe(int number);

/* By the function of glibc 2.32 and later, or from the table that was exported before. */
static const char *text_of(int number, int end, const char *function, const char *table)
{
    describe *call = NULL;
    const char *const *texts = NULL;
    void *symbol = lookup_next(function);
    memcpy(&call, &symbol, sizeof symbol);
    if (call)
        return call(number);
    texts = lookup_next(table);
    return texts && number >= 0 && number < end ? texts[number] : NULL;
}

const char *text_of_error(int error)
{
    const int *end = lookup_next("_sys_nerr");
    return text_of(error, end ? *end : 0, "strerrordesc_np", "_sys_errlist");
}

const char *text_of_signal(int signal)
{
    return text_of(signal, NSIG, "sigdescr_np", "_sys_siglist");
}

bool text_take_number(const char **at, int *number)
{
    const char *from = *at + strspn(*at, " \t\n");
    bool negative = *from == '-';
    long value = 0;
    from += negative;
    if (*from < '0' || *from > '9')
        return false;
    for (; *from >= '0' && *from <= '9'; from++) {
        value = value * 10 + (*from - '0');
        if (value > INT_MAX)
            return false;
    }
    *number = (int)(negative ? -value : value);
    *at = from;
    return true;
}
