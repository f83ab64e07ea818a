/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_BPF_H
#define SOCKSEAL_BPF_H

/* Writes the instructions of a seccomp(2) filter, and reads those of others. What does not fit is left out.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define BPF_OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define BPF_OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

struct bpf_writer {
    struct sock_filter *at, *end;
};

/* A conditional jump; `yes` and `no`: how many instructions are skipped. */
static inline void bpf_jump(struct bpf_writer *writer, unsigned condition, uint32_t value, uint8_t yes,
                            uint8_t no)
{
    if (writer->at < writer->end)
        *writer->at++ = (struct sock_filter){(uint16_t)(BPF_JMP | BPF_K | condition), yes, no, value};
}

static inline void bpf_statement(struct bpf_writer *writer, unsigned code, uint32_t value)
{
    if (writer->at < writer->end)
        *writer->at++ = (struct sock_filter){(uint16_t)code, 0, 0, value};
}

/* Loads the word of struct seccomp_data at this offset. */
static inline void bpf_load(struct bpf_writer *writer, size_t offset)
{
    bpf_statement(writer, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static inline void bpf_equal(struct bpf_writer *writer, uint32_t value, uint8_t yes, uint8_t no)
{
    bpf_jump(writer, BPF_JEQ, value, yes, no);
}

static inline void bpf_allow(struct bpf_writer *writer)
{
    bpf_statement(writer, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

/* The call fails with this errno. */
static inline void bpf_fail(struct bpf_writer *writer, int error)
{
    bpf_statement(writer, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA));
}

/* Offsets of the low half of an argument, which is all of an int, and of the high half of a pointer. */
#define BPF_LOW(argument)  (offsetof(struct seccomp_data, args) + 8 * (argument))
#define BPF_HIGH(argument) (BPF_LOW(argument) + 4)

/* Whether the filter lets this system call pass with some arguments, as far as can be told without running
 * it. */
bool bpf_may_allow(const struct sock_fprog *filter, unsigned number);

#endif
