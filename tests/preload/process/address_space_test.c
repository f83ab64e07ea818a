/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The address space that connections take (RLIMIT_AS): little for few of them, more when there are more, in
 * whichever process; and what happens where there is none left. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MIB = 1 << 20,
    LITTLE = 128 * MIB, /* for all of a process */
    MANY = 400,
    CROWD = 800, /* pairs: several segments of slots */
    CHILDREN = 4,
    MUCH = 100000, /* more than stands in the chunks beside a connection */
};

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit_address_space(size_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 4 * CROWD)
        skip();
}

static bool goes(int from, int to, char byte)
{
    char got = 0;
    return write(from, &byte, 1) == 1 && read(to, &got, 1) == 1 && got == byte;
}

static bool goes_both_ways(const int pair[2])
{
    return goes(pair[0], pair[1], 'a') && goes(pair[1], pair[0], 'b');
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static void close_pairs(int (*pairs)[2], int count)
{
    for (int i = 0; i < count; i++)
        close_pair(pairs[i]);
}

static void little_for_one_connection(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_true(address_space() < LITTLE);
    close_pair(pair);
}

static void under_a_limit(const struct net *net)
{
    static int pairs[MANY][2];
    limit_address_space(LITTLE);
    allow_descriptors();
    for (int i = 0; i < MANY; i++)
        net_warm_pair(net, pairs[i]);
    for (int i = 0; i < MANY; i++) {
        assert_true(goes_both_ways(pairs[i]));
        close_pair(pairs[i]);
    }
}

static void a_limit_behind_the_first(const struct net *net)
{
    static int pairs[MANY][2];
    allow_descriptors();
    net_warm_pair(net, pairs[0]);
    limit_address_space(LITTLE);
    void *own = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(own != MAP_FAILED);
    for (int i = 1; i < MANY; i++)
        net_warm_pair(net, pairs[i]);
    for (int i = 0; i < MANY; i++) {
        assert_true(goes_both_ways(pairs[i]));
        close_pair(pairs[i]);
    }
    assert_int_equal(munmap(own, 8 * MIB), 0);
}

static const struct suite_case cases[] = {
    {.name = "little for one connection", .run = little_for_one_connection},
    {.name = "under a limit", .run = under_a_limit},
    {.name = "a limit behind the first connection", .run = a_limit_behind_the_first},
};

/* Makes connections until one is refused: how many were made. The listener stays. */
static int fill(int (*pairs)[2], int max, int listener, const struct sockaddr_in *address)
{
    for (int i = 0; i < max; i++) {
        pairs[i][0] = net_client(&net_sealed, 0);
        if (net_connect_to(pairs[i][0], address) < 0)
            return i;
        if ((pairs[i][1] = accept(listener, NULL, NULL)) < 0)
            return i;
        assert_true(goes_both_ways(pairs[i]));
    }
    return max;
}

static void nothing_left(void)
{
    static int pairs[MANY][2];
    struct sockaddr_in address;
    if (!suite_has_library())
        skip();
    allow_descriptors();
    int listener = net_listen(&net_sealed, 5, &address);
    assert_int_equal(fill(pairs, 1, listener, &address), 1);
    limit_address_space(address_space());
    int made = 1 + fill(pairs + 1, MANY - 1, listener, &address);
    assert_true(made < MANY);
    assert_int_equal(errno, ENOBUFS);
    for (int i = 0; i < made; i++)
        assert_true(goes_both_ways(pairs[i]));
    limit_address_space(RLIM_INFINITY);
    close(pairs[made][0]);
    close(listener);
    listener = net_listen(&net_sealed, 5, &address);
    assert_int_equal(fill(pairs + made, MANY - made, listener, &address), MANY - made);
    for (int i = 0; i < MANY; i++)
        assert_true(goes_both_ways(pairs[i]));
    close_pairs(pairs, MANY);
    close(listener);
}

/* Looks at much, so that it stands opened in memory that the parent has not mapped. */
static int leave_far_away(int fd, int told)
{
    static char bytes[MUCH];
    if (recv(fd, bytes, MUCH, MSG_PEEK | MSG_WAITALL) != MUCH || bytes[0] != 'y' || write(told, "", 1) != 1)
        return 2;
    pause();
    return 3;
}

/* The parent has what a child has left there: where it cannot be mapped, that connection fails, and no other.
 */
static void left_by_another_process(size_t room, ssize_t expected)
{
    static char bytes[MUCH];
    int pair[2], other[2], told[2];
    char byte = 0;
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    net_warm_pair(&net_sealed, other);
    assert_int_equal(pipe(told), 0);
    memset(bytes, 'y', sizeof bytes);
    assert_int_equal(write(pair[0], bytes, MUCH), MUCH);
    pid_t child = suite_fork();
    if (child == 0)
        _exit(leave_far_away(pair[1], told[1]));
    assert_int_equal(read(told[0], &byte, 1), 1);
    limit_address_space(address_space() + room);
    errno = 0;
    assert_int_equal(read(pair[1], &byte, 1), expected);
    assert_int_equal(errno, expected < 0 ? ENOBUFS : 0);
    assert_int_equal(byte, expected < 0 ? 0 : 'y');
    assert_true(goes_both_ways(other));
    kill(child, SIGKILL);
    suite_wait(child);
    close_pair(pair);
    close_pair(other);
    close_pair(told);
}

static void left_within_reach(void)
{
    left_by_another_process(16 * MIB, 1);
}

static void left_out_of_reach(void)
{
    left_by_another_process(0, -1);
}

/* A program that has got connections: which stand in its arguments, from "first" to "last". */
static int keeper_role(int argc, char **argv)
{
    int first = atoi(argv[1]), last = atoi(argv[2]);
    char byte;
    (void)argc;
    for (int fd = first; fd <= last; fd++) {
        if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1)
            return 1;
    }
    return 0;
}

