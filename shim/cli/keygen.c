/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/keyfile.h"

enum { BYTES_DEFAULT = 32, OPTION_PAIR = 256 };

struct request {
    const char *output; /* NULL: standard output */
    size_t bytes;
    bool pair;
    char **identities;
    size_t count;
};

static bool check_identity(const char *identity)
{
    size_t len = strlen(identity);
    if (len == 0 || len > TLS_IDENTITY_MAX || identity[0] == '#') {
        cli_error("'%s': an identity has 1 to 128 bytes and does not start with '#'", identity);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        if (identity[i] == ':' || (unsigned char)identity[i] <= ' ' || identity[i] == 0x7f) {
            cli_error("'%s': an identity holds no colon, no blank and no control character", identity);
            return false;
        }
    return true;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        text += written;
        len -= (size_t)written;
    }
    return true;
}

/* Writes one line with a new key. Not through stdio, whose buffer would keep a copy. */
static bool write_key(int fd, const char *identity, size_t bytes)
{
    unsigned char key[KEYFILE_KEY_MAX];
    char line[TLS_IDENTITY_MAX + 1 + 2 * KEYFILE_KEY_MAX + 2];
    if (getrandom(key, bytes, 0) != (ssize_t)bytes)
        return false;
    size_t len = (size_t)sprintf(line, "%s:", identity);
    for (size_t i = 0; i < bytes; i++) {
        line[len++] = "0123456789abcdef"[key[i] >> 4];
        line[len++] = "0123456789abcdef"[key[i] & 15];
    }
    line[len++] = '\n';
    bool written = write_all(fd, line, len);
    explicit_bzero(key, sizeof key);
    explicit_bzero(line, sizeof line);
    return written;
}

/* Writes the keys to standard output (file == NULL) or to a file that must not be there yet: to overwrite a
 * key file is to lock out everybody who has the old one. */
static int write_keys(const char *file, char *const *identities, size_t count, size_t bytes)
{
    int fd = file ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : STDOUT_FILENO;
    if (fd < 0 && errno == EEXIST) {
        cli_error("%s exists already and is left as it is", file);
        return CLI_FAILED;
    }
    bool good = fd >= 0;
    for (size_t i = 0; good && i < count; i++)
        good = write_key(fd, identities[i], bytes);
    if (good && file)
        good = fsync(fd) == 0;
    int error = errno;
    if (file && fd >= 0) {
        close(fd);
        if (!good)
            unlink(file);
    }
    if (!good)
        cli_error("%s: %s", file ? file : "standard output", strerror(error));
    return good ? 0 : CLI_FAILED;
}

/* One key for each direction, so that no side can be made to talk to itself (RFC 9257, 4.1; eprint 2019/347).
 * In a file each: a program that connects must not accept with the same key. */
static int write_pair(const struct request *request)
{
    for (size_t i = 0; i < 2; i++) {
        char identity[TLS_IDENTITY_MAX * 2 + 8], file[PATH_MAX];
        char *identities[] = {identity};
        snprintf(identity, sizeof identity, "%s-to-%s", request->identities[i], request->identities[1 - i]);
        if (!check_identity(identity))
            return CLI_USAGE;
        int need = snprintf(file, sizeof file, "%s/%s.key", request->output ? request->output : "", identity);
        if (need < 0 || (size_t)need >= sizeof file || strchr(identity, '/')) {
            cli_error("%s: not usable in the name of a file", identity);
            return CLI_USAGE;
        }
        int status = write_keys(request->output ? file : NULL, identities, 1, request->bytes);
        if (status != 0)
            return status;
    }
    return 0;
}

static bool parse_bytes(const char *text, size_t *bytes)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end != '\0' || text[0] < '0' || text[0] > '9' || value < KEYFILE_KEY_MIN ||
        value > KEYFILE_KEY_MAX) {
        cli_error("'%s': a key has 16 to 64 bytes", text);
        return false;
    }
    *bytes = value;
    return true;
}

static bool read_options(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {"pair", no_argument, NULL, OPTION_PAIR},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "o:b:", options, NULL)) != -1) {
        if (option == 'o')
            request->output = optarg;
        else if (option == OPTION_PAIR)
            request->pair = true;
        else if (option != 'b' || !parse_bytes(optarg, &request->bytes))
            return false;
    }
    if (optind < argc) {
        request->identities = argv + optind;
        request->count = (size_t)(argc - optind);
    }
    return true;
}

static bool check_request(const struct request *request)
{
    if (request->pair && request->count != 2) {
        cli_error("--pair takes the names of two machines");
        return false;
    }
    if (request->count > KEYFILE_KEYS_MAX) {
        cli_error("at most 4096 identities");
        return false;
    }
    for (size_t i = 0; i < request->count; i++) {
        if (!check_identity(request->identities[i]))
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(request->identities[i], request->identities[j]) == 0) {
                cli_error("'%s' is named twice", request->identities[i]);
                return false;
            }
    }
    return true;
}

int keygen_main(int argc, char **argv)
{
    static char default_identity[] = "sockseal", *default_identities[] = {default_identity};
    struct request request = {.bytes = BYTES_DEFAULT, .identities = default_identities, .count = 1};
    if (!read_options(argc, argv, &request) || !check_request(&request))
        return CLI_USAGE;
    if (request.pair)
        return write_pair(&request);
    return write_keys(request.output, request.identities, request.count, request.bytes);
}
