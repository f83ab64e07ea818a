/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a process can reach of connections that it does not hold: it searches all of its address space and
 * every file of memory that it can open for what stands opened in them, and finds nothing; and it overwrites
 * all that it shares with others, and harms no other connection. */

#include "suite.h"

#include "net.h"

#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MARK = 24,
    NOBODY = 65534,
    BLOCK = 1 << 16,
    CROWD = 100, /* more than have a region each */
    FOUND = 77,
};

/* A mark stands nowhere but in the connection that it came over: this is its complement. */
struct mark {
    uint8_t inverse[MARK];
};

static bool is_mark(const uint8_t *at, const struct mark *mark)
{
    for (int i = 0; i < MARK; i++) {
        if ((at[i] ^ mark->inverse[i]) != 0xff)
            return false;
    }
    return true;
}

static bool holds_mark(const uint8_t *data, size_t len, const struct mark *mark)
{
    for (size_t i = 0; i + MARK <= len; i++) {
        const uint8_t *at = memchr(data + i, (uint8_t)~mark->inverse[0], len - MARK - i + 1);
        if (!at)
            return false;
        if (is_mark(at, mark))
            return true;
        i = (size_t)(at - data);
    }
    return false;
}

/* Whether a file of memory, or /proc/self/mem, holds the mark between these bytes. */
static bool file_holds(int fd, off_t from, off_t to, const struct mark *mark)
{
    static uint8_t block[BLOCK + MARK];
    while (from < to) {
        const size_t want = (size_t)(to - from) < sizeof block ? (size_t)(to - from) : sizeof block;
        const ssize_t got = pread(fd, block, want, from);
        const bool holds = got >= MARK && holds_mark(block, (size_t)got, mark);
        memset(block, 0, sizeof block);
        if (holds)
            return true;
        from += got > MARK ? got - MARK + 1 : BLOCK;
    }
    return false;
}

static bool address_space_holds(const struct mark *mark)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    bool holds = false;
    while (maps && !holds && fgets(line, sizeof line, maps)) {
        unsigned long from = 0, to = 0;
        char rights[8] = "";
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && rights[0] == 'r' && !strstr(line, "[v"))
            holds = file_holds(memory, (off_t)from, (off_t)to, mark);
    }
    if (maps)
        fclose(maps);
    close(memory);
    return holds;
}

static bool memory_file_holds(int fd, const struct mark *mark)
{
    off_t at = 0, hole = 0;
    while ((at = lseek(fd, hole, SEEK_DATA)) >= 0 && (hole = lseek(fd, at, SEEK_HOLE)) > at) {
        if (file_holds(fd, at, hole, mark))
            return true;
    }
    return false;
}

/* Calls `visit` with each file of memory that this process has, and that the kernel opens anew for it. */
static bool any_memory_file(bool (*visit)(int fd, const struct mark *mark), const struct mark *mark)
{
    char path[300], target[64];
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    bool any = false;
    while (directory && !any && (entry = readdir(directory))) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        const ssize_t len = readlink(path, target, sizeof target - 1);
        if (len < 0 || strncmp(target, "/memfd:sockseal", 15) != 0)
            continue;
        const int again = open(path, O_RDWR | O_CLOEXEC);
        any = again >= 0 && visit(again, mark);
        if (again >= 0)
            close(again);
    }
    if (directory)
        closedir(directory);
    return any;
}

static bool reaches(const struct mark *mark)
{
    return address_space_holds(mark) || any_memory_file(memory_file_holds, mark);
}

/* ---- connections with a mark in them ---- */

/* The other end of connections, in a process of its own, which makes the marks. */
struct peer {
    struct sockaddr_in address;
    int marks; /* their complements come here */
    pid_t process;
};

