/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_BACKEND_H
#define SOCKSEAL_AEGIS_BACKEND_H

/* One set of instructions and what AEGIS makes of it. Inside this directory, and for tests. */

#include "crypto/aegis/aegis.h"

enum { AEGIS_KINDS = 3 };

/* One kind in one set of instructions. No part's `out` begins inside its own input, behind the beginning. */
struct aegis_code {
    void (*seal)(const struct aead_message *message, uint8_t *tag, size_t tag_len);
    /* Whether the tag fits. Wipes no output; no branch depends on the answer. */
    bool (*open)(const struct aead_message *message, const uint8_t *tag, size_t tag_len);
};

struct aegis_backend {
    const char *name;
    enum aegis_kind widest;              /* whose lanes fit one register */
    struct aegis_code code[AEGIS_KINDS]; /* by enum aegis_kind */
};

/* Each is there where the compiler can make it. */
extern const struct aegis_backend aegis_aesni, aegis_avx, aegis_vaes256, aegis_vaes512, aegis_armv8;

/* The backends that this processor and kernel allow, the fastest first, ended by NULL. */
const struct aegis_backend *const *aegis_cpu_backends(void);

/* aegis_seal() and aegis_open() on a chosen backend. */
void aegis_seal_on(const struct aegis_backend *backend, enum aegis_kind kind,
                   const struct aead_message *message, uint8_t *tag, size_t tag_len);
bool aegis_open_on(const struct aegis_backend *backend, enum aegis_kind kind,
                   const struct aead_message *message, const uint8_t *tag, size_t tag_len);

#endif
