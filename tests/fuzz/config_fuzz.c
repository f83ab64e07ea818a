/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A configuration file, which becomes variables, and the reading of these. Faults are counted and said, each
 * in one line without control characters; what is taken keeps within its bounds. */

#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/configuration.h"
#include "cli/message.h"
#include "config/config.h"
#include "config/variables.h"
#include "diag/log.h"
#include "harness.h"

const unsigned harness_runs = 4000;

static void take_line(enum log_level level, const char *text)
{
    (void)level;
    REQUIRE(strlen(text) < 4096);
    for (; *text; text++)
        REQUIRE((unsigned char)*text >= ' ' && *text != 0x7f);
}

/* In cli/message.c's place, which prints it. */
void message_error(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    REQUIRE(vsnprintf(text, sizeof text, format, arguments) > 0);
    va_end(arguments);
}

/* The file's name: it is made once and overwritten. */
static const char *write_file(const uint8_t *data, size_t size)
{
    static char name[64];
    static int fd = -1;
    if (fd < 0) {
        snprintf(name, sizeof name, "/tmp/sockseal-fuzz-%d-XXXXXX", (int)getpid());
        fd = mkstemp(name);
        REQUIRE(fd >= 0);
    }
    REQUIRE(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return name;
}

static void remove_file(void)
{
    unlink(write_file((const uint8_t *)"", 0));
}

static void check(const struct config *config)
{
    REQUIRE(config->suite_count <= CONFIG_SUITES_MAX && config->group_count <= TLS_GROUPS_MAX);
    REQUIRE(config->identity_count <= TLS_OFFERED_PSKS_MAX && config->rules.count <= RULES_MAX);
    for (size_t i = 0; i < config->identity_count; i++)
        REQUIRE(strlen(config->identities[i]) <= TLS_IDENTITY_MAX);
    REQUIRE(config->handshake_timeout_ms >= 1000 && config->handshake_timeout_ms <= 3600 * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool prepared;
    if (!prepared) {
        prepared = true;
        log_divert(take_line);
        atexit(remove_file);
    }
    for (int i = 0; i < VARIABLES_COUNT; i++)
        unsetenv(variables_names[i]);
    if (!configuration_read(write_file(data, size), size & 1 ? "/usr/bin/nginx" : NULL))
        return 0;
    const char *ports = getenv(variables_names[VARIABLES_PORTS]);
    unsigned before = config_examine();
    if (ports && *ports && config_examine() == before)
        check(config_get());
    return 0;
}
