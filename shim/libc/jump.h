/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_JUMP_H
#define SOCKSEAL_JUMP_H

/*
 * Doors of functions that find their caller by the return address, as those of dlfcn.h do. They are no C
 * functions: they call `function` with their arguments, which it may change, and jump to the function that it
 * gives, without a frame of their own.
 */

/* What the registers held, and the return address. */
struct jump_call {
    long arguments[3];
    const void *caller;
};

#if defined __x86_64__
#define JUMPING_DOOR(name, function)                                                                         \
    __asm__(".text\n"                                                                                        \
            ".globl " #name "\n"                                                                             \
            ".type " #name ", @function\n" #name ":\n"                                                       \
            ".cfi_startproc\n"                                                                               \
            "endbr64\n"                                                                                      \
            "sub $40, %rsp\n"                                                                                \
            ".cfi_adjust_cfa_offset 40\n"                                                                    \
            "mov %rdi, (%rsp)\n"                                                                             \
            "mov %rsi, 8(%rsp)\n"                                                                            \
            "mov %rdx, 16(%rsp)\n"                                                                           \
            "mov 40(%rsp), %rax\n"                                                                           \
            "mov %rax, 24(%rsp)\n"                                                                           \
            "mov %rsp, %rdi\n"                                                                               \
            "call " #function "\n"                                                                           \
            "mov (%rsp), %rdi\n"                                                                             \
            "mov 8(%rsp), %rsi\n"                                                                            \
            "mov 16(%rsp), %rdx\n"                                                                           \
            "add $40, %rsp\n"                                                                                \
            ".cfi_adjust_cfa_offset -40\n"                                                                   \
            "jmp *%rax\n"                                                                                    \
            ".cfi_endproc\n"                                                                                 \
            ".size " #name ", .-" #name "\n")
#elif defined __aarch64__
#define JUMPING_DOOR(name, function)                                                                         \
    __asm__(".text\n"                                                                                        \
            ".align 2\n"                                                                                     \
            ".globl " #name "\n"                                                                             \
            ".type " #name ", %function\n" #name ":\n"                                                       \
            ".cfi_startproc\n"                                                                               \
            "hint #34\n" /* bti c */                                                                         \
            "stp x29, x30, [sp, #-48]!\n"                                                                    \
            ".cfi_def_cfa_offset 48\n"                                                                       \
            ".cfi_offset 29, -48\n"                                                                          \
            ".cfi_offset 30, -40\n"                                                                          \
            "stp x0, x1, [sp, #16]\n"                                                                        \
            "stp x2, x30, [sp, #32]\n"                                                                       \
            "add x0, sp, #16\n"                                                                              \
            "bl " #function "\n"                                                                             \
            "mov x16, x0\n"                                                                                  \
            "ldp x0, x1, [sp, #16]\n"                                                                        \
            "ldr x2, [sp, #32]\n"                                                                            \
            "ldp x29, x30, [sp], #48\n"                                                                      \
            ".cfi_restore 29\n"                                                                              \
            ".cfi_restore 30\n"                                                                              \
            ".cfi_def_cfa_offset 0\n"                                                                        \
            "br x16\n"                                                                                       \
            ".cfi_endproc\n"                                                                                 \
            ".size " #name ", .-" #name "\n")
#endif

#endif
