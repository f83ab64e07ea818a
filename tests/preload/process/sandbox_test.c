/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A program that allows itself few system calls goes on with its sealed connections, and is allowed no others
 * than it would be on plain TCP. */

#include "suite.h"

#include "net.h"
#include "script.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Allows read, write, close and the process's end; all else kills. */
#define ALLOW(number)                                                                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter instructions[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_read),
    ALLOW(SYS_write),
    ALLOW(SYS_close),
    ALLOW(SYS_exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog filter = {suite_count(instructions), instructions};

static bool confine(bool raw)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return false;
    return (raw ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
                : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0)) == 0;
}

/* Reads a word, writes one and closes; `then` is tried in the end. */
static void be_confined(int fd, bool raw, long then)
{
    char word[4];
    if (!confine(raw))
        _exit(90);
    for (int round = 0; round < 3; round++) {
        if (net_read_all(fd, word, 4) != 4 || memcmp(word, "ping", 4) != 0 || write(fd, "pong", 4) != 4)
            _exit(91);
    }
    if (then)
        syscall(then, 0, 0, 0, 0, 0, 0);
    close(fd);
    _exit(0);
}

static void confined(const struct net *net, bool warm, bool raw, long then, int status)
{
    int pair[2];
    char word[4];
    if (warm)
        net_warm_pair(net, pair);
    else
        net_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[0]);
        be_confined(pair[1], raw, then);
    }
    close(pair[1]);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(write(pair[0], "ping", 4), 4);
        assert_int_equal(net_read_all(pair[0], word, 4), 4);
        assert_memory_equal(word, "pong", 4);
    }
    assert_int_equal(suite_wait(child), status);
    close(pair[0]);
}

static void a_filter_by_prctl(const struct net *net)
{
    confined(net, true, false, 0, 0);
    confined(net, false, false, 0, 0);
}

static void a_filter_by_seccomp(const struct net *net)
{
    confined(net, true, true, 0, 0);
    confined(net, false, true, 0, 0);
}

static void what_the_filter_forbids(const struct net *net)
{
    enum { KILLED = 1000 + SIGSYS };
    confined(net, true, false, SYS_socket, KILLED);
    confined(net, true, false, SYS_openat, KILLED);
    confined(net, true, true, SYS_execve, KILLED);
}

/* Allows what a dynamically linked program begins with, besides. */
static struct sock_filter for_exec[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_execve),
    ALLOW(SYS_brk),
    ALLOW(SYS_mmap),
    ALLOW(SYS_munmap),
    ALLOW(SYS_mprotect),
    ALLOW(SYS_openat),
    ALLOW(SYS_newfstatat),
    ALLOW(SYS_fstat),
    ALLOW(SYS_read),
    ALLOW(SYS_pread64),
    ALLOW(SYS_write),
    ALLOW(SYS_close),
#ifdef SYS_access
    ALLOW(SYS_access),
    ALLOW(SYS_arch_prctl),
    ALLOW(SYS_readlink),
#endif
    ALLOW(SYS_faccessat),
    ALLOW(SYS_readlinkat),
    ALLOW(SYS_set_tid_address),
    ALLOW(SYS_set_robust_list),
    ALLOW(SYS_rseq),
    ALLOW(SYS_prlimit64),
    ALLOW(SYS_getrandom),
    ALLOW(SYS_exit_group),
    ALLOW(SYS_socket),
    ALLOW(SYS_bind),
    ALLOW(SYS_listen),
    ALLOW(SYS_connect),
    ALLOW(SYS_accept),
    ALLOW(SYS_accept4),
    ALLOW(SYS_getsockname),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* Becomes the program, in a child that is confined. */
static pid_t run_confined(char *const *argv, int fd, int to)
{
    const struct sock_fprog wider = {suite_count(for_exec), for_exec};
    pid_t child = suite_fork();
    if (child != 0)
        return child;
    if (to >= 0 && to != fd) {
        dup2(fd, to);
        close(fd);
    }
    fcntl(to, F_SETFD, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &wider, 0, 0) < 0)
        _exit(90);
    execv(argv[0], argv);
    _exit(91);
}

static void exec_with_a_connection_at(const struct net *net, int number)
{
    int pair[2];
    char word[4], *argv[SCRIPT_WORDS];
    net_warm_pair(net, pair);
    int to = number < 0 ? pair[1] : number;
    script_arguments((const char *[]){script_step("r %d ping", to), script_step("w %d pong", to), NULL},
                     argv);
    pid_t child = run_confined(argv, pair[1], to);
    close(pair[1]);
    assert_int_equal(write(pair[0], "ping", 4), 4);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(net_read_all(pair[0], word, 4), 4);
    assert_memory_equal(word, "pong", 4);
    assert_int_equal(read(pair[0], word, 1), 0);
    close(pair[0]);
}

