/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Where the command starts: what the C library's crt1.o does, but bound to the first version of
 * __libc_start_main instead of that of glibc 2.34. It gets no functions for constructors and destructors: an
 * older glibc has none to run here then, and a newer one finds them by itself.
 */

void _start(void);

#if defined __x86_64__
__asm__(".symver __libc_start_main, __libc_start_main@GLIBC_2.2.5\n"
        ".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "endbr64\n"
        "xor %ebp, %ebp\n"
        "mov %rdx, %r9\n" /* the dynamic linker's own function for the end */
        "pop %rsi\n"      /* argc */
        "mov %rsp, %rdx\n"
        "and $-16, %rsp\n"
        "push %rax\n"
        "push %rsp\n" /* the stack's end */
        "xor %r8d, %r8d\n"
        "xor %ecx, %ecx\n"
        "lea main(%rip), %rdi\n"
        "call *__libc_start_main@GOTPCREL(%rip)\n"
        "hlt\n"
        ".cfi_endproc\n"
        ".size _start, .-_start\n");
#elif defined __aarch64__
__asm__(".symver __libc_start_main, __libc_start_main@GLIBC_2.17\n"
        ".text\n"
        ".align 2\n"
        ".globl _start\n"
        ".type _start, %function\n"
        "_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "hint #34\n" /* bti c */
        "hint #34\n" /* bti c */
        "mov x29, #0\n"
        "mov x30, #0\n"
        "mov x5, x0\n"   /* the dynamic linker's own function for the end */
        "ldr x1, [sp]\n" /* argc */
        "add x2, sp, #8\n"
        "mov x6, sp\n" /* the stack's end */
        "mov x3, #0\n"
        "mov x4, #0\n"
        "adrp x0, main\n"
        "add x0, x0, :lo12:main\n"
        "bl __libc_start_main\n"
        "brk #1\n"
        ".cfi_endproc\n"
        ".size _start, .-_start\n");
#endif
