/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "peer.h"

#include <string.h>

#include "crypto/aead.h"

enum { DATA_MAX = 2048, EXPECTED_MAX = TOY_BUFFER_MAX - 2 * TLS_PLAINTEXT_MAX };

static const uint8_t strange_key[32] = {7};
static const uint8_t other_key[16] = {9};

static struct toy_buffer message, wire, content;
static struct toy_hello hello;

/* The same bytes in each execution. */
static uint64_t random_state;

static void fixed_random(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        random_state = random_state * 6364136223846793005 + 1442695040888963407;
        out[i] = (uint8_t)(random_state >> 56);
    }
}

/* Options: 3 suite, 4 in place, 8 both groups, 16 more keys, 0x60 cut of messages, 0x80 the role. */
void peer_begin(struct peer *peer, uint8_t options)
{
    const enum tls_role engine_role = peer_engine_role(options);
    static const size_t cuts[] = {TLS_PLAINTEXT_MAX, 1, 7, 64};
    static uint16_t order[3];
    size_t count;
    struct endpoint *engine = &peer->pair.engine;
    const uint16_t *suites = pair_suites(&count);
    const uint16_t suite = suites[(options & 3) % count];
    random_state = 1;
    endpoint_init(engine, &suite, 1, true);
    engine->config.random = fixed_random;
    engine->in_place = options & 4;
    if (options & 8)
        engine->config.group_count = 0;
    if (options & 16) {
        endpoint_add_key(engine, "beta", other_key, sizeof other_key);
        endpoint_add_key(engine, "aleph", other_key, sizeof other_key);
        tls_psk_sort(engine->psks, 3, order);
        engine->config.psk_order = order;
    }
    peer->pair.read_at = peer->pair.unread.len = 0;
    peer->tracked = peer->fair = true;
    peer->bound = peer->finished = peer->closed = peer->retried = false;
    peer->record = cuts[options >> 5 & 3];
    peer->rx_updates = 0;
    peer->expected.len = peer->sent.len = peer->arrived.len = 0;
    toy_init(&peer->pair.toy, engine_role == TLS_CLIENT, suite, ENDPOINT_IDENTITY, endpoint_key,
             sizeof endpoint_key);
    REQUIRE(endpoint_begin(engine, engine_role) == TLS_OK);
}

/* What the engine sent */

static void read_server_hello(struct peer *peer)
{
    struct toy *toy = &peer->pair.toy;
    static struct toy_hello retry;
    toy_retry_request(toy, &retry, NULL, 0);
    if (memcmp(toy->peer.random, retry.random, 32) == 0) {
        REQUIRE(!peer->retried);
        peer->retried = true;
        toy_transcript_retry(toy);
        toy_transcript_add(toy, message.data, message.len);
        return;
    }
    REQUIRE(peer->bound);
    const struct toy_extension *share = toy_hello_find(&toy->peer, TOY_KEY_SHARE);
    REQUIRE(share && share->len > 4);
    peer->tracked = peer->own_share && share->len == 36; /* a hybrid share is beyond the toy */
    toy_transcript_add(toy, message.data, message.len);
    if (!peer->tracked)
        return;
    toy_handshake_secrets(toy, share->body + 4);
    toy_keys_set(&toy->rx, toy->suite, toy->server_handshake);
    toy_keys_set(&toy->tx, toy->suite, toy->client_handshake);
}

static void read_client_hello(struct peer *peer)
{
    struct toy *toy = &peer->pair.toy;
    const struct toy_extension *psks = toy_hello_find(&toy->peer, TOY_PRE_SHARED_KEY);
    uint8_t binder[32];
    REQUIRE(psks);
    size_t count = toy_number(psks->body + 2 + toy_number(psks->body, 2), 2) / 33;
    toy_binder(toy, message.data, message.len, count, binder);
    REQUIRE(memcmp(message.data + message.len - 33 * count + 1, binder, 32) == 0);
    toy_transcript_add(toy, message.data, message.len);
}

static void read_finished(struct peer *peer)
{
    struct toy *toy = &peer->pair.toy;
    static struct toy_buffer finished;
    const bool of_server = !toy->server;
    toy_finished(toy, of_server, &finished);
    REQUIRE(message.len == finished.len && memcmp(message.data, finished.data, finished.len) == 0);
    toy_transcript_add(toy, message.data, message.len);
    if (of_server)
        toy_application_secrets(toy);
    toy_keys_set(&toy->rx, toy->suite, of_server ? toy->server_application : toy->client_application);
}

