/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * What AEGIS does with secrets: no branch and no address depends on them, and nothing of them is left on the
 * stack or in vector registers.
 *
 * The first is shown twice. Under valgrind, which knows AES-NI only, secrets are marked as undefined: a jump
 * or an address that comes from one is an error. And on the machine itself, for each set of instructions, a
 * message is traced instruction by instruction with different secrets: where it goes and all that could be an
 * address (every general register) must be the same.
 *
 * valgrind: yes
 */

#include "aegis_each.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ucontext.h>
#include <valgrind/memcheck.h>

#include "aegis_model.h"

enum { ROOM = 4096, STACK = 65536 };

static uint8_t plain[ROOM], sealed[ROOM], back[ROOM], tag[32];
static const size_t lengths[] = {0, 1, 31, 32, 65, 128, 200, 1000};

/* ---- valgrind ---- */

/* Not aegis_open_on(): the answer is public, but valgrind cannot know. */
static bool open_directly(const struct aegis_variant *variant, const struct aegis_case *with,
                          struct aead_part *parts, size_t count)
{
    const struct aead_message message = {with->key, with->nonce, with->ad, with->ad_len, parts, count};
    bool fits = variant->backend->code[variant->kind].open(&message, tag, variant->tag_len);
    VALGRIND_MAKE_MEM_DEFINED(&fits, sizeof fits);
    return fits;
}

static void no_branch_or_address_depends_on_undefined_secrets(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            const size_t len = lengths[i], first = len / 3;
            struct aegis_case with = aegis_random_case(5);
            aegis_random_bytes(plain, len);
            VALGRIND_MAKE_MEM_UNDEFINED(with.key, sizeof with.key);
            VALGRIND_MAKE_MEM_UNDEFINED(plain, len);
            const struct aead_part parts[] = {{plain, sealed, first},
                                              {plain + first, sealed + first, len - first}};
            aegis_seal_parts(&variant, &with, parts, 2, tag);
            VALGRIND_MAKE_MEM_DEFINED(sealed, len); /* public from now on */
            VALGRIND_MAKE_MEM_DEFINED(tag, sizeof tag);
            struct aead_part open[] = {{sealed, back, first}, {sealed + first, back + first, len - first}};
            assert_true(open_directly(&variant, &with, open, 2));
            VALGRIND_MAKE_MEM_DEFINED(&with, sizeof with);
            VALGRIND_MAKE_MEM_DEFINED(plain, len);
            VALGRIND_MAKE_MEM_DEFINED(back, len);
            assert_memory_equal(back, plain, len);
        }
    }
}

/* ---- the trace, of optimised code: other code has data in general registers ---- */

#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)

static uint64_t trace;
static size_t steps;

/* FNV-1a of where the processor is and what its general registers hold. */
static void on_step(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    for (int i = REG_R8; i <= REG_RIP; i++)
        trace = (trace ^ (uint64_t)registers[i]) * 0x100000001b3;
    steps++;
}

/* Calls a backend's code one instruction at a time, with nothing in registers but its arguments. */
static __attribute__((noinline)) bool step_through(uintptr_t code, const struct aead_message *message,
                                                   uint8_t *out_tag, size_t tag_len)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "sub $256, %%rsp\n\t" /* the red zone */
                     "and $-64, %%rsp\n\t"
                     "push %%rbp\n\t"
                     "sub $8, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%r8d, %%r8d\n\t"
                     "xor %%r9d, %%r9d\n\t"
                     "xor %%r10d, %%r10d\n\t"
                     "xor %%r11d, %%r11d\n\t"
                     "xor %%r12d, %%r12d\n\t"
                     "xor %%r13d, %%r13d\n\t"
                     "xor %%r14d, %%r14d\n\t"
                     "xor %%r15d, %%r15d\n\t"
                     "pushfq\n\t"
                     "orq $0x100, (%%rsp)\n\t" /* TF */
                     "popfq\n\t"
                     "call *%%rax\n\t"
                     "pushfq\n\t"
                     "andq $~0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "add $8, %%rsp\n\t"
                     "pop %%rbp\n\t"
                     "mov %%rbx, %%rsp\n\t"
                     : "+a"(code), "+D"(message), "+S"(out_tag), "+d"(tag_len)
                     :
                     : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return (code & 0xff) != 0;
}

