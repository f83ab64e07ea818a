/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/configuration.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/message.h"
#include "config/variables.h"
#include "sys/file.h"

static const char prefix[] = "SOCKSEAL_";

/* What is known while a file is read. */
struct reading {
    const char *file;
    const char *program; /* without directories, or NULL */
    unsigned line;
    enum { GENERAL, FOR_PROGRAM, FOR_OTHERS } section;
    char *values[2][VARIABLES_COUNT]; /* of GENERAL and FOR_PROGRAM; NULL: not said */
};

static bool refuse(const struct reading *reading, const char *what, const char *word)
{
    message_error("%s, line %u: %s%s%s%s", reading->file, reading->line, *word ? "'" : "", word,
                  *word ? "': " : "", what);
    return false;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    for (size_t len = strlen(text); len > 0 && strchr(" \t\r\n", text[len - 1]); len--)
        text[len - 1] = '\0';
    return text;
}

/* "[program NAME]" */
static bool read_section(struct reading *reading, char *line)
{
    static const char word[] = "[program";
    size_t len = strlen(line);
    if (line[len - 1] != ']' || strncmp(line, word, sizeof word - 1) != 0 ||
        !strchr(" \t", line[sizeof word - 1]))
        return refuse(reading, "expected [program NAME]", line);
    line[len - 1] = '\0';
    const char *name = trim(line + sizeof word - 1);
    reading->section = reading->program && strcmp(name, reading->program) == 0 ? FOR_PROGRAM : FOR_OTHERS;
    return *name || refuse(reading, "expected [program NAME]", line);
}

/* Gives the index of the variable, or -1 after a message. */
static int find_variable(const struct reading *reading, const char *name)
{
    char entry[64], *entries[] = {entry, NULL}, *const *at = entries;
    struct variables_unknown unknown;
    snprintf(entry, sizeof entry, "%s%s", prefix, name);
    for (char *c = entry; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    for (int i = 0; i < VARIABLES_COUNT; i++)
        if (strcmp(variables_names[i], entry) == 0)
            return i;
    char likely[64] = "there is no such setting";
    if (variables_next_unknown(&at, &unknown) && unknown.likely) {
        size_t said = (size_t)snprintf(likely, sizeof likely, "no such setting; did you mean %s?",
                                       unknown.likely + sizeof prefix - 1);
        for (size_t i = strlen("no such setting; did you mean "); i < said && i < sizeof likely - 1; i++)
            likely[i] = (char)tolower((unsigned char)likely[i]);
    }
    refuse(reading, likely, name);
    return -1;
}

static bool names_file(const char *variable)
{
    size_t len = strlen(variable), end = strlen("_FILE");
    return len > end && strcmp(variable + len - end, "_FILE") == 0;
}

/* A copy of the value; the name of a file as it is from the configuration file's directory. */
static char *copy_value(const struct reading *reading, const char *variable, const char *value)
{
    char *copy = NULL;
    const char *slash = strrchr(reading->file, '/');
    if (!names_file(variable) || *value == '/' || *value == '\0' || !slash)
        return strdup(value);
    return asprintf(&copy, "%.*s/%s", (int)(slash - reading->file), reading->file, value) < 0 ? NULL : copy;
}

static bool read_setting(struct reading *reading, char *line)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return refuse(reading, "expected name = value", line);
    *equals = '\0';
    int index = find_variable(reading, trim(line));
    if (index < 0)
        return false;
    if (reading->section == FOR_OTHERS)
        return true;
    char **place = &reading->values[reading->section == FOR_PROGRAM][index];
    if (*place)
        return refuse(reading, "it is said twice", trim(line));
    *place = copy_value(reading, variables_names[index], trim(equals + 1));
    return *place || refuse(reading, strerror(errno), "");
}

static bool read_line(struct reading *reading, char *line)
{
    line = trim(line);
    reading->line++;
    if (*line == '\0' || *line == '#')
        return true;
    return *line == '[' ? read_section(reading, line) : read_setting(reading, line);
}

/* Makes variables of what was said, and gives the memory back. */
static bool use(struct reading *reading, bool good)
{
    for (int i = 0; i < VARIABLES_COUNT; i++) {
        const char *value = reading->values[1][i] ? reading->values[1][i] : reading->values[0][i];
        if (good && value && setenv(variables_names[i], value, 0) != 0)
            good = false;
        free(reading->values[0][i]);
        free(reading->values[1][i]);
    }
    return good;
}

/* Somebody else's words must not decide what this user's programs do. */
static bool check_owner(const char *file, FILE *stream)
{
    struct stat st;
    if (sys_fstat(fileno(stream), &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
        (st.st_uid == 0 || st.st_uid == geteuid()))
        return true;
    message_error(
        "%s: not used, since it is not a file of this user's or root's that nobody else can write to", file);
    return false;
}

static bool read_stream(const char *file, const char *program, FILE *stream)
{
    const char *slash = program ? strrchr(program, '/') : NULL;
    struct reading reading = {.file = file, .program = slash ? slash + 1 : program};
    char *line = NULL;
    size_t size = 0;
    bool good = check_owner(file, stream);
    while (good && getline(&line, &size, stream) >= 0)
        good = read_line(&reading, line);
    if (good && ferror(stream)) {
        message_error("%s: %s", file, strerror(errno));
        good = false;
    }
    free(line);
    return use(&reading, good);
}

/* `needed`: it must be there. */
static bool read_file(const char *file, const char *program, bool needed)
{
    FILE *stream = fopen(file, "re");
    if (!stream) {
        if (!needed && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
            return true;
        message_error("%s: %s", file, strerror(errno));
        return false;
    }
    bool good = read_stream(file, program, stream);
    fclose(stream);
    return good;
}

bool configuration_read(const char *file, const char *program)
{
    char absolute[PATH_MAX];
    if (!realpath(file, absolute)) {
        message_error("%s: %s", file, strerror(errno));
        return false;
    }
    return read_file(absolute, program, true);
}

bool configuration_read_usual(const char *program)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char file[PATH_MAX] = "";
    if (base && *base == '/')
        snprintf(file, sizeof file, "%s/sockseal/config", base);
    else if (home && *home == '/')
        snprintf(file, sizeof file, "%s/.config/sockseal/config", home);
    return (!*file || read_file(file, program, false)) && read_file("/etc/sockseal/config", program, false);
}
