/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the library has decrypted is in no core dump, and nowhere once the program has read it.
 * Nor is what it encrypts or decrypts in a forked child. */

#include "suite.h"

#include "net.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT = 48 };

/* What the peer sends, again and again. It stands nowhere in this process's own memory, but for the stack. */
static void make_text(char text[static TEXT])
{
    for (int i = 0; i < TEXT; i++)
        text[i] = (char)('!' + (i * 37 + 11) % 90);
}

/* Where the text is in this process's writable memory, but for its stacks. */
struct found {
    bool anywhere, dumped;
};

static bool holds(int memory, unsigned long from, unsigned long to)
{
    static char bytes[1 << 16];
    char text[TEXT];
    bool held = false;
    make_text(text);
    for (unsigned long at = from; at < to && !held; at += sizeof bytes - TEXT) {
        const size_t len = to - at < sizeof bytes ? to - at : sizeof bytes;
        const ssize_t n = pread(memory, bytes, len, (off_t)at);
        const bool own = at < (unsigned long)bytes + sizeof bytes && at + len > (unsigned long)bytes;
        held = n > 0 && !own && memmem(bytes, (size_t)n, text, TEXT);
    }
    memset(bytes, 0, sizeof bytes);
    return held;
}

static struct found look(void)
{
    char line[300];
    struct found found = {0};
    bool held = false;
    const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3)
            held =
                rights[0] == 'r' && rights[1] == 'w' && !strstr(line, "[stack]") && holds(memory, from, to);
        else if (strncmp(line, "VmFlags:", 8) == 0) {
            found.anywhere = found.anywhere || held;
            found.dumped = found.dumped || (held && !strstr(line, " dd"));
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

/* A peer in a process of its own, which sends so many texts. */
static int peer_that_sends(int count, pid_t *peer)
{
    int pair[2];
    net_warm_pair(&net_sealed, pair);
    *peer = suite_fork();
    if (*peer == 0) {
        char text[TEXT];
        close(pair[1]);
        make_text(text);
        for (int i = 0; i < count; i++)
            if (write(pair[0], text, TEXT) != TEXT)
                _exit(1);
        shutdown(pair[0], SHUT_WR);
        _exit(read(pair[0], text, 1) != 0);
    }
    close(pair[0]);
    return pair[1];
}

static void read_away(int fd, size_t step, int count)
{
    char got[4096];
    size_t total = 0;
    ssize_t n;
    while ((n = read(fd, got, step)) > 0)
        total += (size_t)n;
    memset(got, 0, sizeof got);
    assert_int_equal(n, 0);
    assert_int_equal(total, (size_t)count * TEXT);
}

static void queued(size_t step)
{
    enum { COUNT = 200 };
    pid_t peer;
    char byte;
    const int fd = peer_that_sends(COUNT, &peer);
    assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1); /* it is decrypted into the connection's queue */
    const struct found before = look();
    assert_true(before.anywhere);
    assert_false(before.dumped);
    read_away(fd, step, COUNT);
    const struct found after = look();
    assert_false(after.anywhere);
    close(fd);
    assert_int_equal(suite_wait(peer), 0);
}

static void peeked_and_read(void)
{
    queued(4096);
}

static void read_in_small_pieces(void)
{
    queued(7);
}

/* The library reads a file into memory of its own, where the bytes may stay until others come. */
static void in_no_child(void)
{
    char text[TEXT];
    int pair[2];
    const int file = memfd_create("text", MFD_CLOEXEC);
    net_warm_pair(&net_sealed, pair);
    make_text(text);
    assert_int_equal(write(file, text, TEXT), TEXT);
    assert_int_equal(sendfile(pair[0], file, &(off_t){0}, TEXT), TEXT);
    assert_int_equal(net_read_all(pair[1], text, TEXT), TEXT);
    memset(text, 0, sizeof text);
    const pid_t child = suite_fork();
    if (child == 0)
        _exit(look().anywhere);
    assert_int_equal(suite_wait(child), 0);
    close(file), close(pair[0]), close(pair[1]);
}

/* How many pages of connections the kernel keeps from being swapped out. */
static unsigned locked_pages(void)
{
    char line[300];
    unsigned pages = 0, kib;
    bool of_connection = false;
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2)
            of_connection = strstr(line, "/memfd:sockseal ") != NULL;
        else if (of_connection && sscanf(line, "Locked: %u kB", &kib) == 1)
            pages += kib > 0;
    }
    fclose(maps);
    return pages;
}

/* The limit is asked for once. */
static unsigned locked_with_limit(rlim_t limit)
{
    int pair[2];
    const struct rlimit both = {limit, limit};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &both), 0);
    net_warm_pair(&net_sealed, pair);
    const unsigned pages = locked_pages();
    close(pair[0]);
    close(pair[1]);
    return pages;
}

static void keys_are_locked(void)
{
    if (suite_has_library())
        assert_int_equal(locked_with_limit(8 << 20), 2); /* both ends */
}

static void the_limit_is_left_to_the_program(void)
{
    assert_int_equal(locked_with_limit(64 << 10), 0);
}

static const struct suite_test tests[] = {
    {"the keys of connections are locked in memory", keys_are_locked, 30},
    {"a small limit is left to the program", the_limit_is_left_to_the_program, 30},
    {"what was decrypted is dumped nowhere, and wiped when it is read", peeked_and_read, 30},
    {"wiped when it is read in small pieces", read_in_small_pieces, 30},
    {"no forked child has what was read for a sendfile", in_no_child, 30},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
