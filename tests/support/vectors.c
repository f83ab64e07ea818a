/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 65536 };

static char text[TEXT_MAX];

void vectors_open(const char *file)
{
    /* Relative to this source file, so that the tests run from any directory the compiler was run in. */
    char path[512];
    const char *slash = strrchr(__FILE__, '/');
    int directory = slash == NULL ? 0 : (int)(slash - __FILE__ + 1);
    snprintf(path, sizeof path, "%.*s../vectors/%s", directory, __FILE__, file);
    FILE *stream = fopen(path, "r");
    if (stream == NULL)
        fail_msg("%s cannot be opened", path);
    size_t len = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    assert_in_range(len, 1, sizeof text - 2);
    text[len] = '\0';
}

/* The text after "NAME = " at the start of a line, or NULL. */
static const char *find(const char *name)
{
    size_t len = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && strncmp(line + len, " =", 2) == 0)
            return line + len + 2;
    }
    return NULL;
}

bool vectors_has(const char *name)
{
    return find(name) != NULL;
}

static unsigned digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    assert_in_range(c, 'a', 'f');
    return (unsigned)(c - 'a' + 10);
}

const struct vector *vectors_get(const char *name)
{
    static struct vector ring[8];
    static unsigned turn;
    struct vector *vector = &ring[turn++ % 8];
    const char *hex = find(name);
    if (hex == NULL)
        fail_msg("no vector is named %s", name);
    hex += strspn(hex, " ");
    size_t digits = strcspn(hex, "\n");
    assert_int_equal(digits % 2, 0);
    assert_in_range(digits / 2, 0, VECTOR_MAX);
    vector->len = digits / 2;
    for (size_t i = 0; i < vector->len; i++)
        vector->data[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return vector;
}

const struct vector *vectors_case(int number, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%d.%s", number, name);
    return vectors_get(full);
}