/* Seals or opens `len` bytes with new secrets, in parts that end where blocks do. */
static void trace_once(const struct aegis_variant *variant, size_t len, bool opening)
{
    static struct aegis_case with;
    static struct aead_part parts[2];
    static struct aead_message message;
    const struct aegis_code *code = &variant->backend->code[variant->kind];
    const size_t first = len / 2 / variant->block * variant->block;
    with = aegis_random_case(0);
    with.ad = (const uint8_t *)"public";
    with.ad_len = 5;
    aegis_random_bytes(plain, len);
    aegis_seal_whole(variant, &with, plain, len, sealed, tag);
    const uint8_t *in = opening ? sealed : plain;
    uint8_t *out = opening ? back : sealed;
    parts[0] = (struct aead_part){in, out, first};
    parts[1] = (struct aead_part){in + first, out + first, len - first};
    message = (struct aead_message){with.key, with.nonce, with.ad, with.ad_len, parts, 2};
    trace = 0xcbf29ce484222325;
    steps = 0;
    bool fits = step_through(opening ? (uintptr_t)code->open : (uintptr_t)code->seal, &message, tag,
                             variant->tag_len);
    if (opening) {
        assert_true(fits);
        assert_memory_equal(back, plain, len);
    }
}

static void no_step_and_no_address_depends_on_secrets(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip();
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, before;
    sigaction(SIGTRAP, &action, &before);
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t blocks = 0; blocks <= 2; blocks += 2) {
            for (int opening = 0; opening < 2; opening++) {
                trace_once(&variant, blocks * variant.block, opening);
                const uint64_t first_trace = trace;
                const size_t first_steps = steps;
                assert_true(steps > 100);
                trace_once(&variant, blocks * variant.block, opening);
                assert_int_equal(steps, first_steps);
                assert_true(trace == first_trace);
            }
        }
    }
    sigaction(SIGTRAP, &before, NULL);
}

#else

static void no_step_and_no_address_depends_on_secrets(void **state)
{
    (void)state;
    skip();
}

#endif

/* ---- wiping ---- */

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)

static struct {
    uint64_t words[1 << 14];
    size_t count;
} secrets;

static void add_secret(const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at + 8 <= len; at += 8) {
        assert_true(secrets.count < sizeof secrets.words / sizeof *secrets.words);
        memcpy(&secrets.words[secrets.count++], bytes + at, 8);
    }
}

static void add_state(const struct aegis_model *model)
{
    for (int i = 0; i < 8; i++)
        for (int lane = 0; lane < model->lanes; lane++)
            add_secret(model->v[i][lane], 16);
}

