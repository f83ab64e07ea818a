/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/thread.h"

#include <errno.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "sys/file.h"
#include "sys/net.h"
#include "sys/real.h"

#if defined(__SANITIZE_THREAD__)
#define NO_THREADS 1 /* its runtime knows only the threads that it has made */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_THREADS 1
#endif
#endif
#ifndef NO_THREADS
#define NO_THREADS 0
#endif

enum {
    STACK = 256 * 1024,
    GUARD = 64 * 1024, /* the largest page there is */
    /* Room on either side of what is known of thread-local storage: the rest of libc's, and its struct
     * pthread, which has 2,304 bytes in glibc 2.36 and 2.41. */
    MARGIN = 16 * 1024,
};

/* One of the library's own thread-local variables, to learn where its storage is. */
static __thread char own_variable __attribute__((tls_model("initial-exec")));

static uint8_t *thread_pointer(void)
{
#if defined(__x86_64__)
    uint8_t *pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
#elif defined(__aarch64__)
    uint8_t *pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
#endif
}

/* How far from the thread pointer thread-local variables are that the thread uses: the library's own and
 * libc's errno, beside which its other ones are. On x86-64 they are below the thread pointer, on aarch64
 * above it (the ELF TLS ABI's variants II and I). */
static size_t storage_size(void)
{
    const intptr_t here = (intptr_t)thread_pointer();
    const intptr_t one = (intptr_t)&own_variable - here, other = (intptr_t)&errno - here;
#if defined(__x86_64__)
    const intptr_t far = one < other ? -one : -other;
#else
    const intptr_t far = one > other ? one : other;
#endif
    return ((size_t)far + MARGIN + GUARD - 1) / GUARD * GUARD;
}

/* What libc reads at a thread pointer that this thread does not set itself. x86-64 (tcbhead_t of glibc, an
 * ABI of compilers too): the pointer to itself twice, the stack protector's canary and the pointer guard.
 * aarch64 has both in global variables. */
static void fill_header(uint8_t *tls)
{
#if defined(__x86_64__)
    enum { SELF = 0, SELF_AGAIN = 16, CANARY = 40, POINTER_GUARD = 48 };
    const uint8_t *from = thread_pointer();
    memcpy(tls + SELF, &tls, sizeof tls);
    memcpy(tls + SELF_AGAIN, &tls, sizeof tls);
    memcpy(tls + CANARY, from + CANARY, 8);
    memcpy(tls + POINTER_GUARD, from + POINTER_GUARD, 8);
#else
    (void)tls;
#endif
}

/* Guard, stack, storage below the thread pointer, storage above it. */
static bool make_memory(struct thread *thread)
{
    const size_t storage = storage_size();
    if (thread->memory)
        return true;
    size_t size = GUARD + STACK + 2 * storage;
    uint8_t *memory = net_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (memory == MAP_FAILED)
        return false;
    sys_call3(SYS_mprotect, sys_ptr(memory), GUARD, PROT_NONE);
    thread->memory = memory;
    thread->size = size;
    thread->top = memory + GUARD + STACK;
    thread->tls = thread->top + storage;
    return true;
}

/* What an earlier thread has left, such as its id, is not this one's. (Locked memory is not given back,
 * madvise(2).) */
static void clear_storage(struct thread *thread)
{
    const size_t size = (size_t)(thread->memory + thread->size - thread->top);
    if (net_madvise(thread->top, size, MADV_DONTNEED) < 0)
        memset(thread->top, 0, size);
}

/* What it is to do, at the top of its stack. */
struct order {
    int (*run)(void *context);
    void *context;
};

enum { ORDER_ROOM = (sizeof(struct order) + 15) / 16 * 16 }; /* a stack is aligned to 16 bytes */

/* The first of its code. libc's tables of characters, which snprintf(3) uses, are thread-local. */
static int begin(void *context)
{
    const struct order *order = context;
    uselocale(LC_GLOBAL_LOCALE);
    return order->run(order->context);
}

static int clone_thread(struct thread *thread, struct order order)
{
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    uint8_t *top = thread->top - ORDER_ROOM;
    memcpy(top, &order, sizeof order);
    atomic_store(&thread->runs, 1);
    int id = real()->clone(begin, top, flags, top, &thread->number, thread->tls, &thread->runs);
    if (id < 0)
        atomic_store(&thread->runs, 0);
    return id;
}

bool thread_start(struct thread *thread, int (*run)(void *context), void *context)
{
    enum { LAST_MS = 10 };
    uint64_t all = UINT64_MAX, before;
    const int saved = errno;
    if (NO_THREADS || !make_memory(thread))
        return false;
    while (thread_is_alive(thread)) /* the last one is returning, and is on this stack still */
        thread_wait(thread, LAST_MS);
    clear_storage(thread);
    fill_header(thread->tls);
    sys_call(SYS_rt_sigprocmask, SIG_SETMASK, sys_ptr(&all), sys_ptr(&before), sizeof all, 0, 0);
    const bool made = clone_thread(thread, (struct order){run, context}) >= 0;
    sys_call(SYS_rt_sigprocmask, SIG_SETMASK, sys_ptr(&before), 0, sizeof before, 0, 0);
    errno = saved;
    return made;
}

void thread_wait(struct thread *thread, int limit_ms)
{
    const struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000L};
    uint32_t runs = atomic_load(&thread->runs);
    /* Without FUTEX_PRIVATE_FLAG: so the kernel wakes it (CLONE_CHILD_CLEARTID). */
    if (runs)
        net_futex_wait(&thread->runs, runs, &limit);
}

bool thread_is_gone(struct thread *thread)
{
    if (thread_is_alive(thread))
        return false;
    uint32_t number = atomic_load(&thread->number);
    if (number && net_tgkill(sys_getpid(), (int)number, 0) != -ESRCH)
        return false;
    /* Another thread may have the number from now on. */
    return !number || atomic_compare_exchange_strong(&thread->number, &number, 0);
}

void thread_forget(struct thread *thread)
{
    atomic_store(&thread->runs, 0);
    atomic_store(&thread->number, 0);
}
