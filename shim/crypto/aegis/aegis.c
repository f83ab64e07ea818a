/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/aegis/aegis.h"

#include <string.h>

#include "crypto/aegis/aegis_backend.h"

/* The code goes forward over a part, so an output that begins inside its input would overwrite what has not
 * been read: there the input is moved first. */
static inline void untangle(const struct aead_message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        struct aead_part *part = &message->parts[i];
        if ((uintptr_t)part->out - (uintptr_t)part->in - 1 < part->len - 1 && part->len > 0) {
            memmove(part->out, part->in, part->len);
            part->in = part->out;
        }
    }
}

void aegis_seal_on(const struct aegis_backend *backend, enum aegis_kind kind,
                   const struct aead_message *message, uint8_t *tag, size_t tag_len)
{
    untangle(message);
    backend->code[kind].seal(message, tag, tag_len);
}

bool aegis_open_on(const struct aegis_backend *backend, enum aegis_kind kind,
                   const struct aead_message *message, const uint8_t *tag, size_t tag_len)
{
    untangle(message);
    if (backend->code[kind].open(message, tag, tag_len))
        return true;
    aead_parts_clear(message);
    return false;
}

bool aegis_usable(void)
{
    return aegis_cpu_backends()[0] != NULL;
}

enum aegis_kind aegis_widest(void)
{
    return aegis_cpu_backends()[0]->widest;
}

bool aegis_seal(enum aegis_kind kind, const struct aead_message *message, uint8_t *tag, size_t tag_len)
{
    const struct aegis_backend *best = aegis_cpu_backends()[0];
    if (best)
        aegis_seal_on(best, kind, message, tag, tag_len);
    return best != NULL;
}

bool aegis_open(enum aegis_kind kind, const struct aead_message *message, const uint8_t *tag, size_t tag_len)
{
    const struct aegis_backend *best = aegis_cpu_backends()[0];
    if (best)
        return aegis_open_on(best, kind, message, tag, tag_len);
    aead_parts_clear(message);
    return false;
}