static void exec_with_a_connection(const struct net *net)
{
    exec_with_a_connection_at(net, -1);
    exec_with_a_connection_at(net, 0);
}

/* The last descriptor is close-on-exec: the next program ends the connection. */
static void exec_without_the_connection(const struct net *net)
{
    int pair[2];
    char byte, *argv[SCRIPT_WORDS];
    net_warm_pair(net, pair);
    script_arguments((const char *[]){script_step("closed %d", pair[1]), NULL}, argv);
    pid_t child = run_confined(argv, -1, -1);
    close(pair[1]);
    assert_int_equal(read(pair[0], &byte, 1), 0);
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
}

static int own_role(int argc, char **argv)
{
    int pair[2];
    (void)argc;
    net_warm_pair(strcmp(argv[1], "sealed") == 0 ? &net_sealed : &net_plain, pair);
    return 0;
}

static void connections_after_exec(const struct net *net)
{
    char *argv[SCRIPT_WORDS] = {script_program(), "--role", "own", (char *)(uintptr_t)net->name, NULL};
    assert_int_equal(suite_wait(run_confined(argv, -1, -1)), 0);
}

/* accept(2) is the call that such a program has allowed, and not accept4(2). */
static struct sock_filter for_accept[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_read),
    ALLOW(SYS_write),
    ALLOW(SYS_accept),
    ALLOW(SYS_exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static void accept_behind_a_filter(const struct net *net)
{
    struct sockaddr_in address;
    char word[4];
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        const struct sock_fprog narrow = {suite_count(for_accept), for_accept};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &narrow, 0, 0) < 0)
            _exit(90);
        int fd = accept(listener, NULL, NULL);
        _exit(net_read_all(fd, word, 4) == 4 && write(fd, word, 4) == 4 ? 0 : 91);
    }
    int fd = net_connect(net, &address);
    assert_int_equal(write(fd, "ping", 4), 4);
    assert_int_equal(net_read_all(fd, word, 4), 4);
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener);
}

enum { MANY = 300 };

static int accept_many(int listener)
{
    const struct sock_fprog narrow = {suite_count(for_accept), for_accept};
    char byte;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &narrow, 0, 0) < 0)
        return 90;
    for (int i = 0; i < MANY; i++) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 || read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1)
            return 91;
    }
    return 0;
}

/* More than what is mapped for the first ones has room for. */
static void many_behind_a_filter(const struct net *net)
{
    static int fds[MANY];
    struct sockaddr_in address;
    char byte = 'm';
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0)
        _exit(accept_many(listener));
    for (int i = 0; i < MANY; i++) {
        fds[i] = net_connect(net, &address);
        assert_int_equal(write(fds[i], &byte, 1), 1);
        assert_int_equal(read(fds[i], &byte, 1), 1);
    }
    assert_int_equal(suite_wait(child), 0);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    close(listener);
}

/* ---- what is allowed beside the program's own filter ---- */

/* The kernel's answers to calls that a program has no use for. */
struct answers {
    long pipe, memory, splice, option, nodelay, duplicate, directory, receive, send;
};

static void ask(struct answers *out)
{
    static int ends[2], value = 1;
    *out = (struct answers){
        sys_call3(SYS_pipe2, sys_ptr(ends), 0, 0),
        sys_call3(SYS_memfd_create, sys_ptr("x"), MFD_CLOEXEC, 0),
        sys_call(SYS_splice, -1, 0, -1, 0, 0, 0),
        sys_call(SYS_setsockopt, -1, SOL_SOCKET, 999, sys_ptr(&value), sizeof value, 0),
        sys_call(SYS_setsockopt, -1, IPPROTO_TCP, TCP_NODELAY, sys_ptr(&value), sizeof value, 0),
        sys_call3(SYS_dup3, -1, 9, 0),
        sys_call3(SYS_getdents64, -1, 0, 0),
        sys_call3(SYS_recvmsg, -1, 0, 0),
        sys_call(SYS_sendto, -1, 0, 0, 0, 0, 0),
    };
}