static void read_message(struct peer *peer)
{
    struct toy *toy = &peer->pair.toy;
    switch (message.data[0]) {
    case TOY_CLIENT_HELLO:
        REQUIRE(toy_hello_decode(&toy->peer, message.data, message.len));
        read_client_hello(peer);
        break;
    case TOY_SERVER_HELLO:
        REQUIRE(toy_hello_decode(&toy->peer, message.data, message.len));
        read_server_hello(peer);
        break;
    case TOY_ENCRYPTED_EXTENSIONS:
        toy_transcript_add(toy, message.data, message.len);
        break;
    case TOY_FINISHED:
        read_finished(peer);
        break;
    default:
        REQUIRE(message.data[0] == TOY_KEY_UPDATE && message.len == 5);
        toy_keys_update(&toy->rx);
    }
}

static void read_messages(struct peer *peer)
{
    struct toy_buffer *unread = &peer->pair.unread;
    while (peer->tracked && unread->len >= 4 && unread->len >= 4 + toy_number(unread->data + 1, 3)) {
        message.len = 0;
        toy_put(&message, unread->data, 4 + toy_number(unread->data + 1, 3));
        unread->len -= message.len;
        memmove(unread->data, unread->data + message.len, unread->len);
        read_message(peer);
    }
}

static void read_engine(struct peer *peer)
{
    uint8_t type;
    while (peer->tracked && pair_read(&peer->pair, &type, &content)) {
        if (type == TOY_HANDSHAKE) {
            toy_put(&peer->pair.unread, content.data, content.len);
            read_messages(peer);
        } else if (type == TOY_DATA) {
            toy_put(&peer->arrived, content.data, content.len);
        } else {
            REQUIRE(type == TOY_CCS ? content.len == 1 : type == TOY_ALERT && content.len == 2);
        }
    }
    if (!peer->tracked)
        peer->pair.read_at = peer->pair.engine.out.len;
    REQUIRE(!peer->tracked || (peer->arrived.len == peer->sent.len &&
                               memcmp(peer->arrived.data, peer->sent.data, peer->sent.len) == 0));
}

/* What the peer sends */

static void check(struct peer *peer)
{
    struct endpoint *engine = &peer->pair.engine;
    const struct tls_session *session = &engine->session;
    REQUIRE(engine->data.len <= peer->expected.len);
    REQUIRE(memcmp(engine->data.data, peer->expected.data, engine->data.len) == 0);
    if (peer->tracked && engine->result == TLS_OK && !peer->closed)
        REQUIRE(engine->data.len == peer->expected.len);
    if (session->role == TLS_SERVER)
        REQUIRE(!session->can_send || peer->bound);
    REQUIRE(!session->complete || peer->finished || engine->result != TLS_OK);
    REQUIRE((engine->result == TLS_OK) == (session->failure == TLS_OK));
    REQUIRE(engine->result == TLS_OK || tls_session_reason(session) != NULL);
    for (; peer->tracked && peer->rx_updates < session->rx.updates; peer->rx_updates++)
        toy_keys_update(&peer->pair.toy.tx);
}

static void deliver(struct peer *peer)
{
    struct endpoint *engine = &peer->pair.engine;
    const enum tls_result before = engine->result;
    const enum tls_result result = endpoint_receive(engine, wire.data, wire.len);
    wire.len = 0;
    if (before != TLS_OK)
        REQUIRE(result == before || result == TLS_OK);
    check(peer);
    read_engine(peer);
}

static void put_record(struct peer *peer, uint8_t type, const uint8_t *bytes, size_t len)
{
    struct toy *toy = &peer->pair.toy;
    if (toy->tx.suite == 0)
        toy_plain_record(&wire, type, bytes, len);
    else
        toy_seal(&toy->tx, type, bytes, len, 0, &wire);
}

static void put_message(struct peer *peer)
{
    toy_transcript_add(&peer->pair.toy, message.data, message.len);
    for (size_t at = 0; at < message.len; at += peer->record)
        put_record(peer, TOY_HANDSHAKE, message.data + at,
                   message.len - at < peer->record ? message.len - at : peer->record);
}

static void send_message(struct peer *peer)
{
    put_message(peer);
    deliver(peer);
}

