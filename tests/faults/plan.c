/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "plan.h"

#include <signal.h>

#include "shortage.h"

const char *const fault_names[FAULTS_NAMED] = {
    "none",   "delay",        "dribble",     "flip",   "drop",    "repeat",  "reorder",
    "insert", "swap-records", "drop-record", "replay", "splice",  "reflect", "truncate",
    "close",  "reset",        "reset-both",  "kill",   "shortage"};

/* Offsets that are gone through: the handshake in either direction, and a few records. */
enum { OFFSETS = 1900 };

static const enum fault at_every_offset[] = {FAULT_FLIP,  FAULT_DROP,  FAULT_TRUNCATE,
                                             FAULT_CLOSE, FAULT_RESET, FAULT_REFLECT};

enum { EVERY = sizeof at_every_offset / sizeof at_every_offset[0], SYSTEMATIC = OFFSETS * EVERY * 2 };

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static size_t draw(uint64_t *state, size_t below)
{
    *state = mix(*state);
    return (size_t)(*state % below);
}

static size_t length(uint64_t *state)
{
    static const size_t most[] = {1, 100, 2000, 40000};
    return draw(state, most[draw(state, 4)] + 1);
}

static size_t offset(uint64_t *state)
{
    static const size_t most[] = {300, 1500, 3000, 40000};
    return draw(state, most[draw(state, 4)]);
}

struct plan plan_of(uint64_t number)
{
    uint64_t state = number + 1;
    struct plan plan = {
        .number = number,
        .fault = (enum fault)draw(&state, FAULTS),
        .to_client = draw(&state, 2),
        .at = offset(&state),
        .len = 1 + draw(&state, draw(&state, 2) ? 8 : 400),
        .mask = (uint8_t)(1u << draw(&state, 8)),
        .client_mode = (enum mode)draw(&state, MODES),
        .server_mode = (enum mode)draw(&state, MODES),
        .server_first = draw(&state, 2),
        .from_client = length(&state),
        .from_server = length(&state),
        .chunk = 1 + draw(&state, draw(&state, 2) ? 300 : 20000),
    };
    if (number < SYSTEMATIC) {
        plan.fault = at_every_offset[number % EVERY];
        plan.to_client = number / EVERY & 1;
        plan.at = (size_t)(number / EVERY / 2);
    }
    /* Few writes of one byte, which only take long. */
    if (plan.chunk < 8)
        plan.from_client %= 300, plan.from_server %= 300;
    return plan;
}

struct plan plan_of_death(uint64_t number)
{
    static const int signals[] = {SIGKILL, SIGABRT, SIGSEGV, SIGTERM};
    uint64_t state = number + 77;
    struct plan plan = plan_of(number);
    plan.fault = FAULT_KILL;
    plan.at = offset(&state) % 5000;
    plan.to_client = draw(&state, 2);
    plan.hits_client = draw(&state, 2);
    plan.signal = signals[draw(&state, 4)];
    return plan;
}

struct plan plan_of_shortage(uint64_t number)
{
    uint64_t state = number + 99;
    struct plan plan = plan_of(number);
    plan.fault = FAULT_SHORTAGE;
    plan.at = draw(&state, 4) ? offset(&state) % 5000 : 0;
    plan.to_client = draw(&state, 2);
    plan.hits_client = draw(&state, 2);
    if (draw(&state, 3) == 0) { /* more than the memory that a connection has from the start */
        plan.from_client = draw(&state, 200000);
        plan.from_server = draw(&state, 200000);
        plan.chunk = 5000 + draw(&state, 15000);
    }
    plan.is_first = draw(&state, 2);
    plan.shortage = draw(&state, 3) ? 1u << draw(&state, 4) : 1 + (unsigned)draw(&state, SHORTAGES - 1);
    return plan;
}