static int low_space(void)
{
    return address_space() < 192 * (size_t)MIB ? 0 : 9;
}

/* Makes pairs of its own beside those it has from its parent, and answers on all. */
static int be_one_of_many(int (*pairs)[2], int from, int to)
{
    static int own[CROWD / CHILDREN][2];
    char byte;
    for (int i = 0; i < CROWD / CHILDREN; i++)
        net_warm_pair(&net_sealed, own[i]);
    for (int i = from; i < to; i++) {
        if (read(pairs[i][1], &byte, 1) != 1 || write(pairs[i][1], &byte, 1) != 1)
            return 1;
    }
    for (int i = 0; i < CROWD / CHILDREN; i++) {
        if (!goes_both_ways(own[i]))
            return 2;
    }
    return low_space();
}

static void answered(int fd, char byte)
{
    char got = 0;
    assert_int_equal(write(fd, &byte, 1), 1);
    assert_int_equal(read(fd, &got, 1), 1);
    assert_int_equal(got, byte);
}

static void open_crowd(const struct net *net, int (*pairs)[2])
{
    allow_descriptors();
    for (int i = 0; i < CROWD; i++)
        net_warm_pair(net, pairs[i]);
}

static void crowds_in_several_processes(void)
{
    static int pairs[CROWD][2];
    pid_t children[CHILDREN];
    const int share = CROWD / CHILDREN;
    if (!suite_has_library())
        skip();
    open_crowd(&net_sealed, pairs);
    for (int c = 0; c < CHILDREN; c++) {
        if ((children[c] = suite_fork()) == 0)
            _exit(be_one_of_many(pairs, c * share, (c + 1) * share));
    }
    for (int i = 0; i < CROWD; i++)
        answered(pairs[i][0], (char)('a' + i % 26));
    for (int c = 0; c < CHILDREN; c++)
        assert_int_equal(suite_wait(children[c]), 0);
    assert_int_equal(low_space(), 0);
    close_pairs(pairs, CROWD);
}

/* The last of a crowd go along to another program. */
static void the_last_of_a_crowd_to_the_next_program(void)
{
    static int pairs[CROWD][2];
    char first[16], last[16];
    enum { KEPT = 5 };
    if (!suite_has_library())
        skip();
    open_crowd(&net_sealed, pairs);
    for (int i = 0; i < CROWD; i++) {
        fcntl(pairs[i][0], F_SETFD, FD_CLOEXEC);
        fcntl(pairs[i][1], F_SETFD, FD_CLOEXEC);
    }
    const int base = fcntl(pairs[CROWD - 1][1], F_DUPFD, 3000);
    assert_int_equal(base, 3000);
    for (int i = 1; i < KEPT; i++)
        assert_int_equal(fcntl(pairs[CROWD - 1 - i][1], F_DUPFD, base + i), base + i);
    snprintf(first, sizeof first, "%d", base);
    snprintf(last, sizeof last, "%d", base + KEPT - 1);
    pid_t child = suite_spawn("keeper", (const char *[]){first, last, NULL}, NULL, -1, -1);
    for (int i = 0; i < KEPT; i++)
        answered(pairs[CROWD - 1 - i][0], (char)('k' + i));
    assert_int_equal(suite_wait(child), 0);
    close_pairs(pairs, CROWD);
    for (int i = 0; i < KEPT; i++)
        close(base + i);
}

/* In a program of its own, whose memory is not made yet: a limit on the size of files counts for a memfd. */
static int without_memfd_role(int argc, char **argv)
{
    static int pairs[MANY][2];
    const struct net *net = strcmp(argv[1], "sealed") == 0 ? &net_sealed : &net_plain;
    const struct rlimit small = {4096, 4096};
    char byte;
    (void)argc;
    allow_descriptors();
    limit_address_space(LITTLE);
    if (setrlimit(RLIMIT_FSIZE, &small) < 0)
        return 1;
    for (int i = 0; i < MANY; i++)
        net_warm_pair(net, pairs[i]);
    pid_t child = suite_fork();
    if (child == 0) {
        for (int i = 0; i < MANY; i++) {
            if (read(pairs[i][1], &byte, 1) != 1 || write(pairs[i][1], &byte, 1) != 1)
                _exit(2);
        }
        _exit(0);
    }
    for (int i = 0; i < MANY; i++)
        answered(pairs[i][0], (char)('a' + i % 26));
    return suite_wait(child);
}

static void without_a_memfd(const struct net *net)
{
    pid_t child = suite_spawn("without memfd", (const char *[]){net->name, NULL}, NULL, -1, -1);
    assert_int_equal(suite_wait(child), 0);
}

static const struct suite_case late_cases[] = {
    {.name = "under a limit, without a memfd", .run = without_a_memfd},
};

static const struct suite_test tests[] = {
    {.name = "nothing left", .run = nothing_left},
    {.name = "left by another process, within reach", .run = left_within_reach},
    {.name = "left by another process, out of reach", .run = left_out_of_reach},
    {.name = "crowds in several processes", .run = crowds_in_several_processes},
    {.name = "the last of a crowd to the next program", .run = the_last_of_a_crowd_to_the_next_program},
};

static const struct suite_role roles[] = {
    {"keeper", keeper_role},
    {"without memfd", without_memfd_role},
};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_cases(cases, suite_count(cases));
    suite_cases(late_cases, suite_count(late_cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
