/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shortage.h"

/* A wire on which nothing happens any more is closed: what was swallowed is waited for by somebody. */
enum { IDLE_HARMFUL_MS = 40, IDLE_HARMLESS_MS = 15000, HEADER = 5 };

pid_t wire_victim;

struct direction {
    int from, to;
    struct trace *trace;
    const struct trace *other_connection;
    struct trace out; /* to be sent */
    size_t handed;    /* bytes of `trace` that were handed on or swallowed */
    size_t sent;      /* of `out` */
    bool ended;       /* the sender has closed */
    bool cut;         /* nothing more is handed on */
    bool finished;    /* the FIN was handed on */
    bool broken;      /* the receiver takes nothing more */
};

struct wire {
    const struct plan *plan;
    struct direction directions[2];
    struct wire_result result;
    bool over;
    bool short_now; /* the victim's shortage lasts */
};

static void emit(struct direction *direction, const uint8_t *bytes, size_t len)
{
    if (len > WIRE_BYTES - direction->out.len)
        len = WIRE_BYTES - direction->out.len;
    memcpy(direction->out.bytes + direction->out.len, bytes, len);
    direction->out.len += len;
}

static void emit_up_to(struct direction *direction, size_t end)
{
    if (end > direction->trace->len)
        end = direction->trace->len;
    if (end > direction->handed) {
        emit(direction, direction->trace->bytes + direction->handed, end - direction->handed);
        direction->handed = end;
    }
}

/* The record that holds an offset: where it starts and ends. False while its header has not come. */
static bool record_at(const struct trace *trace, size_t at, size_t *start, size_t *end)
{
    for (size_t here = 0; here + HEADER <= trace->len; here = *end) {
        *start = here;
        *end = here + HEADER + ((size_t)trace->bytes[here + 3] << 8 | trace->bytes[here + 4]);
        if (at < *end)
            return true;
    }
    return false;
}

static void end_connection(struct wire *wire, int reset)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(reset, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    wire->over = true;
}

/* Faults that need bytes behind the offset. Gives false while these have not come. */
static bool apply_to_bytes(struct direction *direction, const struct plan *plan)
{
    const struct trace *trace = direction->trace, *other = direction->other_connection;
    static const uint8_t garbage[400] = {0x17, 3, 3, 0, 40, 0x99};
    uint8_t flipped;
    size_t end = plan->at + plan->len * (plan->fault == FAULT_REORDER ? 2 : 1);
    if (trace->len < end && plan->fault != FAULT_INSERT && plan->fault != FAULT_SPLICE)
        return false;
    switch (plan->fault) {
    case FAULT_FLIP:
        flipped = trace->bytes[plan->at] ^ plan->mask;
        emit(direction, &flipped, 1);
        direction->handed++;
        break;
    case FAULT_DROP:
        direction->handed += plan->len;
        break;
    case FAULT_REPEAT:
        emit_up_to(direction, end);
        emit(direction, trace->bytes + plan->at, plan->len);
        break;
    case FAULT_REORDER:
        emit(direction, trace->bytes + plan->at + plan->len, plan->len);
        emit(direction, trace->bytes + plan->at, plan->len);
        direction->handed = end;
        break;
    case FAULT_SPLICE:
        if (other->len <= plan->at)
            return false;
        emit(direction, other->bytes + plan->at,
             other->len - plan->at < plan->len ? other->len - plan->at : plan->len);
        break;
    default:
        emit(direction, garbage, plan->len);
    }
    return true;
}

static bool apply_to_records(struct direction *direction, enum fault fault, size_t at)
{
    const struct trace *trace = direction->trace;
    size_t start, end, next_start, next_end;
    if (!record_at(trace, at, &start, &end) || !record_at(trace, end, &next_start, &next_end) ||
        trace->len < next_end)
        return false;
    if (fault == FAULT_REPLAY)
        emit_up_to(direction, next_end);
    else
        emit(direction, trace->bytes + next_start, next_end - next_start);
    direction->handed = next_end;
    if (fault != FAULT_DROP_RECORD)
        emit(direction, trace->bytes + start, end - start);
    return true;
}

/* False: not yet. */
static bool apply(struct wire *wire, struct direction *direction)
{
    const struct plan *plan = wire->plan;
    switch (plan->fault) {
    case FAULT_DELAY:
        nanosleep(&(struct timespec){.tv_nsec = (long)(plan->len % 20) * 1000000}, NULL);
        return true;
    case FAULT_SWAP_RECORDS:
    case FAULT_DROP_RECORD:
    case FAULT_REPLAY:
        return apply_to_records(direction, plan->fault, plan->at);
    case FAULT_TRUNCATE:
        direction->cut = true;
        return true;
    case FAULT_CLOSE:
        wire->over = true;
        return true;
    case FAULT_RESET:
        end_connection(wire, direction->to);
        return true;
    case FAULT_RESET_BOTH:
        end_connection(wire, direction->from);
        end_connection(wire, direction->to);
        return true;
    case FAULT_KILL:
        kill(wire_victim, plan->signal);
        return true;
    case FAULT_SHORTAGE:
        return wire->short_now = shortage_set(wire_victim, plan->shortage);
    case FAULT_NONE:
    case FAULT_DRIBBLE:
    case FAULT_REFLECT:
        return true;
    default:
        return apply_to_bytes(direction, plan);
    }
}

