/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * A process that shares a connection writes what it likes to the memory that it shares with it. The other
 * holder may lose that connection, with an errno. It must not crash, nor wait for ever, nor read what belongs
 * to another connection.
 *
 * Three processes: the peer, a program of its own, sends 'a' on one connection and 'b' on another; the worker
 * holds both; the attacker, a child that the worker has forked, has closed the second one.
 * SOCKSEAL_TEST_ROUNDS
 * says how many connections are attacked, SOCKSEAL_TEST_SEED where the numbers begin, SOCKSEAL_TEST_PRELOAD
 * what is preloaded instead, as libasan, libubsan and a library of a build with SAN=address,undefined.
 */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 60, STEPS = 12, TARGETS = 16, PATIENCE_S = 20 };

static uint32_t state;

static uint32_t any(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)state * below) >> 32);
}

/* What a number in shared memory becomes: of no size, far too large, one beyond, another's, or anything. */
static uint32_t chosen(uint32_t was)
{
    const uint32_t numbers[] = {0,          UINT32_MAX, 0x7fffffff, 0x80000000, was + 1, was - 1,
                                was * 2,    was ^ 1,    1,          2,          3,       16384,
                                16385,      20464,      20465,      20480,      20481,   0xfffff000,
                                0x0000ffff, 0x00010001, 62,         any(4096),  65536,   any(UINT32_MAX)};
    return numbers[any(sizeof numbers / sizeof *numbers)];
}

struct memory {
    uint32_t *at;
    size_t words;
    bool of_connection;
};

/* Every mapping that is writable and shared: the library's memory of connections, but for the test's own. */
static size_t shared_memory(struct memory *found, size_t most)
{
    char line[512];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && count < most && fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        char rights[5], path[256] = "";
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &from, &to, rights, path) < 3 ||
            strcmp(rights, "rw-s") != 0 || (uintptr_t)suite_trace - from < to - from)
            continue;
        found[count].at = (uint32_t *)from;
        found[count].of_connection = strcmp(path, "/memfd:sockseal") == 0;
        found[count++].words = (to - from) / 4;
    }
    if (maps)
        fclose(maps);
    return count;
}

/* A word that is in use: most often of a connection's state, which comes first in its memory, or of the bytes
 * behind that. */
static uint32_t *target(const struct memory *found, size_t count)
{
    const struct memory *memory = &found[any((uint32_t)count)];
    for (size_t i = 0; any(8) && i < count; i++)
        if (found[i].of_connection)
            memory = &found[i];
    const size_t state_words = memory->words < 1024 ? memory->words : 1024;
    const size_t among = any(3) ? state_words : memory->words;
    for (int i = 0; i < 200; i++) {
        uint32_t *word = &memory->at[any((uint32_t)among)];
        if (*word)
            return word;
    }
    return &memory->at[any((uint32_t)among)];
}

/* The attacker: a few words for a moment each, or for good. */
static void attack(int stop, unsigned manner)
{
    static struct memory found[64];
    const size_t count = shared_memory(found, 64);
    struct pollfd stopped = {.fd = stop, .events = POLLIN};
    uint32_t *words[TARGETS], was[TARGETS];
    if (count == 0)
        _exit(0);
    do {
        const uint32_t number = 1 + any(manner % 4 ? 2 : TARGETS);
        for (uint32_t i = 0; i < number; i++) {
            words[i] = target(found, count);
            was[i] = __atomic_load_n(words[i], __ATOMIC_RELAXED);
            __atomic_store_n(words[i], chosen(was[i]), __ATOMIC_RELAXED);
        }
        if (poll(&stopped, 1, (int)any(2)) != 0)
            break;
        for (uint32_t i = 0; manner & 1 && i < number; i++)
            __atomic_store_n(words[i], was[i], __ATOMIC_RELAXED);
    } while (true);
    _exit(0);
}

/* The peer: connects twice, and sends what is asked for, and what is not, to either. */
static int be_peer(int argc, char **argv)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)),
                                   .sin_addr = {htonl(0x7f4d0001)}};
    static char letters[2][40000], got[40000];
    signal(SIGPIPE, SIG_IGN);
    memset(letters[0], 'a', sizeof letters[0]);
    memset(letters[1], 'b', sizeof letters[1]);
    for (;;) {
        struct pollfd ends[2];
        for (int i = 0; i < 2; i++) {
            ends[i] = (struct pollfd){.fd = net_client(&net_sealed, SOCK_NONBLOCK), .events = POLLIN};
            if (net_connect_to(ends[i].fd, &to) < 0 && errno != EINPROGRESS)
                return 0; /* the worker has ended */
        }
        for (bool open = true; open && poll(ends, 2, PATIENCE_S * 1000) > 0;) {
            for (int i = 0; i < 2; i++) {
                ssize_t n = ends[i].revents ? read(ends[i].fd, got, sizeof got) : 1;
                open = open && (n > 0 || i == 0);
                if (n <= 0 && !(n < 0 && errno == EAGAIN))
                    ends[i].events = 0, ends[i].fd = ends[i].fd > 0 ? -ends[i].fd : ends[i].fd;
                for (ssize_t k = 0; n > 0 && ends[i].revents && k < n; k++) {
                    size_t size = got[k] == 's' ? 100 : got[k] == 'l' ? sizeof letters[i] : 0;
                    if (size && write(ends[i].fd, letters[i], size) < 0)
                        break;
                }
            }
        }
        for (int i = 0; i < 2; i++)
            close(ends[i].fd < 0 ? -ends[i].fd : ends[i].fd);
    }
}

