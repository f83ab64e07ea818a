/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "guarded.h"

#include <sys/mman.h>

char *guarded(size_t size)
{
    char *memory = mmap(NULL, size + 2 * GUARDED_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + GUARDED_PAGE, size, PROT_READ | PROT_WRITE), 0);
    return memory + GUARDED_PAGE;
}

void guarded_free(char *memory, size_t size)
{
    munmap(memory - GUARDED_PAGE, size + 2 * GUARDED_PAGE);
}
