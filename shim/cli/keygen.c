/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/keyline.h"
#include "cli/message.h"
#include "cli/option.h"
#include "config/keyfile.h"
#include "crypto/secret.h"
#include "sys/file.h"

enum { OPTION_PAIR = 256, OPTION_APPEND };

struct request {
    const char *output; /* NULL: standard output */
    size_t bytes;
    bool pair;
    bool append;
    bool help;
    char **identities;
    size_t count;
};

static bool parse_bytes(const char *text, size_t *bytes)
{
    size_t value = 0, digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && value <= KEYFILE_KEY_MAX; i++)
        value = value * 10 + (size_t)(text[i] - '0');
    if (text[digits] != '\0' || value < KEYFILE_KEY_MIN || value > KEYFILE_KEY_MAX) {
        message_error("'%s': a key has 16 to 64 bytes", text);
        return false;
    }
    *bytes = value;
    return true;
}

static bool read_options(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"bytes", required_argument, NULL, 'b'},
        {"pair", no_argument, NULL, OPTION_PAIR}, {"append", no_argument, NULL, OPTION_APPEND},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int option;
    while ((option = option_next(argc, argv, ":o:b:h", options)) != -1) {
        if (option == 'o')
            request->output = optarg;
        else if (option == 'h')
            request->help = true;
        else if (option == OPTION_PAIR)
            request->pair = true;
        else if (option == OPTION_APPEND)
            request->append = true;
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
    if (request->pair && (request->count != 2 || request->append)) {
        message_error("--pair takes the names of two machines, and makes new files");
        return false;
    }
    if (request->append && !request->output) {
        message_error("--append needs -o FILE");
        return false;
    }
    if (request->count > KEYFILE_KEYS_MAX) {
        message_error("at most 4096 identities");
        return false;
    }
    for (size_t i = 0; i < request->count && !request->pair; i++) {
        if (!keyline_check_identity(request->identities[i]))
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(request->identities[i], request->identities[j]) == 0) {
                message_error("'%s' is named twice", request->identities[i]);
                return false;
            }
    }
    return true;
}

/* Where keys are written to. */
struct target {
    int fd;
    bool made;        /* by this call */
    const char *name; /* for messages */
};

static bool complain(const struct target *target, const char *what)
{
    message_error("%s: %s", target->name, what);
    return false;
}

/* A file with keys, to which more are added: its last line gets its end, and no identity comes twice. */
static bool prepare_existing(const struct target *target, char *const *identities, size_t count)
{
    static char text[KEYFILE_SIZE_MAX + 1];
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", target->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : pread(fd, text, sizeof text, 0);
    int error = errno;
    if (fd >= 0)
        close(fd);
    const char *twice = len > 0 ? keyline_find_identity(text, (size_t)len, identities, count) : NULL;
    bool unfinished = len > 0 && text[len - 1] != '\n';
    secret_wipe(text, sizeof text);
    if (len < 0)
        return complain(target, strerror(error));
    if ((size_t)len == sizeof text)
        return complain(target, "it is longer than 1 MiB");
    if (twice) {
        message_error("%s: it has a key for '%s' already, and is left as it is", target->name, twice);
        return false;
    }
    return !unfinished || write(target->fd, "\n", 1) == 1 || complain(target, strerror(errno));
}

