/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/fingerprint.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/settings.h"
#include "config/config.h"
#include "config/keyring_file.h"
#include "crypto/secret.h"
#include "sys/sys.h"

/* At least as wide as the heading. */
static int identity_width(const struct keyring *keyring)
{
    size_t width = strlen("IDENTITY");
    for (size_t i = 0; i < keyring->count; i++)
        if (keyring->psks[i].identity_len > width)
            width = keyring->psks[i].identity_len;
    return (int)width;
}

static void print_keys(const struct keyring *keyring)
{
    int width = identity_width(keyring);
    printf("%-*s  BYTES  %-*s COUNTS FOR\n", width, "IDENTITY", FINGERPRINT_TEXT, "FINGERPRINT");
    for (size_t i = 0; i < keyring->count; i++) {
        const struct tls_psk *psk = &keyring->psks[i];
        const struct rule_span rules = keyring->rules[i];
        char text[FINGERPRINT_TEXT];
        printf("%-*.*s  %5zu  %-*s ", width, (int)psk->identity_len, (const char *)psk->identity,
               psk->key_len, FINGERPRINT_TEXT, fingerprint_of(psk->key, psk->key_len, text));
        if (rules.len > 0)
            printf("%.*s\n", (int)rules.len, rules.at);
        else
            puts("every connection");
    }
}

/* Prints the keys of the file that the configuration names. */
static int list(void)
{
    const char *file = config_get()->key_file;
    int fd = file ? keyring_file_open(file) : -1;
    struct ring *ring = fd >= 0 ? keyring_file_read(fd, KEYRING_TRY) : NULL;
    if (!file)
        message_error("no key file is named; see 'sockseal keys --help'");
    else if (fd < 0)
        keyring_file_report_errno(-fd);
    if (ring) {
        print_keys(&ring->keyring);
        keyring_file_wipe(ring);
    }
    if (fd >= 0)
        sys_close(fd);
    return ring ? 0 : CLI_FAILED;
}

int keys_main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return help_print("keys");
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    if (argc - first > 1 || (argc > first && first == 1 && argv[first][0] == '-')) {
        message_error("keys takes the name of one file; see 'sockseal keys --help'");
        return CLI_USAGE;
    }
    if (argc == first && !settings_read_file(NULL))
        return CLI_CONFIGURATION;
    if (!secret_init() || settings_for_file(argc > first ? argv[first] : NULL) > 0)
        return CLI_CONFIGURATION;
    return list();
}
