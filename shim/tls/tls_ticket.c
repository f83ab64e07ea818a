/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_ticket.h"

#include "tls/tls_extensions.h"

enum {
    STEP_START, /* ticket_lifetime, ticket_age_add and the length of ticket_nonce */
    STEP_NONCE,
    STEP_TICKET_LEN,
    STEP_TICKET,
    STEP_EXTENSIONS_LEN,
    STEP_EXTENSION,
    STEP_EXTENSION_BODY,
    STEP_END,
};

/* The next field: `len` bytes of the body. */
static enum tls_reason expect(struct tls_ticket *ticket, uint8_t step, uint32_t len)
{
    if (len > ticket->left)
        return TLS_REASON_MALFORMED;
    ticket->left -= len;
    ticket->step = step;
    ticket->need = len;
    return TLS_REASON_NONE;
}

enum tls_reason tls_ticket_begin(struct tls_ticket *ticket, size_t len)
{
    if (len > TLS_TICKET_MAX)
        return TLS_REASON_MALFORMED;
    ticket->left = (uint32_t)len;
    return expect(ticket, STEP_START, 4 + 4 + 1);
}

static enum tls_reason next_extension(struct tls_ticket *ticket)
{
    return ticket->left > 0 ? expect(ticket, STEP_EXTENSION, 4) : expect(ticket, STEP_END, 0);
}

/* Of those that may come, early_data alone is defined: max_early_data_size (RFC 8446, 4.2.10). */
static enum tls_reason take_extension(struct tls_ticket *ticket)
{
    const uint32_t len = ticket->recent & 0xffff;
    if (ticket->recent >> 16 == TLS_EXTENSION_EARLY_DATA && len != 4)
        return TLS_REASON_MALFORMED;
    return expect(ticket, STEP_EXTENSION_BODY, len);
}

/* A field is complete; `recent` has its last bytes. */
static enum tls_reason take_field(struct tls_ticket *ticket)
{
    const uint32_t len = ticket->recent & 0xffff;
    switch (ticket->step) {
    case STEP_START:
        return expect(ticket, STEP_NONCE, ticket->recent & 0xff);
    case STEP_NONCE:
        return expect(ticket, STEP_TICKET_LEN, 2);
    case STEP_TICKET_LEN:
        return len > 0 ? expect(ticket, STEP_TICKET, len) : TLS_REASON_MALFORMED;
    case STEP_TICKET:
        return expect(ticket, STEP_EXTENSIONS_LEN, 2);
    case STEP_EXTENSIONS_LEN:
        return len == ticket->left ? next_extension(ticket) : TLS_REASON_MALFORMED;
    case STEP_EXTENSION:
        return take_extension(ticket);
    default:
        return next_extension(ticket);
    }
}

/* Takes bytes of one field; of a long one the last few are enough. Gives how many. */
static size_t take_bytes(struct tls_ticket *ticket, const uint8_t *data, size_t len)
{
    const size_t take = len < ticket->need ? len : ticket->need;
    for (size_t i = take > 4 ? take - 4 : 0; i < take; i++)
        ticket->recent = ticket->recent << 8 | data[i];
    ticket->need -= (uint32_t)take;
    return take;
}

enum tls_reason tls_ticket_take(struct tls_ticket *ticket, const uint8_t *data, size_t len)
{
    enum tls_reason reason = TLS_REASON_NONE;
    while (ticket->step != STEP_END && reason == TLS_REASON_NONE) {
        const size_t taken = take_bytes(ticket, data, len);
        data += taken;
        len -= taken;
        if (ticket->need > 0)
            break;
        reason = take_field(ticket);
    }
    return reason;
}