/* Whether the hello has the toy's own share: with another one, both sides compute different secrets. */
static bool has_own_share(const struct toy *toy)
{
    static struct toy_hello decoded;
    if (!toy_hello_decode(&decoded, message.data, message.len))
        return false;
    const struct toy_extension *share = toy_hello_find(&decoded, TOY_KEY_SHARE);
    return share && memmem(share->body, share->len, toy->public_key, 32);
}

/* Whether a ServerHello chooses the first identity, which is the one that the toy has the key of. */
static bool chooses_first(void)
{
    static struct toy_hello decoded;
    if (!toy_hello_decode(&decoded, message.data, message.len))
        return false;
    const struct toy_extension *chosen = toy_hello_find(&decoded, TOY_PRE_SHARED_KEY);
    return chosen && chosen->len == 2 && toy_number(chosen->body, 2) == 0;
}

/* How many binders the tail of an encoded ClientHello holds, if each has 32 bytes; else 0. */
static size_t binders_of(void)
{
    static struct toy_hello decoded;
    if (!toy_hello_decode(&decoded, message.data, message.len) || decoded.extension_count == 0)
        return 0;
    const struct toy_extension *last = &decoded.extensions[decoded.extension_count - 1];
    if (last->type != TOY_PRE_SHARED_KEY || last->len < 2)
        return 0;
    size_t identities = toy_number(last->body, 2);
    if (identities + 4 > last->len)
        return 0;
    size_t binders = last->len - identities - 4;
    if (toy_number(last->body + 2 + identities, 2) != binders || binders % 33)
        return 0;
    for (size_t at = 0; at < binders; at += 33)
        if (last->body[4 + identities + at] != 32)
            return 0;
    return binders / 33;
}

static void fix_length(void)
{
    for (size_t i = 0; i < 3 && message.len >= 4; i++)
        message.data[3 - i] = (uint8_t)((message.len - 4) >> (8 * i));
}

static void load(const struct frame *frame)
{
    message.len = 0;
    toy_put(&message, frame->content, frame->len);
    fix_length();
}

static void send_client_hello(struct peer *peer, const struct frame *frame, bool stranger)
{
    struct toy *toy = &peer->pair.toy;
    if (frame->len > 0)
        load(frame);
    else if (frame->kind % PEER_KINDS == PEER_RETRY) {
        pair_shareless_hello(&peer->pair, &hello);
        toy_hello_encode(&hello, &message);
    } else {
        if (peer->retried)
            pair_second_hello(&peer->pair, &hello);
        else
            toy_client_hello(toy, &hello);
        toy_hello_encode(&hello, &message);
    }
    const size_t binders = binders_of();
    for (size_t i = 0; i < binders; i++)
        toy_bind_one(toy, &message, binders, i, stranger ? strange_key : endpoint_key, 32);
    peer->bound |= !stranger && binders > 0;
    peer->own_share = has_own_share(toy);
    send_message(peer);
}

static void send_server_hello(struct peer *peer, const struct frame *frame)
{
    struct toy *toy = &peer->pair.toy;
    const struct toy_extension *share = toy_hello_find(&toy->peer, TOY_KEY_SHARE);
    if (frame->len > 0)
        load(frame);
    else {
        toy_server_hello(toy, &hello);
        toy_hello_encode(&hello, &message);
    }
    peer->tracked &= has_own_share(toy) && chooses_first();
    send_message(peer);
    if (!share || toy->tx.suite != 0 || peer->pair.engine.result != TLS_OK)
        return;
    /* With both groups, the X25519 share is the last entry, and then the toy's own hello chooses it. */
    toy_handshake_secrets(toy, share->body + share->len - 32);
    toy_keys_set(&toy->tx, toy->suite, toy->server_handshake);
    toy_keys_set(&toy->rx, toy->suite, toy->client_handshake);
}

static void send_retry(struct peer *peer, const struct frame *frame)
{
    struct toy *toy = &peer->pair.toy;
    if (frame->len > 0)
        load(frame);
    else {
        toy_retry_request(toy, &hello, "cookie", 6);
        toy_hello_encode(&hello, &message);
    }
    toy_transcript_retry(toy);
    peer->retried = true;
    send_message(peer);
}

static void send_finished(struct peer *peer)
{
    struct toy *toy = &peer->pair.toy;
    if (toy->tx.suite == 0)
        return;
    toy_finished(toy, toy->server, &message);
    peer->finished = true;
    put_message(peer);
    if (toy->server)
        toy_application_secrets(toy);
    toy_keys_set(&toy->tx, toy->suite, toy->server ? toy->server_application : toy->client_application);
    deliver(peer);
}

