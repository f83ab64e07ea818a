/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * A key is changed in two steps on each machine. First the new one is put before the old one: a connecting
 * side offers both, and an accepting one passes over an identity that it does not know, so the machines need
 * not do it at once. When both have it, every new connection uses it, and the old one is taken out, on one
 * machine after the other again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/keyline.h"
#include "cli/keytext.h"
#include "cli/message.h"
#include "cli/option.h"
#include "cli/settings.h"
#include "crypto/secret.h"

enum { OPTION_TAKE = 256, OPTION_FINISH, LINE_MAX_LEN = 4096 };

struct request {
    bool take, finish, help;
    const char *file;
    const char *offered; /* SOCKSEAL_IDENTITY */
    char old[TLS_IDENTITY_MAX + 1];
    char fresh[TLS_IDENTITY_MAX + 16];
};

/* "office" is followed by "office+2", that by "office+3": a name that nobody gives to a machine. */
static void name_successor(struct request *request)
{
    const char *plus = strrchr(request->old, '+');
    size_t base = strlen(request->old);
    unsigned number = 1;
    if (plus && plus[1] >= '1' && plus[1] <= '9' && strlen(plus + 1) <= 6 &&
        plus[1 + strspn(plus + 1, "0123456789")] == '\0') {
        number = (unsigned)atoi(plus + 1);
        base = (size_t)(plus - request->old);
    }
    snprintf(request->fresh, sizeof request->fresh, "%.*s+%u", (int)base, request->old, number + 1);
}

/* Puts "identity:hex", which may have rules of its own behind it, before the old key's line, with that one's
 * rules. */
static bool add_line(const struct keytext *keys, struct rule_span old, const char *identity, const char *hex)
{
    char line[LINE_MAX_LEN];
    struct rule_span rules = keytext_rules(old);
    int need = snprintf(line, sizeof line, "%s:%.*s%.*s\n", identity, (int)strcspn(hex, " \t\r\n"), hex,
                        (int)rules.len, rules.at);
    bool good = need > 0 && (size_t)need < sizeof line && keytext_replace(keys, old, line, true);
    if (need >= (int)sizeof line)
        message_error("%s: the line of '%s' is too long", keys->file, identity);
    secret_wipe(line, sizeof line);
    return good;
}

static void say_next(const struct request *request)
{
    printf(
        "next, if it has not been done, on the other machine, where FILE is its key file:\n"
        "    grep '^%s:' %s | ssh OTHER sockseal rotate --take FILE %s\n"
        "then, when both have it (this machine connects with it: sockseal ping -i %s HOST PORT), on both:\n"
        "    sockseal rotate --finish FILE %s\n",
        request->fresh, request->file, request->old, request->fresh, request->old);
    if (request->offered && *request->offered)
        printf(
            "SOCKSEAL_IDENTITY is set: let it name %s before %s, where programs that connect are started\n",
            request->fresh, request->old);
}

static int begin(const struct request *request, const struct keytext *keys, struct rule_span old)
{
    struct keyline line;
    if (!keyline_check_identity(request->fresh) ||
        !keyline_make(&line, request->fresh, KEYFILE_KEY_GENERATED))
        return CLI_FAILED;
    bool good = add_line(keys, old, line.identity, line.hex);
    if (good) {
        printf("%s has a new key beside that of %s\n%s: fingerprint %s\n", keys->file, request->old,
               line.identity, line.fingerprint);
        say_next(request);
    }
    keyline_wipe(&line);
    return good ? 0 : CLI_FAILED;
}

/* Takes the new key from standard input: a line of the other machine's file. */
static int take(const struct request *request, const struct keytext *keys, struct rule_span old)
{
    char line[LINE_MAX_LEN] = "";
    size_t len = strlen(request->fresh);
    setvbuf(stdin, NULL, _IONBF, 0); /* no copy of the key stays behind */
    bool good =
        fgets(line, sizeof line, stdin) && strncmp(line, request->fresh, len) == 0 && line[len] == ':';
    if (!good)
        message_error("standard input has no line of '%s'", request->fresh);
    good = good && add_line(keys, old, request->fresh, line + len + 1);
    secret_wipe(line, sizeof line);
    if (good)
        printf("%s has the new key of %s beside that of %s\n", keys->file, request->fresh, request->old);
    return good ? 0 : CLI_FAILED;
}

static int finish(const struct request *request, const struct keytext *keys, struct rule_span old, bool begun)
{
    if (!begun) {
        message_error("%s: there is no key of '%s' that could take the place of '%s'", keys->file,
                      request->fresh, request->old);
        return CLI_FAILED;
    }
    if (!keytext_replace(keys, old, "", false))
        return CLI_FAILED;
    printf(
        "%s has no key of %s any more; connections that have it go on, unless SOCKSEAL_REMOVED_KEYS=close\n",
        keys->file, request->old);
    return 0;
}

/* Gives the exit status. */
static int rotate(struct request *request, const struct keytext *keys)
{
    if (!*request->old && !keytext_only_identity(keys, request->old, sizeof request->old)) {
        message_error("%s has more than one key: name the identity of the one that is to be changed",
                      keys->file);
        return CLI_USAGE;
    }
    name_successor(request);
    struct rule_span old = keytext_find(keys, request->old);
    bool begun = keytext_find(keys, request->fresh).len > 0;
    if (old.len == 0) {
        message_error("%s: it has no key of '%s'%s", keys->file, request->old,
                      begun ? ": its change is finished here" : "");
        return CLI_FAILED;
    }
    if (request->finish)
        return finish(request, keys, old, begun);
    if (begun) {
        printf("%s has the new key of %s already\n", keys->file, request->fresh);
        say_next(request);
        return 0;
    }
    return request->take ? take(request, keys, old) : begin(request, keys, old);
}

static bool read_options(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {{"take", no_argument, NULL, OPTION_TAKE},
                                            {"finish", no_argument, NULL, OPTION_FINISH},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = option_next(argc, argv, ":h", options)) != -1) {
        if (option == OPTION_BAD)
            return false;
        request->take |= option == OPTION_TAKE;
        request->finish |= option == OPTION_FINISH;
        request->help |= option == 'h';
    }
    if (request->help)
        return true;
    if (argc - optind < 1 || argc - optind > 2 || (request->take && request->finish) ||
        (argc - optind == 2 && strlen(argv[optind + 1]) >= sizeof request->old)) {
        message_error("rotate takes a key file and perhaps an identity; see 'sockseal rotate --help'");
        return false;
    }
    request->file = argv[optind];
    if (argc - optind == 2)
        strcpy(request->old, argv[optind + 1]);
    return true;
}

int rotate_main(int argc, char **argv)
{
    struct request request = {.offered = getenv("SOCKSEAL_IDENTITY")};
    struct keytext keys;
    if (!read_options(argc, argv, &request))
        return CLI_USAGE;
    if (request.help)
        return help_print("rotate");
    if (!secret_init() || settings_for_file(request.file) > 0)
        return CLI_CONFIGURATION;
    if (!keytext_read(&keys, request.file))
        return CLI_FAILED;
    int status = rotate(&request, &keys);
    keytext_free(&keys);
    return status;
}
