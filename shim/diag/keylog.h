/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_KEYLOG_H
#define SOCKSEAL_KEYLOG_H

/* The NSS key log (SOCKSEAL_KEYLOG_FILE), which lets Wireshark read a capture. */

#include <stdint.h>

/* Names the file (not copied); NULL: off. */
void keylog_setup(const char *file);

/* The function for tls_config.keylog: appends one line "LABEL CLIENT_RANDOM SECRET" in one write(2); the file
 * is created with mode 0600. Does nothing while off. */
void keylog_write(const char *label, const uint8_t client_random[32], const uint8_t secret[32]);

#endif