/* Where the bytes before the fault end: of a record's fault, at the record. */
static size_t place_of(const struct direction *direction, const struct plan *plan)
{
    size_t start, end;
    if (plan->fault < FAULT_SWAP_RECORDS || plan->fault > FAULT_REPLAY)
        return plan->at;
    return record_at(direction->trace, plan->at, &start, &end) ? start : 0;
}

static void hand_on(struct wire *wire, struct direction *direction)
{
    const bool planned = direction == &wire->directions[wire->plan->to_client];
    if (planned && !wire->result.applied) {
        size_t place = place_of(direction, wire->plan);
        emit_up_to(direction, place > direction->handed ? place : direction->handed);
        if (direction->handed < place || direction->trace->len <= wire->plan->at)
            return;
        wire->result.applied = apply(wire, direction);
        if (!wire->result.applied && !direction->ended)
            return;
    }
    if (direction->cut || wire->over)
        return;
    if (planned && wire->plan->fault == FAULT_REFLECT)
        emit(&wire->directions[!wire->plan->to_client], direction->trace->bytes + direction->handed,
             direction->trace->len - direction->handed);
    emit_up_to(direction, direction->trace->len);
}

static void receive(struct wire *wire, struct direction *direction)
{
    struct trace *trace = direction->trace;
    ssize_t got = recv(direction->from, trace->bytes + trace->len, WIRE_BYTES - trace->len, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        direction->ended = true;
    else
        trace->len += (size_t)got;
    hand_on(wire, direction);
}

static void send_on(struct wire *wire, struct direction *direction)
{
    const size_t most = wire->plan->fault == FAULT_DRIBBLE ? 1 + wire->plan->len % 7 : WIRE_BYTES;
    while (direction->sent < direction->out.len && !direction->broken) {
        size_t len = direction->out.len - direction->sent;
        ssize_t put = send(direction->to, direction->out.bytes + direction->sent, len < most ? len : most,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN)
            return;
        if (put < 0)
            direction->broken = true;
        else
            direction->sent += (size_t)put;
    }
    if (!direction->finished && (direction->ended || direction->cut || direction->broken)) {
        shutdown(direction->to, SHUT_WR);
        direction->finished = true;
    }
}

static bool unsent(const struct direction *direction)
{
    return direction->sent < direction->out.len && !direction->broken;
}

/* Waits for one of the ends. False: nothing happens any more. */
static bool wait_for_ends(const struct wire *wire)
{
    const bool patient =
        wire->plan->fault < FAULT_HARMFUL || (wire->plan->fault == FAULT_SHORTAGE && !wire->short_now);
    const int idle = patient ? IDLE_HARMLESS_MS : IDLE_HARMFUL_MS;
    struct pollfd polled[2];
    for (int i = 0; i < 2; i++) {
        const struct direction *from = &wire->directions[i], *to = &wire->directions[!i];
        polled[i] = (struct pollfd){
            .fd = from->from, .events = (short)((from->ended ? 0 : POLLIN) | (unsent(to) ? POLLOUT : 0))};
        if (polled[i].events == 0)
            polled[i].fd = -1;
    }
    return poll(polled, 2, idle) > 0;
}

/* A shortage passes. False: there is none. */
static bool end_shortage(struct wire *wire)
{
    const bool was_short = wire->short_now;
    if (was_short)
        shortage_set(wire_victim, 0);
    wire->short_now = false;
    return was_short;
}

/* Whether a protected record that was changed had another one behind it. */
static bool must_fail(const struct wire *wire)
{
    const struct plan *plan = wire->plan;
    const struct trace *trace = wire->directions[plan->to_client].trace;
    size_t start, end, next_start, next_end;
    return (plan->fault == FAULT_FLIP || plan->fault == FAULT_DROP) && wire->result.applied &&
           record_at(trace, plan->at, &start, &end) && trace->bytes[start] == 0x17 &&
           record_at(trace, end, &next_start, &next_end) && trace->len >= next_end;
}

struct wire_result wire_carry(int client, int server, const struct plan *plan, struct trace traces[2])
{
    static struct wire wire;
    static struct trace before[2];
    const int ends[2] = {client, server}, on = 1;
    wire.plan = plan;
    wire.result = (struct wire_result){false, false};
    wire.over = wire.short_now = false;
    for (int i = 0; i < 2; i++) {
        before[i].len = traces[i].len;
        memcpy(before[i].bytes, traces[i].bytes, traces[i].len);
        traces[i].len = 0;
        struct direction *direction = &wire.directions[i];
        direction->from = ends[i];
        direction->to = ends[!i];
        direction->trace = &traces[i];
        direction->other_connection = &before[i];
        direction->out.len = direction->handed = direction->sent = 0;
        direction->ended = direction->cut = direction->finished = direction->broken = false;
        setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    hand_on(&wire,
            &wire.directions[plan->to_client]); /* a fault at offset 0 of a stream that begins with it */
    while (!wire.over) {
        for (int i = 0; i < 2; i++)
            send_on(&wire, &wire.directions[i]);
        if (wire.directions[0].finished && wire.directions[1].finished)
            break;
        if (!wait_for_ends(&wire) && !end_shortage(&wire))
            break;
        for (int i = 0; i < 2; i++)
            if (!wire.directions[i].ended)
                receive(&wire, &wire.directions[i]);
    }
    end_shortage(&wire);
    wire.result.must_fail = must_fail(&wire);
    close(client);
    close(server);
    return wire.result;
}