/* What comes is answered, until all have ended. */
static int answer(const int *fds, int count)
{
    static struct pollfd polled[2 * CROWD];
    for (int i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    for (int left = count; left > 0;) {
        if (poll(polled, (nfds_t)count, -1) < 0)
            return 3;
        for (int i = 0; i < count; i++) {
            char byte;
            if (polled[i].revents == 0)
                continue;
            if (read(fds[i], &byte, 1) != 1)
                polled[i].fd = -1, left--;
            else if (write(fds[i], &byte, 1) != 1)
                return 4;
        }
    }
    return 0;
}

static void make_marks(int listener, int told, int count)
{
    static int fds[2 * CROWD];
    for (int i = 0; i < count; i++) {
        uint8_t bytes[MARK];
        fds[i] = accept(listener, NULL, NULL);
        if (fds[i] < 0 || getrandom(bytes, sizeof bytes, 0) != MARK || write(fds[i], bytes, MARK) != MARK)
            _exit(1);
        for (int b = 0; b < MARK; b++)
            bytes[b] = (uint8_t)~bytes[b];
        if (write(told, bytes, MARK) != MARK)
            _exit(2);
    }
    _exit(answer(fds, count));
}

static void end_peer(const struct peer *peer)
{
    close(peer->marks);
    assert_int_equal(suite_wait(peer->process), 0);
}

static void begin_peer(struct peer *peer, int count)
{
    int told[2];
    const int listener = net_listen(&net_sealed, 16, &peer->address);
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    peer->process = suite_fork();
    if (peer->process == 0) {
        close(told[0]);
        make_marks(listener, told[1], count);
    }
    close(listener), close(told[1]);
    peer->marks = told[0];
}

/* A connection that holds its mark, opened, in memory. */
static int open_marked(const struct peer *peer, struct mark *mark)
{
    char byte;
    const int fd = net_connect(&net_sealed, &peer->address);
    assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1);
    assert_int_equal(net_read_all(peer->marks, mark, MARK), MARK);
    return fd;
}

