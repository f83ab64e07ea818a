/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/bpf.h"

#include <alloca.h>
#include <linux/audit.h>
#include <string.h>

/* What is known of the accumulator where an instruction is reached. */
struct state {
    enum { NOT_REACHED, KNOWN, UNKNOWN } kind;
    uint32_t value;
};

static void reach(struct state *at, struct state from)
{
    if (at->kind == NOT_REACHED)
        *at = from;
    else if (at->kind != from.kind || at->value != from.value)
        *at = (struct state){.kind = UNKNOWN};
}

static struct state known(uint32_t value)
{
    return (struct state){.kind = KNOWN, .value = value};
}

static struct state after_load(const struct sock_filter *instruction, uint32_t number)
{
    if (instruction->code == (BPF_LD | BPF_IMM))
        return known(instruction->k);
    if (instruction->code != (BPF_LD | BPF_W | BPF_ABS))
        return (struct state){.kind = UNKNOWN};
    if (instruction->k == offsetof(struct seccomp_data, nr))
        return known(number);
    if (instruction->k == offsetof(struct seccomp_data, arch))
        return known(BPF_OWN_ARCHITECTURE);
    return (struct state){.kind = UNKNOWN};
}

/* Of a statement that neither jumps nor returns. */
static struct state after(const struct sock_filter *instruction, struct state before, uint32_t number)
{
    switch (BPF_CLASS(instruction->code)) {
    case BPF_LD:
        return after_load(instruction, number);
    case BPF_ALU:
        if (before.kind == KNOWN && instruction->code == (BPF_ALU | BPF_AND | BPF_K))
            return known(before.value & instruction->k);
        return (struct state){.kind = UNKNOWN};
    case BPF_MISC:
        return BPF_MISCOP(instruction->code) == BPF_TXA ? (struct state){.kind = UNKNOWN} : before;
    default: /* BPF_LDX, BPF_ST, BPF_STX */
        return before;
    }
}

static bool holds(const struct sock_filter *instruction, uint32_t value)
{
    switch (BPF_OP(instruction->code)) {
    case BPF_JEQ:
        return value == instruction->k;
    case BPF_JGT:
        return value > instruction->k;
    case BPF_JGE:
        return value >= instruction->k;
    default:
        return value & instruction->k;
    }
}

/* Marks where the jump at `at` may go; `length` instructions follow it. */
static void follow(const struct sock_filter *instruction, struct state *at, size_t length)
{
    const bool decided = at->kind == KNOWN && BPF_SRC(instruction->code) == BPF_K;
    const bool always = BPF_OP(instruction->code) == BPF_JA;
    const bool yes = always || !decided || holds(instruction, at->value);
    const bool no = !always && (!decided || !holds(instruction, at->value));
    const size_t yes_to = always ? instruction->k : instruction->jt;
    if (yes && yes_to < length)
        reach(at + 1 + yes_to, *at);
    if (no && instruction->jf < length)
        reach(at + 1 + instruction->jf, *at);
}

static bool lets_pass(const struct sock_filter *instruction)
{
    const uint32_t action = instruction->k & SECCOMP_RET_ACTION_FULL;
    return BPF_RVAL(instruction->code) != BPF_K || action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG ||
           action == SECCOMP_RET_TRACE || action == SECCOMP_RET_USER_NOTIF;
}

bool bpf_may_allow(const struct sock_fprog *filter, unsigned number)
{
    struct state *states = alloca((filter->len + 1u) * sizeof *states);
    memset(states, 0, (filter->len + 1u) * sizeof *states);
    states[0].kind = UNKNOWN;
    for (size_t i = 0; i < filter->len; i++) {
        const struct sock_filter *instruction = &filter->filter[i];
        if (states[i].kind == NOT_REACHED)
            continue;
        if (BPF_CLASS(instruction->code) == BPF_RET && lets_pass(instruction))
            return true;
        if (BPF_CLASS(instruction->code) == BPF_JMP)
            follow(instruction, &states[i], filter->len - i);
        else if (BPF_CLASS(instruction->code) != BPF_RET)
            reach(&states[i + 1], after(instruction, states[i], number));
    }
    return false;
}