static int compare_words(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Eight bytes of a secret at any place: where, or -1. */
static long find_secret(const uint8_t *memory, size_t len)
{
    for (size_t at = 0; at + 8 <= len; at++) {
        uint64_t word;
        memcpy(&word, memory + at, 8);
        if (bsearch(&word, secrets.words, secrets.count, 8, compare_words))
            return (long)at;
    }
    return -1;
}

/* All secrets of sealing `plain`: key, plaintext, keystream and each state. */
static void learn_secrets(const struct aegis_variant *variant, const struct aegis_case *with, size_t len)
{
    uint8_t keystream[ROOM], other[32];
    secrets.count = 0;
    aegis_model_observer = add_state;
    aegis_model_encrypt(variant->lanes, with->key, with->nonce, with->ad, with->ad_len, plain, len, keystream,
                        other, variant->tag_len);
    aegis_model_observer = NULL;
    for (size_t i = 0; i < len; i++)
        keystream[i] ^= plain[i];
    add_secret(with->key, sizeof with->key);
    add_secret(plain, len);
    add_secret(keystream, len);
    qsort(secrets.words, secrets.count, 8, compare_words);
}

static uint8_t stack[STACK] __attribute__((aligned(64))), registers[32][64] __attribute__((aligned(64)));
static ucontext_t test_context, stack_context;
static struct {
    const struct aegis_variant *variant;
    const struct aead_message *message;
    bool opening;
} job;

static void dump_registers(const struct aegis_backend *backend)
{
#ifdef __x86_64__
#define DUMP(n)      __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(registers[n]))
#define DUMP_WIDE(n) __asm__ volatile("vmovdqu64 %%zmm" #n ", %0" : "=m"(registers[n]))
#define DUMP_16(dump, a)                                                                                     \
    dump(a##0);                                                                                              \
    dump(a##1);                                                                                              \
    dump(a##2);                                                                                              \
    dump(a##3);                                                                                              \
    dump(a##4);                                                                                              \
    dump(a##5);                                                                                              \
    dump(a##6);                                                                                              \
    dump(a##7);                                                                                              \
    dump(a##8);                                                                                              \
    dump(a##9)
    DUMP_16(DUMP, );
    DUMP(10);
    DUMP(11);
    DUMP(12);
    DUMP(13);
    DUMP(14);
    DUMP(15);
    if (backend == &aegis_vaes512) {
        DUMP_16(DUMP_WIDE, );
        DUMP_16(DUMP_WIDE, 1);
        DUMP_16(DUMP_WIDE, 2);
        DUMP_WIDE(30);
        DUMP_WIDE(31);
    }
#undef DUMP
#undef DUMP_WIDE
#undef DUMP_16
#else
    (void)backend;
#endif
}

static void run_on_stack(void)
{
    const struct aegis_code *code = &job.variant->backend->code[job.variant->kind];
    if (job.opening)
        (void)code->open(job.message, tag, job.variant->tag_len);
    else
        code->seal(job.message, tag, job.variant->tag_len);
    dump_registers(job.variant->backend);
}

static void check_wiped(const struct aegis_variant *variant, size_t len, bool opening)
{
    const struct aegis_case with = aegis_random_case(37);
    aegis_random_bytes(plain, len);
    aegis_seal_whole(variant, &with, plain, len, sealed, tag);
    learn_secrets(variant, &with, len);
    const uint8_t *in = opening ? sealed : plain;
    const size_t first = len / 3;
    struct aead_part parts[] = {{in, back, first}, {in + first, back + first, len - first}};
    const struct aead_message message = {with.key, with.nonce, with.ad, with.ad_len, parts, 2};
    memset(stack, 0, sizeof stack);
    memset(registers, 0, sizeof registers);
    job.variant = variant;
    job.message = &message;
    job.opening = opening;
    getcontext(&stack_context);
    stack_context.uc_stack.ss_sp = stack;
    stack_context.uc_stack.ss_size = sizeof stack;
    stack_context.uc_link = &test_context;
    makecontext(&stack_context, run_on_stack, 0);
    assert_int_equal(swapcontext(&test_context, &stack_context), 0);
    if (find_secret(stack, sizeof stack) >= 0)
        fail_msg("%s, %d lanes, %zu bytes, %s: something is left %zu bytes below the call",
                 variant->backend->name, variant->lanes, len, opening ? "opened" : "sealed",
                 sizeof stack - (size_t)find_secret(stack, sizeof stack));
    assert_int_equal(find_secret(registers[0], sizeof registers), -1);
}

static void nothing_is_left_on_the_stack_or_in_registers(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND) /* it does not follow a change of stacks */
        skip();
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            check_wiped(&variant, lengths[i], false);
            check_wiped(&variant, lengths[i], true);
        }
    }
}

#else

static void nothing_is_left_on_the_stack_or_in_registers(void **state)
{
    (void)state;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_branch_or_address_depends_on_undefined_secrets),
        cmocka_unit_test(no_step_and_no_address_depends_on_secrets),
        cmocka_unit_test(nothing_is_left_on_the_stack_or_in_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