static bool is_alive(int fd, const struct mark *mark)
{
    uint8_t bytes[MARK];
    char byte = 0;
    const bool whole = net_read_all(fd, bytes, MARK) == MARK && is_mark(bytes, mark);
    memset(bytes, 0, sizeof bytes);
    return whole && write(fd, "a", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'a';
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* ---- giving up rights ---- */

static int nothing_given_up(void)
{
    return 0;
}

static int another_user(void)
{
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return -1;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* so that it may look into its own memory at all */
}

static int a_filter(void)
{
    struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog filter = {1, &pass};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1
                                                      : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int another_root(void)
{
    return chroot("/");
}

static int no_capabilities(void)
{
    return unshare(CLONE_NEWNS);
}

static int landlock(void)
{
    const struct landlock_ruleset_attr attributes = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK};
    const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    const int result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return result;
}

static int (*const give_up[])(void) = {nothing_given_up, another_user,    a_filter,
                                       another_root,     no_capabilities, landlock};

/* ---- tests ---- */

/* In a child: it has closed what it does not hold, gives up rights, and looks for each mark. */
static int search(int (*way)(void), const struct mark *marks, int count)
{
    if (way() < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : 1;
    for (int i = 0; i < count; i++) {
        if (reaches(&marks[i]))
            return FOUND;
    }
    return 0;
}

/* The search itself finds what is there: else it proves nothing. */
static void the_holder_finds_it(void)
{
    struct peer peer;
    struct mark mark;
    if (!suite_has_library())
        skip();
    begin_peer(&peer, 1);
    const int fd = open_marked(&peer, &mark);
    assert_true(address_space_holds(&mark));
    assert_true(any_memory_file(memory_file_holds, &mark));
    close(fd);
    assert_false(reaches(&mark));
    end_peer(&peer);
}

static void a_child_without_a_connection(void)
{
    struct peer peer;
    struct mark mark;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    begin_peer(&peer, 1);
    const int fd = open_marked(&peer, &mark);
    for (size_t i = 0; i < suite_count(give_up); i++) {
        const pid_t child = suite_fork();
        if (child == 0) {
            close(fd), close(peer.marks);
            _exit(search(give_up[i], &mark, 1));
        }
        assert_int_equal(suite_wait(child), 0);
    }
    assert_true(is_alive(fd, &mark));
    close(fd);
    end_peer(&peer);
}

/* By a system call of the program's own: the library learns of it when rights are given up. */
static void a_child_that_closes_past_the_library(void)
{
    struct peer peer;
    struct mark mark;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    begin_peer(&peer, 1);
    const int fd = open_marked(&peer, &mark), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 1; i < suite_count(give_up); i++) {
        const pid_t child = suite_fork();
        if (child == 0) {
            close(peer.marks);
            if (i % 2)
                sys_close(fd);
            else
                sys_call3(SYS_dup3, null, fd, 0);
            _exit(search(give_up[i], &mark, 1));
        }
        assert_int_equal(suite_wait(child), 0);
    }
    assert_true(is_alive(fd, &mark));
    close(fd), close(null);
    end_peer(&peer);
}

static int use_one_of_several(int (*way)(void), const int fds[static 3], const struct mark marks[static 3])
{
    const struct mark others[] = {marks[0], marks[2]};
    close(fds[0]), close(fds[2]);
    const int found = search(way, others, 2);
    return found ? found : is_alive(fds[1], &marks[1]) ? 0 : 2;
}

static void a_child_with_one_of_several(void)
{
    if (!suite_has_library() || geteuid() != 0)
        skip();
    for (size_t i = 0; i < suite_count(give_up); i++) {
        struct peer peer;
        struct mark marks[3];
        int fds[3];
        begin_peer(&peer, 3);
        for (int c = 0; c < 3; c++)
            fds[c] = open_marked(&peer, &marks[c]);
        const pid_t child = suite_fork();
        if (child == 0)
            _exit(use_one_of_several(give_up[i], fds, marks));
        assert_int_equal(suite_wait(child), 0);
        assert_true(is_alive(fds[0], &marks[0]) && is_alive(fds[2], &marks[2]));
        close(fds[0]), close(fds[1]), close(fds[2]);
        end_peer(&peer);
    }
}

/* Without giving up anything: what the parent, or a sibling, has made after the fork. */
static void what_was_made_after_the_fork(void)
{
    struct peer peer;
    struct mark before, after[2];
    int go[2];
    pid_t children[2];
    if (!suite_has_library())
        skip();
    begin_peer(&peer, 2);
    const int fd = open_marked(&peer, &before);
    assert_int_equal(pipe(go), 0);
    for (int i = 0; i < 2; i++) {
        if ((children[i] = suite_fork()) == 0) {
            if (net_read_all(go[0], &after[1], MARK) != MARK)
                _exit(1);
            _exit(search(nothing_given_up, &after[1], 1));
        }
    }
    const int later = open_marked(&peer, &after[0]);
    assert_int_equal(write(go[1], &after[0], MARK), MARK);
    assert_int_equal(write(go[1], &after[0], MARK), MARK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(suite_wait(children[i]), 0);
    assert_true(is_alive(fd, &before) && is_alive(later, &after[0]));
    close(fd), close(later), close(go[0]), close(go[1]);
    end_peer(&peer);
}

/* A sibling's connection, made in a child. */
static int be_sibling(const struct peer *peer, int tell, int hear)
{
    struct mark own, other;
    const int fd = open_marked(peer, &own);
    if (write(tell, &own, MARK) != MARK || net_read_all(hear, &other, MARK) != MARK)
        return 1;
    const int found = search(nothing_given_up, &other, 1);
    char done = 0;
    if (write(tell, "", 1) != 1 || read(hear, &done, 1) != 1)
        return 2;
    return found ? found : is_alive(fd, &own) ? 0 : 3;
}

static void siblings(void)
{
    struct peer peers[2];
    int ways[2][2];
    pid_t children[2];
    if (!suite_has_library())
        skip();
    for (int i = 0; i < 2; i++) {
        begin_peer(&peers[i], 1);
        assert_int_equal(pipe(ways[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        if ((children[i] = suite_fork()) == 0)
            _exit(be_sibling(&peers[i], ways[i][1], ways[!i][0]));
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(suite_wait(children[i]), 0);
        end_peer(&peers[i]);
        close(ways[i][0]), close(ways[i][1]);
    }
}

static void one_of_a_crowd(void)
{
    static struct mark marks[CROWD];
    static int fds[CROWD];
    struct peer peer;
    if (!suite_has_library() || geteuid() != 0)
        skip();
    allow_descriptors();
    begin_peer(&peer, CROWD);
    for (int i = 0; i < CROWD; i++)
        fds[i] = open_marked(&peer, &marks[i]);
    for (size_t way = 1; way < suite_count(give_up); way++) {
        const pid_t child = suite_fork();
        if (child == 0) {
            for (int i = 0; i < CROWD - 1; i++)
                close(fds[i]);
            _exit(search(give_up[way], marks + CROWD - 8, 7));
        }
        assert_int_equal(suite_wait(child), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        assert_true(is_alive(fds[i], &marks[i]));
        close(fds[i]);
    }
    end_peer(&peer);
}

/* ---- overwriting ---- */

static bool overwrite_file(int fd, const struct mark *mark)
{
    static const uint8_t junk[BLOCK] = {[0 ... BLOCK - 1] = 0xa5};
    const off_t end = lseek(fd, 0, SEEK_END);
    (void)mark;
    for (off_t at = 0; at < end && at < 8 * BLOCK; at += BLOCK)
        (void)!pwrite(fd, junk, (size_t)(end - at < BLOCK ? end - at : BLOCK), at);
    for (off_t at = end > 8 * BLOCK ? end - 8 * BLOCK : 0; at < end; at += BLOCK)
        (void)!pwrite(fd, junk, (size_t)(end - at < BLOCK ? end - at : BLOCK), at);
    (void)!ftruncate(fd, 0);
    return false;
}

static void overwrite_mappings(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from = 0, to = 0;
        char rights[8] = "";
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && rights[1] == 'w' && rights[3] == 's' &&
            strstr(line, "sockseal"))
            memset((void *)from, 0x5a, to - from); // NOLINT: the address is from the kernel
    }
}

/* The child harms nothing but what it holds: the parent's first and third connection, and later ones. */
static void a_child_overwrites_what_it_can(void)
{
    struct peer peer;
    struct mark marks[4];
    int fds[4];
    if (!suite_has_library())
        skip();
    begin_peer(&peer, 4);
    for (int i = 0; i < 3; i++)
        fds[i] = open_marked(&peer, &marks[i]);
    const pid_t child = suite_fork();
    if (child == 0) {
        close(fds[0]), close(fds[2]);
        any_memory_file(overwrite_file, NULL);
        overwrite_mappings();
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    fds[3] = open_marked(&peer, &marks[3]);
    assert_true(is_alive(fds[0], &marks[0]));
    assert_true(is_alive(fds[2], &marks[2]));
    assert_true(is_alive(fds[3], &marks[3]));
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close(peer.marks);
    kill(peer.process, SIGKILL);
    suite_wait(peer.process);
}

/* ---- other programs ---- */

static int next_role(int argc, char **argv)
{
    struct mark marks[2];
    int (*way)(void) = give_up[atoi(argv[3])];
    const int fd = atoi(argv[1]), hear = atoi(argv[2]);
    (void)argc;
    if (net_read_all(hear, marks, sizeof marks) != sizeof marks)
        return 1;
    const int found = search(way, marks + 1, 1);
    return found ? found : is_alive(fd, &marks[0]) ? 0 : 3;
}

static void the_next_program(void)
{
    if (!suite_has_library() || geteuid() != 0)
        skip();
    for (size_t i = 0; i < suite_count(give_up); i++) {
        struct peer peer;
        struct mark marks[2];
        int fds[2], way[2];
        char texts[3][16];
        begin_peer(&peer, 2);
        for (int c = 0; c < 2; c++)
            fds[c] = open_marked(&peer, &marks[c]);
        fcntl(fds[0], F_SETFD, 0), fcntl(fds[1], F_SETFD, FD_CLOEXEC);
        assert_int_equal(pipe(way), 0);
        snprintf(texts[0], sizeof texts[0], "%d", fds[0]);
        snprintf(texts[1], sizeof texts[1], "%d", way[0]);
        snprintf(texts[2], sizeof texts[2], "%zu", i);
        const pid_t child =
            suite_spawn("next", (const char *[]){texts[0], texts[1], texts[2], NULL}, NULL, -1, -1);
        assert_int_equal(write(way[1], marks, sizeof marks), sizeof marks);
        assert_int_equal(suite_wait(child), 0);
        assert_true(is_alive(fds[1], &marks[1]));
        close(fds[0]), close(fds[1]), close(way[0]), close(way[1]);
        end_peer(&peer);
    }
}

static const struct suite_test tests[] = {
    {.name = "the holder finds it", .run = the_holder_finds_it},
    {.name = "a child without a connection", .run = a_child_without_a_connection},
    {.name = "a child that closes past the library", .run = a_child_that_closes_past_the_library},
    {.name = "a child with one of several", .run = a_child_with_one_of_several},
    {.name = "what was made after the fork", .run = what_was_made_after_the_fork},
    {.name = "siblings", .run = siblings},
    {.name = "one of a crowd", .run = one_of_a_crowd},
    {.name = "a child overwrites what it can", .run = a_child_overwrites_what_it_can},
    {.name = "the next program", .run = the_next_program},
};

static const struct suite_role roles[] = {
    {"next", next_role},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_roles(roles, suite_count(roles));
    return suite_run(argc, argv);
}