/* What comes is not of the other connection. (A sharer may put anything else there.) */
static void take(int fd, ssize_t n, const char *got)
{
    static const char foreign[] = "bbbbbbbb";
    if (n >= (ssize_t)sizeof foreign && memmem(got, (size_t)n, foreign, sizeof foreign - 1)) {
        dprintf(2, "descriptor %d gave what belongs to another connection\n", fd);
        _exit(9);
    }
}

static void read_some(int fd)
{
    static char got[50000];
    const size_t size = (size_t)1 << any(15);
    memset(got, 0, sizeof got);
    take(fd, recv(fd, got, size, any(2) ? MSG_PEEK : 0), got);
}

static void run_child(int fd)
{
    const pid_t child = fork();
    if (child == 0) {
        if (any(2))
            execl("/bin/true", "true", NULL);
        ssize_t n = write(fd, "s", 1);
        _exit(n < 0);
    }
    waitpid(child, NULL, 0);
}

static void move_by_pipe(int fd)
{
    static char got[5000];
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) < 0)
        return;
    ssize_t n = splice(fd, NULL, ends[1], NULL, sizeof got, SPLICE_F_NONBLOCK);
    if (n > 0)
        take(fd, read(ends[0], got, (size_t)n), got);
    close(ends[0]);
    close(ends[1]);
}

/* One call of those that a program makes. Their results are not looked at: any error is allowed. */
static void step(int fd)
{
    static const char asks[30000] = "sslsll";
    struct pollfd poll_it = {.fd = fd, .events = (short)(any(2) ? POLLIN : POLLIN | POLLOUT)};
    int number, error;
    ssize_t n = 0;
    switch (any(12)) {
    case 0:
    case 1:
        n = write(fd, asks, 1 + any(6));
        break;
    case 2:
        n = write(fd, asks + 6, 1 + any(sizeof asks - 6)); /* nothing is asked for */
        break;
    case 3:
        poll(&poll_it, 1, (int)any(3));
        break;
    case 4:
        ioctl(fd, any(2) ? FIONREAD : TIOCOUTQ, &number);
        break;
    case 5:
        run_child(fd);
        break;
    case 6:
        move_by_pipe(fd);
        break;
    case 7:
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
        break;
    default:
        poll(&poll_it, 1, 1);
        read_some(fd);
        break;
    }
    (void)n;
}

/* The connection that nobody else holds is whole: what is asked for comes. */
static void expect_whole(int fd)
{
    static char got[40000];
    net_set_nonblock(fd, false);
    if (write(fd, "l", 1) != 1 || net_read_all(fd, got, sizeof got) != sizeof got) {
        dprintf(2, "the other connection: %s\n", strerror(errno));
        _exit(8);
    }
    for (size_t i = 0; i < sizeof got; i++)
        if (got[i] != 'b')
            _exit(8);
}

static void round_of(int listener, int index)
{
    int fd[2], stop[2];
    for (int i = 0; i < 2; i++)
        fd[i] = accept(listener, NULL, NULL);
    if (fd[0] < 0 || fd[1] < 0 || pipe(stop) < 0)
        _exit(7);
    expect_whole(fd[1]);
    net_set_nonblock(fd[0], true);
    const pid_t attacker = fork();
    if (attacker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        state ^= 0x5bd1e995;
        close(fd[1]);
        close(stop[1]);
        attack(stop[0], (unsigned)index);
    }
    close(stop[0]);
    for (int i = 0; i < STEPS; i++)
        step(fd[0]);
    if (any(2))
        shutdown(fd[0], (int)any(3));
    close(fd[0]);
    close(stop[1]);
    waitpid(attacker, NULL, 0);
    expect_whole(fd[1]);
    close(fd[1]);
}

static int be_worker(int argc, char **argv)
{
    struct sockaddr_in address;
    const char *seed = argc > 1 ? argv[1] : "0";
    const int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    const int listener = net_listen(&net_sealed, 16, &address);
    char port[16];
    signal(SIGPIPE, SIG_IGN);
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    const char *const args[] = {port, NULL};
    const pid_t peer = suite_spawn("peer", args, NULL, -1, -1);
    for (int i = 0; i < rounds; i++) {
        alarm(PATIENCE_S); /* ends the process: a call has not come back */
        state = (uint32_t)(strtoul(seed, NULL, 10) + (unsigned)i * 7919);
        round_of(listener, i);
    }
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    return 0;
}

