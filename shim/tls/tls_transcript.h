/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_TRANSCRIPT_H
#define SOCKSEAL_TLS_TRANSCRIPT_H

/* The transcript of a handshake (RFC 8446, 4.4.1), and what follows from it: secrets and Finished messages.
 */

#include "tls/tls_call.h"
#include "tls/tls_failure.h"
#include "tls/tls_message.h"
#include "tls/tls_schedule.h"

/* Adds a message to the transcript. */
void tls_transcript_add(const struct tls_call *call, const uint8_t *message, size_t len);

/* The transcript hash so far. */
void tls_transcript_hash(const struct tls_call *call, uint8_t hash[static 32]);

/* Replaces the transcript, which holds ClientHello1 alone, by its message_hash (RFC 8446, 4.4.1). */
void tls_transcript_restart(const struct tls_call *call);

/* With the ServerHello in the transcript: both handshake traffic secrets, from the PSK and the result of the
 * key exchange, and the Master Secret, which is kept. */
void tls_transcript_derive(const struct tls_call *call, const struct tls_schedule_psk *psk,
                           const struct tls_kex_secret *shared, uint8_t client[static 32],
                           uint8_t server[static 32]);

/* With the server's Finished in the transcript: both application traffic secrets. The Master Secret is used
 * up. */
void tls_transcript_derive_application(const struct tls_call *call, uint8_t client[static 32],
                                       uint8_t server[static 32]);

/* Writes a Finished for the transcript so far, under the sender's handshake traffic secret, and adds it. */
void tls_transcript_put_finished(const struct tls_call *call, const uint8_t secret[static 32],
                                 uint8_t message[static TLS_FINISHED_LEN]);

/* Verifies the peer's Finished, under the secret of rx, and adds it to the transcript. */
enum tls_reason tls_transcript_verify_finished(const struct tls_call *call, const uint8_t *message,
                                               size_t len);

#endif
