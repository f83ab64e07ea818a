/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* fork(2): parent and child share a connection. */

#include "suite.h"

#include "net.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 50, FRAME = 256, FRAMES = 500 };

/* Parent and child write in turn, and the other end sees one stream. */
static void writing_in_turn(const struct net *net)
{
    int pair[2], turn[2], back[2];
    char byte = 't', text[16];
    net_pair(net, pair);
    assert_int_equal(pipe(turn), 0);
    assert_int_equal(pipe(back), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        for (int i = 0; i < ROUNDS; i++)
            if (read(turn[0], &byte, 1) != 1 || write(pair[0], "child ", 6) != 6 ||
                write(back[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(write(pair[0], "parent", 6), 6);
        assert_int_equal(write(turn[1], &byte, 1), 1);
        assert_int_equal(read(back[0], &byte, 1), 1);
        assert_int_equal(net_read_all(pair[1], text, 12), 12);
        assert_memory_equal(text, "parentchild ", 12);
    }
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(write(pair[0], "after", 5), 5);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    close(pair[0]);
    assert_int_equal(read(pair[1], text, 1), 0);
    close(pair[1]);
    for (int i = 0; i < 2; i++)
        close(turn[i]), close(back[i]);
}

/* What one read only in part, the other reads on. */
static void reading_in_turn(const struct net *net)
{
    int pair[2];
    char text[16];
    net_warm_pair(net, pair);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(write(pair[0], "0123456789", 10), 10);
        assert_int_equal(net_read_all(pair[1], text, 4), 4);
        pid_t child = suite_fork();
        if (child == 0) {
            size_t n = net_read_all(pair[1], text + 4, 3);
            _exit(n == 3 && memcmp(text + 4, "456", 3) == 0 ? 0 : 1);
        }
        assert_int_equal(suite_wait(child), 0);
        assert_int_equal(net_read_all(pair[1], text + 7, 3), 3);
        assert_memory_equal(text + 7, "789", 3);
    }
    close(pair[0]), close(pair[1]);
}

struct frame {
    uint32_t writer, number;
    uint8_t fill[FRAME - 8];
};

static int write_frames(int fd, uint32_t writer)
{
    struct frame frame = {.writer = writer};
    for (frame.number = 0; frame.number < FRAMES; frame.number++) {
        net_pattern(frame.fill, sizeof frame.fill, (uint64_t)writer << 32 | frame.number);
        if (write(fd, &frame, sizeof frame) != sizeof frame)
            return 1;
    }
    return 0;
}

/* Four processes write to one end at the same time; each writer's frames arrive whole and in order. */
static void writing_at_once(const struct net *net)
{
    enum { WRITERS = 4 };
    int pair[2];
    pid_t children[WRITERS];
    uint32_t next[WRITERS] = {0};
    struct frame frame;
    uint8_t expected[sizeof frame.fill];
    net_pair(net, pair);
    for (uint32_t i = 0; i < WRITERS; i++) {
        children[i] = suite_fork();
        if (children[i] == 0)
            _exit(write_frames(pair[0], i));
    }
    for (int i = 0; i < WRITERS * FRAMES; i++) {
        assert_int_equal(net_read_all(pair[1], &frame, sizeof frame), sizeof frame);
        assert_in_range(frame.writer, 0, WRITERS - 1);
        assert_int_equal(frame.number, next[frame.writer]++);
        net_pattern(expected, sizeof expected, (uint64_t)frame.writer << 32 | frame.number);
        assert_memory_equal(frame.fill, expected, sizeof expected);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(suite_wait(children[i]), 0);
    close(pair[0]), close(pair[1]);
}

/* Several processes read from one end at once, each whatever is next: all bytes are accounted for. */
struct share {
    size_t histogram[256];
    bool ok;
};

static void read_share(int fd, struct share *share)
{
    uint8_t data[700];
    ssize_t n;
    while ((n = recv(fd, data, sizeof data, 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            share->histogram[data[i]]++;
    share->ok = n == 0;
}

static void reading_at_once(const struct net *net)
{
    enum { READERS = 4, ROUND = 5000, TIMES = 100 };
    static uint8_t data[ROUND];
    int pair[2];
    pid_t children[READERS];
    size_t missing[256] = {0};
    struct share *shares =
        mmap(NULL, sizeof *shares * READERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    net_warm_pair(net, pair);
    for (int i = 0; i < READERS; i++) {
        children[i] = suite_fork();
        if (children[i] == 0) {
            close(pair[0]);
            read_share(pair[1], &shares[i]);
            _exit(0);
        }
    }
    for (int time = 0; time < TIMES; time++) {
        net_pattern(data, sizeof data, (uint64_t)time * ROUND);
        assert_int_equal(net_write_all(pair[0], data, sizeof data), sizeof data);
        for (size_t i = 0; i < sizeof data; i++)
            missing[data[i]]++;
    }
    shutdown(pair[0], SHUT_WR);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(suite_wait(children[i]), 0);
        assert_true(shares[i].ok);
        for (int value = 0; value < 256; value++)
            missing[value] -= shares[i].histogram[value];
    }
    for (int value = 0; value < 256; value++)
        assert_int_equal(missing[value], 0);
    close(pair[0]), close(pair[1]);
}

/* The parent's close does not end what the child still uses, nor the child's what the parent uses. */
static void a_close_in_one_leaves_the_other(const struct net *net)
{
    int pair[2], done[2];
    char text[8], byte;
    net_pair(net, pair);
    assert_int_equal(pipe(done), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        close(done[1]);
        if (read(done[0], &byte, 1) != 0)
            _exit(1);
        _exit(write(pair[0], "child", 5) == 5 ? 0 : 1);
    }
    assert_int_equal(write(pair[0], "first", 5), 5);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    close(pair[0]);
    assert_int_equal(net_wait(pair[1], POLLIN, 30), 0);
    close(done[0]), close(done[1]);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    assert_memory_equal(text, "child", 5);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(read(pair[1], text, 1), 0);
    close(pair[1]);
}

static void a_child_that_ends_leaves_the_connection(const struct net *net)
{
    int pair[2];
    char text[8];
    net_warm_pair(net, pair);
    for (int how = 0; how < 4; how++) {
        pid_t child = suite_fork();
        if (child == 0) {
            if (how == 0)
                exit(0);
            if (how == 1)
                close(pair[0]), close(pair[1]);
            if (how == 2)
                abort();
            _exit(0);
        }
        suite_wait(child);
        assert_int_equal(write(pair[0], "on", 2), 2);
        assert_int_equal(net_read_all(pair[1], text, 2), 2);
    }
    close(pair[0]), close(pair[1]);
}

/* A forking server: the parent accepts and closes, the child serves. */
static int serve_forking(int listener, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = accept(listener, NULL, NULL);
        pid_t child = suite_fork();
        if (child == 0) {
            char text[8];
            close(listener);
            ssize_t n = read(fd, text, sizeof text);
            exit(n > 0 && net_write_all(fd, text, (size_t)n) == (size_t)n ? 0 : 1);
        }
        close(fd);
    }
    for (int i = 0; i < count; i++) {
        int status = 1;
        if (wait(&status) < 0 || status != 0)
            return 1;
    }
    return 0;
}

static void a_forking_server(const struct net *net)
{
    enum { CLIENTS = 20 };
    struct sockaddr_in address;
    int fds[CLIENTS];
    char text[8];
    int listener = net_listen(net, CLIENTS, &address);
    pid_t server = suite_fork();
    if (server == 0)
        exit(serve_forking(listener, CLIENTS));
    close(listener);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = net_connect(net, &address);
    for (int i = CLIENTS - 1; i >= 0; i--)
        assert_int_equal(write(fds[i], "hello", 5), 5);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(net_read_all(fds[i], text, sizeof text), 5);
        assert_memory_equal(text, "hello", 5);
        close(fds[i]);
    }
    assert_int_equal(suite_wait(server), 0);
}

/* The child finishes the handshake that the parent began. */
static void forked_in_the_handshake(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 4, &address);
    int one = net_connect(net, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        int ok = write(one, "child", 5) == 5 && net_read_all(one, text, 3) == 3;
        _exit(ok && memcmp(text, "yes", 3) == 0 ? 0 : 1);
    }
    int two = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(two, text, 5), 5);
    assert_int_equal(write(two, "yes", 3), 3);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(write(one, "parent", 6), 6);
    assert_int_equal(net_read_all(two, text, 6), 6);
    assert_memory_equal(text, "parent", 6);
    close(one), close(two), close(listener);
}

/* Workers that accept from one listening socket, as nginx's do. */
static void workers_share_a_listener(const struct net *net)
{
    enum { WORKERS = 4, EACH = 10 };
    struct sockaddr_in address;
    pid_t workers[WORKERS];
    char text[8];
    int listener = net_listen(net, 64, &address);
    for (int w = 0; w < WORKERS; w++) {
        workers[w] = suite_fork();
        if (workers[w] != 0)
            continue;
        for (int i = 0; i < EACH; i++) {
            int fd = accept(listener, NULL, NULL);
            ssize_t n = read(fd, text, sizeof text);
            if (n <= 0 || write(fd, text, (size_t)n) != n)
                _exit(1);
            close(fd);
        }
        _exit(0);
    }
    for (int i = 0; i < WORKERS * EACH; i++) {
        int fd = net_connect(net, &address);
        assert_int_equal(write(fd, "work", 4), 4);
        assert_int_equal(net_read_all(fd, text, sizeof text), 4);
        close(fd);
    }
    for (int w = 0; w < WORKERS; w++)
        assert_int_equal(suite_wait(workers[w]), 0);
    close(listener);
}

/* The letter in /proc/PID/stat: of the process's first thread. */
static char state_of(pid_t process)
{
    char path[32], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    return strrchr(text, ')')[2];
}

struct later {
    int fd, gate;
};

/* Answers when the parent has closed its own. */
static void *answer_later(void *context)
{
    const struct later *later = context;
    char text[8];
    ssize_t closed = read(later->gate, text, 1);
    if (closed == 0 && net_read_all(later->fd, text, 3) == 3 && write(later->fd, "answer", 6) == 6)
        exit(0);
    _exit(1);
}

/* A process is not dead when its first thread is. */
static void a_child_goes_on_without_its_first_thread(const struct net *net)
{
    int pair[2], gate[2];
    char text[8];
    pthread_t thread;
    net_warm_pair(net, pair);
    assert_int_equal(pipe(gate), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        struct later *later = malloc(sizeof *later);
        *later = (struct later){pair[0], gate[0]};
        close(gate[1]), close(pair[1]);
        if (pthread_create(&thread, NULL, answer_later, later) == 0)
            pthread_exit(NULL);
        _exit(2);
    }
    while (state_of(child) != 'Z')
        sched_yield();
    close(pair[0]), close(gate[0]), close(gate[1]);
    assert_int_equal(write(pair[1], "ask", 3), 3);
    assert_int_equal(net_read_all(pair[1], text, 6), 6);
    assert_memory_equal(text, "answer", 6);
    assert_int_equal(read(pair[1], text, 1), 0);
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]);
}

