/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/fingerprint.h"

#include <stdio.h>
#include <string.h>

#include "crypto/sha256.h"

const char *fingerprint_of(const uint8_t *key, size_t len, char text[static FINGERPRINT_TEXT])
{
    static const uint8_t label[] = "sockseal key fingerprint 1";
    uint8_t hash[SHA256_LEN];
    char *at = text;
    sha256_hmac(key, len, label, sizeof label - 1, hash);
    for (size_t i = 0; i < 5; i++) {
        uint32_t word;
        memcpy(&word, hash + 4 * i, sizeof word);
        at += snprintf(at, 6, "%s%04u", i ? " " : "", word % 10000u);
    }
    return text;
}