/* In a child whose filter allows these calls, and refuses others with EPERM. */
static void answers_behind(const unsigned *allowed, size_t count, int sealed, struct answers *out)
{
    struct answers *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sock_filter list[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    size_t len = 1;
    for (size_t i = 0; i < count; i++) {
        list[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        list[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    list[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    pid_t child = suite_fork();
    if (child == 0) {
        const struct sock_fprog program = {(unsigned short)len, list};
        int pair[2];
        if (sealed)
            net_warm_pair(&net_sealed, pair);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
            _exit(90);
        ask(shared);
        _exit(0);
    }
    assert_int_equal(suite_wait(child), 0);
    *out = *shared;
    munmap(shared, sizeof *shared);
}

/* A program without a connection, and without a way to one: its own filter counts. */
static void nothing_without_a_connection(void)
{
    static const unsigned calls[] = {SYS_write, SYS_exit_group, SYS_execve, SYS_splice};
    struct answers got;
    answers_behind(calls, 2, false, &got);
    const struct answers none = {-EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM};
    assert_memory_equal(&got, &none, sizeof got);
}

static void no_more_than_needed(void)
{
    static const unsigned calls[] = {SYS_write, SYS_exit_group, SYS_execve, SYS_sendfile};
    struct answers got;
    if (!suite_has_library())
        skip();
    answers_behind(calls, 2, true, &got); /* neither exec nor transfers */
    assert_int_equal(got.pipe, -EPERM);
    assert_int_equal(got.splice, -EPERM);
    assert_int_equal(got.option, -EPERM);
    assert_int_equal(got.duplicate, -EPERM);
    assert_int_equal(got.directory, -EPERM);
    assert_int_equal(got.nodelay, -EBADF);
    assert_int_equal(got.receive, -EBADF);
    assert_int_equal(got.send, -EBADF);
    answers_behind(calls, 3, true, &got); /* exec */
    assert_int_equal(got.duplicate, -EBADF);
    assert_int_equal(got.directory, -EBADF);
    assert_int_equal(got.pipe, -EPERM);
    answers_behind(calls, 4, true, &got); /* and transfers */
    assert_int_equal(got.pipe, 0);
    assert_int_not_equal(got.splice, -EPERM);
    assert_int_equal(got.option, -EPERM);
}

/* A call by which a connection can come is enough, whatever arguments the filter wants. */
static void a_way_to_a_connection(void)
{
    static const unsigned ways[] = {SYS_connect, SYS_accept, SYS_accept4, SYS_recvmsg};
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(ways); i++) {
        const unsigned calls[] = {SYS_write, SYS_exit_group, ways[i]};
        struct answers got;
        answers_behind(calls, 3, false, &got);
        assert_int_equal(got.receive, -EBADF);
        assert_int_equal(got.option, -EPERM);
    }
}

/* A pointer whose low half is 0. */
static void *const HALF_NULL = (void *)(uintptr_t)0x700000000;

static void map_executable(void)
{
    syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void set_a_limit(void)
{
    syscall(SYS_prlimit64, 0, RLIMIT_CORE, HALF_NULL, NULL);
}

static void set_a_handler(void)
{
    syscall(SYS_rt_sigaction, SIGUSR1, HALF_NULL, NULL, 8);
}

static void send_to_an_address(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    syscall(SYS_sendto, -1, "x", 1, 0, &address, sizeof address);
}

static void is_killed(void (*act)(void))
{
    pid_t child = suite_fork();
    if (child == 0) {
        if (mmap(HALF_NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
                HALF_NULL ||
            !confine(false))
            _exit(90);
        act();
        _exit(0);
    }
    assert_int_equal(suite_wait(child), 1000 + SIGSYS);
}

static void what_a_filter_forbids_by_arguments(void)
{
    is_killed(map_executable);
    is_killed(set_a_limit);
    is_killed(set_a_handler);
    is_killed(send_to_an_address);
}

/* The program's own filter allows what its fork needs. */
static void forking_in_a_sandbox(const struct net *net)
{
    static struct sock_filter allowing[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_close),
        ALLOW(SYS_clone),
        ALLOW(SYS_set_robust_list),
        ALLOW(SYS_wait4),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog own = {suite_count(allowing), allowing};
    int pair[2], status;
    char text[8] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &own) < 0)
            _exit(90);
        pid_t second = fork();
        if (second == 0)
            _exit(write(pair[0], "second", 6) == 6 ? 0 : 1);
        _exit(waitpid(second, &status, 0) == second && status == 0 ? 0 : 2);
    }
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(net_read_all(pair[1], text, 6), 6);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "many behind a filter", .run = many_behind_a_filter},
    {.name = "accept behind a filter", .run = accept_behind_a_filter},
    {.name = "a filter by prctl", .run = a_filter_by_prctl},
    {.name = "a filter by seccomp", .run = a_filter_by_seccomp},
    {.name = "what the filter forbids", .run = what_the_filter_forbids},
    {.name = "exec with a connection", .run = exec_with_a_connection},
    {.name = "exec without the connection", .run = exec_without_the_connection},
    {.name = "connections after exec", .run = connections_after_exec},
    {.name = "forking in a sandbox", .run = forking_in_a_sandbox},
};

static const struct suite_role own = {"own", own_role};

static const struct suite_test tests[] = {
    {.name = "nothing without a connection", .run = nothing_without_a_connection},
    {.name = "no more than needed", .run = no_more_than_needed},
    {.name = "a way to a connection", .run = a_way_to_a_connection},
    {.name = "what a filter forbids by arguments", .run = what_a_filter_forbids_by_arguments},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_roles(&script_role, 1);
    suite_roles(&own, 1);
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