/* The last to close is the parent, who has never heard of SO_LINGER. */
static void a_child_sets_linger(const struct net *net)
{
    int pair[2], error = 0;
    char text[8];
    socklen_t len = sizeof error;
    const struct linger abort = {.l_onoff = 1};
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0)
        _exit(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &abort, sizeof abort) < 0);
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]);
    assert_int_equal(read(pair[1], text, sizeof text), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(getsockopt(pair[1], SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, 0);
    close(pair[1]);
}

/* As an emulator or a sandbox has it: MADV_WIPEONFORK does nothing, and says that all is well. (The filter is
 * not the library's business here, so it is installed past its doors.) */
static bool keep_memory_at_forks(void)
{
    static struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_WIPEONFORK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {suite_count(instructions), instructions};
    int (*set)(int, ...) = (int (*)(int, ...))dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), "prctl");
    return set(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           set(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

static void where_memory_is_not_wiped(const struct net *net)
{
    int pair[2];
    char byte;
    assert_true(keep_memory_at_forks());
    net_warm_pair(net, pair);
    for (int i = 0; i < 2; i++) {
        pid_t child = i ? suite_fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0)
            _exit(write(pair[0], "c", 1) != 1);
        assert_int_equal(suite_wait(child), 0);
        assert_int_equal(read(pair[1], &byte, 1), 1);
    }
    close(pair[0]);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "writing in turn", .run = writing_in_turn},
    {.name = "reading in turn", .run = reading_in_turn},
    {.name = "writing at once", .run = writing_at_once},
    {.name = "reading at once", .run = reading_at_once},
    {.name = "a close in one leaves the other", .run = a_close_in_one_leaves_the_other},
    {.name = "a child that ends leaves the connection", .run = a_child_that_ends_leaves_the_connection},
    {.name = "a child goes on without its first thread", .run = a_child_goes_on_without_its_first_thread},
    {.name = "where memory is not wiped", .run = where_memory_is_not_wiped},
    {.name = "a child sets SO_LINGER", .run = a_child_sets_linger},
    {.name = "a forking server", .run = a_forking_server},
    {.name = "forked in the handshake", .run = forked_in_the_handshake},
    {.name = "workers share a listener", .run = workers_share_a_listener},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