static void overwritten(void)
{
    const char *rounds = getenv("SOCKSEAL_TEST_ROUNDS"), *seed = getenv("SOCKSEAL_TEST_SEED");
    const char *const args[] = {seed ? seed : "1", rounds ? rounds : "60", NULL};
    char preload[2000] = "LD_PRELOAD=";
    const char *other = getenv("SOCKSEAL_TEST_PRELOAD");
    const char *const changes[] = {"SOCKSEAL_LOG=quiet", other ? preload : NULL, NULL};
    if (other)
        strncat(preload, other, sizeof preload - sizeof "LD_PRELOAD=");
    assert_int_equal(suite_wait(suite_spawn("worker", args, changes, -1, -1)), 0);
}

/* ---- the locks of a connection alone: in the last page of its area, the words behind its generation ---- */

enum { LOCKS_AT = 1, LOCKS = 2 }; /* in words of 64 bits */
#if defined(__x86_64__)
enum { PAGE_WORDS = 4096 / 4 };
#else
enum { PAGE_WORDS = 65536 / 4 }; /* shm/region_layout.h */
#endif

/* Of each area that this process reaches, since it holds one connection alone; until it is killed. */
static void overwrite_locks(uint64_t word, int ready)
{
    static struct memory found[64];
    const size_t count = shared_memory(found, 64);
    for (bool told = false;; told = true) {
        for (size_t i = 0; i < count; i++) {
            uint32_t *page = found[i].at + found[i].words - PAGE_WORDS;
            _Atomic uint64_t *locks = (_Atomic uint64_t *)(void *)page + LOCKS_AT;
            for (int k = 0; found[i].of_connection && k < LOCKS; k++)
                locks[k] = word;
        }
        if (!told && write(ready, "r", 1) != 1)
            _exit(1);
    }
}

/* The word without its owner's id. */
static uint64_t space_of_ids(void)
{
    struct stat info;
    assert_int_equal(stat("/proc/self/ns/pid", &info), 0);
    return (uint64_t)info.st_ino << 32;
}

/* Every call comes back, blocking ones too, and none as if all were well for ever. */
static void use(int fd)
{
    char bytes[100] = {0};
    struct pollfd waits = {.fd = fd, .events = POLLIN | POLLOUT};
    for (int i = 0; i < 3; i++) {
        ssize_t n = write(fd, bytes, sizeof bytes);
        poll(&waits, 1, 0);
        n += read(fd, bytes, sizeof bytes);
        (void)n;
    }
    assert_true(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) < 0 && errno == EIO);
    close(fd);
}

static void attack_locks(uint64_t word)
{
    int pair[2], ready[2];
    char byte;
    static const char something[1000];
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(net_write_all(pair[0], something, sizeof something), sizeof something);
    assert_int_equal(pipe(ready), 0);
    const pid_t attacker = suite_fork();
    if (attacker == 0) {
        close(pair[0]);
        overwrite_locks(word ? word : space_of_ids() | (uint32_t)getpid(), ready[1]);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    use(pair[1]);
    kill(attacker, SIGKILL);
    waitpid(attacker, NULL, 0);
    close(pair[0]);
    close(ready[0]);
    close(ready[1]);
}

static void locks_of_nobody(void)
{
    attack_locks(UINT64_C(0x40000000));
    attack_locks(UINT64_MAX);
    attack_locks(space_of_ids());
}

static void locks_of_the_caller(void)
{
    attack_locks(space_of_ids() | (uint32_t)getpid());
}

static void locks_that_stay_locked(void)
{
    attack_locks(0);
}

/* Stopped while it computes, as far as another can see. */
static void locks_of_a_stopped_process(void)
{
    int pair[2], ready[2];
    char byte;
    static const char something[1000];
    net_warm_pair(&net_sealed, pair);
    assert_int_equal(net_write_all(pair[0], something, sizeof something), sizeof something);
    assert_int_equal(pipe(ready), 0);
    const pid_t attacker = suite_fork();
    if (attacker == 0) {
        close(pair[0]);
        overwrite_locks(space_of_ids() | (uint32_t)getpid(), ready[1]);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(attacker, SIGSTOP);
    assert_int_equal(waitpid(attacker, NULL, WUNTRACED), attacker);
    net_set_nonblock(pair[1], true);
    use(pair[1]);
    kill(attacker, SIGKILL);
    waitpid(attacker, NULL, 0);
    close(pair[0]);
    close(ready[0]);
    close(ready[1]);
}

static const struct suite_test tests[] = {
    {"memory that a sharer overwrites", overwritten, 3600},
    {"locks that name nobody", locks_of_nobody, 120},
    {"locks that name the caller", locks_of_the_caller, 120},
    {"locks that a sharer does not give back", locks_that_stay_locked, 120},
    {"locks of a stopped sharer", locks_of_a_stopped_process, 120},
};

static const struct suite_role roles[] = {{"peer", be_peer}, {"worker", be_worker}};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_roles(roles, suite_count(roles));
    return suite_run(argc, argv);
}