static void expect(struct peer *peer, const uint8_t *bytes, size_t len)
{
    if (peer->pair.engine.session.complete && !peer->closed && peer->pair.engine.result == TLS_OK)
        toy_put(&peer->expected, bytes, len);
}

static void send_inner(struct peer *peer, const struct frame *frame)
{
    size_t len = frame->len;
    if (peer->pair.toy.tx.suite == 0 || len > TLS_PLAINTEXT_MAX + 300 || peer->expected.len > EXPECTED_MAX)
        return;
    toy_seal_inner(&peer->pair.toy.tx, frame->content, len, &wire);
    while (len > 0 && frame->content[len - 1] == 0)
        len--;
    const uint8_t type = len > 0 ? frame->content[len - 1] : 0;
    if (type == TOY_DATA && len - 1 <= TLS_PLAINTEXT_MAX)
        expect(peer, frame->content, len - 1);
    deliver(peer);
    peer->closed |= type == TOY_ALERT;
    peer->fair &=
        type == TOY_DATA || (type == TOY_HANDSHAKE && len == 6 && frame->content[0] == TOY_KEY_UPDATE);
}

static void send_data(struct peer *peer, const struct frame *frame)
{
    struct input input = {frame->content, frame->len};
    static uint8_t data[TLS_PLAINTEXT_MAX];
    size_t len = input_number(&input), padding = input_byte(&input);
    if (peer->pair.toy.tx.suite == 0 || peer->expected.len > EXPECTED_MAX)
        return;
    len = len > DATA_MAX ? DATA_MAX : len;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(peer->expected.len + i);
    const struct endpoint *engine = &peer->pair.engine;
    const bool good = peer->fair && engine->session.complete && engine->result == TLS_OK;
    toy_seal(&peer->pair.toy.tx, TOY_DATA, data, len, padding, &wire);
    expect(peer, data, len);
    deliver(peer);
    REQUIRE(!good || engine->result == TLS_OK);
}

/* What is not under the peer's keys: the engine may take it for a part of the handshake. */
static void send_untracked(struct peer *peer, const struct frame *frame)
{
    bool plain = frame->kind % PEER_KINDS == PEER_PLAIN;
    if (frame->len == 0)
        return;
    if (plain)
        toy_plain_record(&wire, frame->content[0], frame->content + 1, frame->len - 1);
    else
        toy_put(&wire, frame->content, frame->len);
    if (!plain || (frame->content[0] != TOY_CCS && !peer->pair.engine.session.complete))
        peer->tracked = false;
    peer->fair = false;
    deliver(peer);
}

static void let_engine_send(struct peer *peer, const struct frame *frame)
{
    struct endpoint *engine = &peer->pair.engine;
    struct input input = {frame->content, frame->len};
    const uint8_t what = input_byte(&input);
    if (!engine->session.can_send || engine->out.len > EXPECTED_MAX)
        return;
    if (what % 4 == 0) {
        const struct tls_renewal limits = {1 << 10, 100};
        if (tls_session_wants_key_update(&engine->session, &limits, what))
            (void)endpoint_key_update(engine, false);
        if (endpoint_send(engine, input.at, input.left) == TLS_OK)
            toy_put(&peer->sent, input.at, input.left);
    } else if (what % 4 == 1) {
        (void)endpoint_key_update(engine, what & 4);
    } else if (what % 4 == 2) {
        uint8_t flight[TLS_FLIGHT_MAX];
        struct tls_buffer out = {.data = flight, .cap = sizeof flight};
        if (tls_session_renew(&engine->session, &out) == TLS_OK)
            toy_put(&engine->out, flight, out.len);
    } else {
        endpoint_alert(engine, (enum tls_alert)(what >> 2));
    }
    /* Not given to endpoint_receive(), so not in engine->result. */
    if (engine->session.failure != TLS_OK)
        engine->result = (enum tls_result)engine->session.failure;
    read_engine(peer);
}