/* Standard output may be a file, by the shell's > or >>. */
static bool prepare_standard_output(const struct target *target, char *const *identities, size_t count)
{
    struct stat st;
    if (sys_fstat(target->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return true;
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        message_error(
            "warning: standard output is a file that others may read (mode %04o), and will be refused as a "
            "key file; use -o FILE, or chmod 600",
            st.st_mode & 07777u);
    return st.st_size == 0 || prepare_existing(target, identities, count);
}

/* A new file: to overwrite a key file is to lock out everybody who has the old one. */
static bool open_new(struct target *target, const char *file)
{
    *target = (struct target){open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), true, file};
    if (target->fd >= 0)
        return true;
    return complain(target, errno == EEXIST ? "exists already and is left as it is (--append adds to it)"
                                            : strerror(errno));
}

static bool open_target(struct target *target, const struct request *request)
{
    if (!request->output) {
        *target = (struct target){STDOUT_FILENO, false, "standard output"};
        return prepare_standard_output(target, request->identities, request->count);
    }
    if (!request->append || access(request->output, F_OK) != 0)
        return open_new(target, request->output);
    *target = (struct target){open(request->output, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW), false,
                              request->output};
    if (target->fd < 0)
        return complain(target, strerror(errno));
    return prepare_existing(target, request->identities, request->count);
}

/* Gives the exit status. */
static int close_target(const struct target *target, bool good)
{
    int error = errno;
    if (target->fd != STDOUT_FILENO) {
        good = good && fsync(target->fd) == 0;
        error = good ? error : errno;
        close(target->fd);
    }
    if (good)
        return 0;
    if (target->made)
        unlink(target->name);
    complain(target, strerror(error));
    return CLI_FAILED;
}

/* What the user does next. Standard output may be the key file, and a script's. */
static void say_next(const struct request *request)
{
    if (request->output)
        printf("copy %s to the other machine, by ssh for example, and run there and here:\n"
               "    sockseal -p PORT -k %s PROGRAM\n",
               request->output, request->output);
}

static int write_keys(const struct request *request)
{
    struct target target;
    bool good = true;
    if (!open_target(&target, request))
        return CLI_FAILED;
    for (size_t i = 0; good && i < request->count; i++) {
        struct keyline line;
        good = keyline_make(&line, request->identities[i], request->bytes) &&
               keyline_write(target.fd, &line, "");
        if (good && request->output)
            printf("%s: fingerprint %s\n", line.identity, line.fingerprint);
        else if (good && isatty(STDERR_FILENO))
            message_error("%s: fingerprint %s", line.identity, line.fingerprint);
        keyline_wipe(&line);
    }
    int status = close_target(&target, good);
    if (status == 0)
        say_next(request);
    return status;
}

/* ---- --pair ---- */

/* One of the two machines: "NAME" or "NAME=ADDRESS". */
struct machine {
    char name[TLS_IDENTITY_MAX + 1];
    char place[64]; /* ":ADDRESS" as a rule has it, or "" */
};

static bool parse_machine(struct machine *machine, const char *text)
{
    const char *equals = strchrnul(text, '=');
    size_t len = (size_t)(equals - text);
    machine->place[0] = '\0';
    snprintf(machine->name, sizeof machine->name, "%.*s", (int)len, text);
    if (len >= sizeof machine->name || !keyline_check_identity(machine->name))
        return false;
    if (strchr(machine->name, '/')) {
        message_error("'%s': not usable in the name of a file", machine->name);
        return false;
    }
    if (*equals == '\0')
        return true;
    const char *format = strchr(equals, ':') && equals[1] != '[' ? ":[%s]" : ":%s";
    int need = snprintf(machine->place, sizeof machine->place, format, equals + 1);
    struct rule_span rule = {machine->place + 1, strlen(machine->place + 1)};
    struct rule parsed;
    if (need > 0 && (size_t)need < sizeof machine->place && !rule_parse(&parsed, rule, true) && parsed.family)
        return true;
    message_error("'%s': not an address", equals + 1);
    return false;
}

/* The two lines for one machine: it connects with the first key, and takes the second one from the other. */
static bool write_side(int fd, const struct keyline *out, const struct keyline *in,
                       const struct machine *other)
{
    char connect[80], listen[80];
    snprintf(connect, sizeof connect, " connect%s", other->place);
    snprintf(listen, sizeof listen, " listen%s", other->place);
    return keyline_write(fd, out, connect) && keyline_write(fd, in, listen);
}

static bool write_heading(const struct machine *machine)
{
    char text[TLS_IDENTITY_MAX + 40];
    int len = snprintf(text, sizeof text, "# the key file of %s\n", machine->name);
    return write(STDOUT_FILENO, text, (size_t)len) == len;
}

/* A key file for each machine, in the directory or one behind the other on standard output. */
static int write_pair_files(const char *directory, const struct machine machines[2],
                            const struct keyline lines[2])
{
    for (size_t i = 0; i < 2; i++) {
        char file[PATH_MAX];
        struct target target = {STDOUT_FILENO, false, "standard output"};
        int need = snprintf(file, sizeof file, "%s/%s.keys", directory ? directory : "", machines[i].name);
        if (need < 0 || (size_t)need >= sizeof file) {
            message_error("%s: the name is too long", machines[i].name);
            return CLI_USAGE;
        }
        if (directory && !open_new(&target, file))
            return CLI_FAILED;
        bool good = (directory || write_heading(&machines[i])) &&
                    write_side(target.fd, &lines[i], &lines[1 - i], &machines[1 - i]);
        int status = close_target(&target, good);
        if (status != 0)
            return status;
        if (directory)
            printf("%s: for %s\n", file, machines[i].name);
    }
    return 0;
}

static bool make_directory(const char *directory)
{
    if (mkdir(directory, 0700) == 0 || errno == EEXIST)
        return true;
    message_error("%s: %s", directory, strerror(errno));
    return false;
}

/* One key for each direction, so that no side can be made to talk to itself (RFC 9257, 4.1; eprint
 * 2019/347). */
static int write_pair(const struct request *request)
{
    struct machine machines[2];
    struct keyline lines[2];
    if (!parse_machine(&machines[0], request->identities[0]) ||
        !parse_machine(&machines[1], request->identities[1]))
        return CLI_USAGE;
    if (strcmp(machines[0].name, machines[1].name) == 0) {
        message_error("'%s' is named twice", machines[0].name);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < 2; i++) {
        char identity[2 * sizeof(struct machine) + 8];
        snprintf(identity, sizeof identity, "%s-to-%s", machines[i].name, machines[1 - i].name);
        if (!keyline_check_identity(identity))
            return CLI_USAGE;
        if (!keyline_make(&lines[i], identity, request->bytes))
            return CLI_FAILED;
    }
    int status = CLI_FAILED;
    if (!request->output || make_directory(request->output))
        status = write_pair_files(request->output, machines, lines);
    for (size_t i = 0; i < 2; i++) {
        if (status == 0 && request->output)
            printf("%s: fingerprint %s\n", lines[i].identity, lines[i].fingerprint);
        keyline_wipe(&lines[i]);
    }
    return status;
}

int keygen_main(int argc, char **argv)
{
    static char default_identity[] = "sockseal", *default_identities[] = {default_identity};
    struct request request = {.bytes = KEYFILE_KEY_GENERATED, .identities = default_identities, .count = 1};
    if (!read_options(argc, argv, &request))
        return CLI_USAGE;
    if (request.help)
        return help_print("keygen");
    if (!check_request(&request))
        return CLI_USAGE;
    if (!secret_init()) {
        message_error("libsodium cannot be used on this machine");
        return CLI_FAILED;
    }
    return request.pair ? write_pair(&request) : write_keys(&request);
}