static void step(struct peer *peer, const struct frame *frame)
{
    const bool client = !peer->pair.toy.server;
    switch (frame->kind % PEER_KINDS) {
    case PEER_HELLO:
    case PEER_STRANGER:
    case PEER_RETRY:
        if (client)
            send_client_hello(peer, frame, frame->kind % PEER_KINDS == PEER_STRANGER);
        else if (frame->kind % PEER_KINDS == PEER_RETRY)
            send_retry(peer, frame);
        else
            send_server_hello(peer, frame);
        break;
    case PEER_EXTENSIONS:
        message.len = 0;
        if (frame->len == 0)
            toy_message(&message, TOY_ENCRYPTED_EXTENSIONS, "\0", 2);
        else
            toy_message(&message, TOY_ENCRYPTED_EXTENSIONS, frame->content, frame->len);
        send_message(peer);
        break;
    case PEER_FINISHED:
        send_finished(peer);
        break;
    case PEER_INNER:
        send_inner(peer, frame);
        break;
    case PEER_DATA:
        send_data(peer, frame);
        break;
    case PEER_ENGINE:
        let_engine_send(peer, frame);
        break;
    default:
        send_untracked(peer, frame);
    }
}

void peer_run(struct peer *peer, struct input *script)
{
    struct frame frame;
    read_engine(peer);
    for (unsigned steps = 0; steps < 48 && frames_next(script, &frame); steps++) {
        if (frame.len > TLS_PLAINTEXT_MAX || wire.len + peer->pair.engine.out.len > EXPECTED_MAX)
            break;
        step(peer, &frame);
    }
    tls_handshake_wipe(&peer->pair.engine.handshake);
    tls_session_wipe(&peer->pair.engine.session);
}

/* The mutator */

static void default_hello(enum tls_role engine_role, uint8_t kind, struct pair *pair)
{
    pair_begin(pair, engine_role, TOY_CHACHA20);
    if (engine_role == TLS_SERVER && kind == PEER_RETRY)
        pair_shareless_hello(pair, &hello);
    else if (engine_role == TLS_SERVER)
        toy_client_hello(&pair->toy, &hello);
    else if (kind == PEER_RETRY)
        toy_retry_request(&pair->toy, &hello, "cookie", 6);
    else
        toy_server_hello(&pair->toy, &hello);
}

static void change_extension(unsigned random)
{
    static const uint16_t types[] = {TOY_SUPPORTED_GROUPS,   TOY_PRE_SHARED_KEY, TOY_EARLY_DATA,
                                     TOY_SUPPORTED_VERSIONS, TOY_COOKIE,         TOY_PSK_MODES,
                                     TOY_KEY_SHARE};
    struct toy_extension *one = &hello.extensions[random % hello.extension_count];
    struct toy_extension *two = &hello.extensions[random / 16 % hello.extension_count];
    static struct toy_extension kept;
    switch (random >> 8 & 7) {
    case 0:
        toy_hello_remove(&hello, one->type);
        break;
    case 1:
        if (hello.extension_count < TOY_EXTENSIONS_MAX)
            toy_hello_insert(&hello, random / 16 % hello.extension_count, types[random % 7], one->body,
                             one->len);
        break;
    case 2:
        kept = *one, *one = *two, *two = kept;
        break;
    case 3:
        one->type = types[random / 64 % 7];
        break;
    default:
        one->len = LLVMFuzzerMutate(one->body, one->len, one->len + 64 < 2048 ? one->len + 64 : one->len);
    }
}

size_t peer_mutate(enum tls_role engine_role, uint8_t kind, uint8_t *bytes, size_t len, size_t max,
                   unsigned random)
{
    static struct pair pair;
    if (kind != PEER_HELLO && kind != PEER_RETRY && kind != PEER_STRANGER)
        return SIZE_MAX;
    if (len == 0)
        default_hello(engine_role, kind, &pair);
    else if (!toy_hello_decode(&hello, bytes, len))
        return SIZE_MAX;
    if (random & 1 && hello.extension_count > 0)
        change_extension(random >> 1);
    else if (random & 2)
        hello.suites_len = LLVMFuzzerMutate(hello.suites, hello.suites_len, sizeof hello.suites);
    else if (random & 4)
        hello.session_id_len = LLVMFuzzerMutate(hello.session_id, hello.session_id_len, 33);
    else if (random & 8)
        hello.compression_len =
            LLVMFuzzerMutate(hello.compression, hello.compression_len, sizeof hello.compression);
    else
        LLVMFuzzerMutate(hello.random, sizeof hello.random, sizeof hello.random);
    toy_hello_encode(&hello, &message);
    if (message.len > max)
        return SIZE_MAX;
    memcpy(bytes, message.data, message.len);
    return message.len;
}
