/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What reviews of the code found, and what must not come back: ways around the doors, small stacks, bounds
 * that the kernel forgives, ends of processes and of connections. */

#include "support/suite.h"

#include "sockseal.h"
#include "support/net.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    THREAD_STACK = 24 << 10,
    SIGNAL_STACK = 8 << 10,
    LARGE = 320 << 10,
    OLD_IN6_LEN = 24, /* RFC 2133, 3.3: sockaddr_in6 before RFC 2553 added sin6_scope_id */
};

static void expect_text(int fd, const char *text)
{
    char got[64] = "";
    assert_int_equal(net_read_all(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

static void expect_sealed(const struct net *net, int fd)
{
    struct sockseal_info info = {.sealed = 0};
    socklen_t len = sizeof info;
    if (!net->sealed || !suite_has_library())
        return;
    assert_int_equal(getsockopt(fd, SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(info.sealed, 1);
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

/* Memory between two pages that cannot be touched; guarded_free takes what it gave. */
static char *guarded(size_t size)
{
    char *memory = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + PAGE, size, PROT_READ | PROT_WRITE), 0);
    return memory + PAGE;
}

static void guarded_free(char *memory, size_t size)
{
    munmap(memory - PAGE, size + 2 * PAGE);
}

/* ---- which connections are sealed ---- */

static struct sockaddr_in6 mapped(const struct sockaddr_in *address)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = address->sin_port};
    six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
    memcpy(six.sin6_addr.s6_addr + 12, &address->sin_addr, 4);
    return six;
}

static void an_ipv6_address_of_the_old_length(const struct net *net)
{
    struct sockaddr_in address, own;
    socklen_t len = sizeof own;
    int one = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one < 0)
        skip();
    int listener = net_listen(net, 4, &address), probe = net_client(net, 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&own, &len), 0);
    close(probe);
    struct sockaddr_in6 from = mapped(&own), to = mapped(&address);
    from.sin6_port = 0;
    assert_int_equal(bind(one, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(one, (struct sockaddr *)&to, OLD_IN6_LEN), 0);
    expect_sealed(net, one);
    assert_int_equal(write(one, "old", 3), 3);
    int two = accept(listener, NULL, NULL);
    expect_text(two, "old");
    close(one), close(two), close(listener);
}

static void sendmmsg_with_fast_open(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    struct iovec iov = {(void *)"early bird", 10};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &iov, .msg_iovlen = 1}};
    assert_int_equal(sendmmsg(one, &message, 1, MSG_FASTOPEN), 1);
    assert_int_equal(message.msg_len, 10);
    expect_sealed(net, one);
    int two = accept(listener, NULL, NULL);
    expect_text(two, "early bird");
    assert_int_equal(write(two, "worm", 4), 4);
    expect_text(one, "worm");
    close(one), close(two), close(listener);
}

/* ---- ways around the doors ---- */

static void posix_aio_is_refused(void)
{
    int pair[2];
    char text[8] = "leaked?";
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    struct aiocb block = {.aio_fildes = pair[0], .aio_buf = text, .aio_nbytes = 7};
    struct aiocb *list[] = {NULL, &block};
    errno = 0;
    assert_int_equal(aio_write(&block), -1);
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_int_equal(aio_read(&block), -1);
    assert_int_equal(errno, EINVAL);
    for (int opcode = LIO_READ; opcode <= LIO_WRITE; opcode++) {
        block.aio_lio_opcode = opcode;
        errno = 0;
        assert_int_equal(lio_listio(LIO_WAIT, list, 2, NULL), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(net_wait(pair[1], POLLIN, 50), 0);
    close(pair[0]), close(pair[1]);
}

static void io_submit_is_refused(void)
{
    int pair[2], plain[2];
    aio_context_t context = 0;
    if (!suite_has_library())
        skip();
    if (syscall(SYS_io_setup, 4, &context) < 0)
        skip();
    net_warm_pair(&net_sealed, pair);
    net_pair(&net_plain, plain);
    struct iocb sealed = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                          .aio_fildes = (uint32_t)pair[0],
                          .aio_buf = (uintptr_t) "leaked?",
                          .aio_nbytes = 7};
    struct iocb open = sealed, *list[] = {&open, &sealed};
    open.aio_fildes = (uint32_t)plain[0];
    assert_int_equal(syscall(SYS_io_submit, context, 2, list), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(syscall(SYS_io_submit, context, 1, list), 1); /* it is the descriptor that matters */
    expect_text(plain[1], "leaked?");
    assert_int_equal(net_wait(pair[1], POLLIN, 50), 0);
    assert_int_equal(syscall(SYS_io_destroy, context), 0);
    close(pair[0]), close(pair[1]), close(plain[0]), close(plain[1]);
}

/* ---- bounds ---- */

/* select(2) looks at no more descriptors than the process's table has, so that old programs may ask for
 * getdtablesize() with sets of FD_SETSIZE. */
static void select_over_the_whole_table(const struct net *net)
{
    int pair[2];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max <= 2 * FD_SETSIZE)
        skip();
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    net_warm_pair(net, pair);
    char *memory = guarded(PAGE);
    fd_set *set = (void *)(memory + PAGE - sizeof *set);
    for (int written = 0; written < 2; written++) {
        struct timeval span = {.tv_usec = written ? 3000000 : 1000};
        struct timespec nanoseconds = {.tv_sec = 3};
        FD_ZERO(set);
        FD_SET(pair[1], set);
        assert_int_equal(select(getdtablesize(), set, NULL, NULL, &span), written);
        assert_int_equal(!FD_ISSET(pair[1], set), !written);
        if (written)
            assert_int_equal(pselect(getdtablesize(), set, NULL, NULL, &nanoseconds, NULL), 1);
        assert_int_equal(write(pair[0], "x", 1), 1);
    }
    guarded_free(memory, PAGE);
    close(pair[0]), close(pair[1]);
}

static void *close_later(void *context)
{
    net_sleep_ms(150);
    close(*(int *)context);
    return NULL;
}

/* What is there is given when no more can come. */
static void peeking_for_more_than_comes(const struct net *net)
{
    for (int later = 0; later < 2; later++) {
        int pair[2];
        char text[16];
        pthread_t thread;
        net_warm_pair(net, pair);
        assert_int_equal(write(pair[1], "hello", 5), 5);
        if (later)
            assert_int_equal(pthread_create(&thread, NULL, close_later, &pair[1]), 0);
        else
            close(pair[1]);
        assert_int_equal(recv(pair[0], text, 10, MSG_PEEK | MSG_WAITALL), 5);
        assert_int_equal(recv(pair[0], text, 10, MSG_WAITALL), 5);
        assert_memory_equal(text, "hello", 5);
        if (later)
            pthread_join(thread, NULL);
        expect_end(pair[0]);
    }
}

/* The same when the peer's process dies: no close_notify comes. */
static void peeking_when_the_peer_is_killed(const struct net *net)
{
    struct sockaddr_in address;
    char text[16];
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        int fd = accept(listener, NULL, NULL);
        if (net_read_all(fd, text, 1) != 1 || write(fd, "hello", 5) != 5)
            _exit(1);
        net_sleep_ms(150);
        raise(SIGKILL);
    }
    int fd = net_connect(net, &address);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(recv(fd, text, 10, MSG_PEEK | MSG_WAITALL), 5);
    assert_int_equal(net_read_all(fd, text, 10), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    close(fd), close(listener);
}

/* ---- small stacks ---- */

struct errand {
    struct sockaddr_in address;
    const struct net *net;
    bool done;
};

static void *run_errand(void *context)
{
    struct errand *errand = context;
    char text[4];
    int fd = net_client(errand->net, 0);
    errand->done = net_connect_to(fd, &errand->address) == 0 && write(fd, "ping", 4) == 4 &&
                   net_wait(fd, POLLIN, 5000) == POLLIN && net_read_all(fd, text, 4) == 4 && close(fd) == 0;
    return NULL;
}

static void a_thread_with_a_small_stack(const struct net *net)
{
    struct errand errand = {.net = net};
    pthread_attr_t attributes;
    pthread_t thread;
    int listener = net_listen(net, 4, &errand.address);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, THREAD_STACK), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run_errand, &errand), 0);
    int fd = accept(listener, NULL, NULL);
    expect_text(fd, "ping");
    assert_int_equal(write(fd, "pong", 4), 4);
    pthread_join(thread, NULL);
    assert_true(errand.done);
    pthread_attr_destroy(&attributes);
    close(fd), close(listener);
}

static int handler_fd = -1;
static volatile sig_atomic_t handled;

static void write_in_handler(int number)
{
    (void)number;
    handled = write(handler_fd, "sig", 3) == 3;
}

static void a_handler_with_a_small_stack(const struct net *net)
{
    int pair[2];
    struct sigaction action = {.sa_handler = write_in_handler, .sa_flags = SA_ONSTACK}, kept;
    char *memory = guarded(SIGNAL_STACK);
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK}, none = {.ss_flags = SS_DISABLE};
    if (sigaltstack(&stack, NULL) < 0)
        skip(); /* this processor's signal frame alone is larger */
    net_warm_pair(net, pair);
    handler_fd = pair[0];
    assert_int_equal(sigaction(SIGUSR1, &action, &kept), 0);
    for (int i = 0; i < 3; i++) {
        handled = 0;
        assert_int_equal(raise(SIGUSR1), 0);
        assert_true(handled);
        expect_text(pair[1], "sig");
    }
    sigaction(SIGUSR1, &kept, NULL);
    sigaltstack(&none, NULL);
    guarded_free(memory, SIGNAL_STACK);
    close(pair[0]), close(pair[1]);
}

/* ---- ends of connections ---- */

/* Writes what fits without waiting, at most LARGE; gives how much. */
static size_t fill(int fd)
{
    static uint8_t data[LARGE];
    size_t done = 0;
    net_pattern(data, LARGE, 0);
    while (done < LARGE) {
        ssize_t n = send(fd, data + done, LARGE - done, MSG_DONTWAIT);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static void expect_pattern_and_end(int fd, size_t len)
{
    static uint8_t data[LARGE + 1];
    assert_int_equal(net_read_all(fd, data, LARGE + 1), len);
    assert_true(net_is_pattern(data, len, 0));
    expect_end(fd);
}

/* The peer's end, which meets a connection that is closed here, takes nothing of what is still on its way. */
static void a_close_before_the_peers_end(const struct net *net)
{
    int pair[2], room = 1 << 20;
    struct sockaddr_in address;
    int small = 30000, listener = net_listen(net, 4, &address);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    pair[0] = net_client(net, 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    assert_int_equal(net_connect_to(pair[0], &address), 0);
    pair[1] = accept(listener, NULL, NULL);
    assert_int_equal(write(pair[0], "w", 1), 1);
    expect_text(pair[1], "w");
    size_t written = fill(pair[0]);
    assert_true(written > LARGE / 2);
    assert_int_equal(close(pair[0]), 0);
    net_sleep_ms(50);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    net_sleep_ms(50);
    expect_pattern_and_end(pair[1], written);
    close(listener);
}

/* A connection that failed and that nobody closes gives waits no reason to wake up. */
static void a_failed_connect_left_open(const struct net *net)
{
    struct sockaddr_in address;
    struct rusage before, after;
    int pipes[2], one = net_client(net, SOCK_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    close(net_listen(net, 1, &address));
    assert_int_equal(net_connect_to(one, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event), 0);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(net_wait(pipes[0], POLLIN, 250), 0);
    assert_int_equal(epoll_wait(epoll, &event, 1, 250), 0);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 100);
    assert_in_range(after.ru_utime.tv_sec * 1000000 + after.ru_utime.tv_usec + after.ru_stime.tv_usec -
                        before.ru_utime.tv_usec - before.ru_stime.tv_usec,
                    0, 250000);
    close(one), close(pipes[0]), close(pipes[1]), close(epoll);
}

/* ---- ends of processes ---- */

/* Ends by SIGKILL while it is blocked in a read, or by itself. The process is dead, but not waited for. */
static pid_t dead_child(int pair[2], bool killed)
{
    siginfo_t info;
    pid_t child = suite_fork();
    if (child == 0) {
        char byte;
        if (!killed)
            _exit(0);
        close(pair[1]);
        _exit((int)read(pair[0], &byte, 1));
    }
    net_sleep_ms(killed ? 150 : 0);
    if (killed)
        kill(child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    return child;
}

static void a_child_dies_reading(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = dead_child(pair, true);
    assert_int_equal(write(pair[1], "for the parent", 14), 14);
    expect_text(pair[0], "for the parent");
    assert_int_equal(write(pair[0], "back", 4), 4);
    expect_text(pair[1], "back");
    close(pair[0]);
    expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
}

static void a_child_leaves_at_once(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = dead_child(pair, false);
    close(pair[0]);
    expect_end(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

static void leave(int number)
{
    (void)number;
    _exit(7);
}

static void leave_orderly(int number)
{
    (void)number;
    exit(7);
}

/* The interrupted write holds the connection for good: nobody may wait for it. */
static void leaving_a_blocked_write(const struct net *net)
{
    void (*const handlers[])(int) = {leave, leave_orderly};
    for (size_t i = 0; i < suite_count(handlers); i++) {
        static char data[1 << 20];
        int pair[2];
        net_warm_pair(net, pair);
        pid_t child = suite_fork();
        if (child == 0) {
            close(pair[1]);
            signal(SIGTERM, handlers[i]);
            while (write(pair[0], data, sizeof data) > 0)
                ;
            _exit(1);
        }
        close(pair[0]);
        net_sleep_ms(300);
        int64_t start = net_now_ms();
        kill(child, SIGTERM);
        assert_int_equal(suite_wait(child), 7);
        assert_in_range(net_now_ms() - start, 0, 3000);
        close(pair[1]);
    }
}

/* ---- who waits drives ---- */

/* The absolute sleep of the connecting side is all that can take its handshake on. */
static void an_absolute_sleep_drives(const struct net *net)
{
    struct sockaddr_in address;
    struct timespec until;
    int status = 0, listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        char text[8];
        net_sleep_ms(100);
        int fd = accept(listener, NULL, NULL);
        _exit(net_read_all(fd, text, 6) == 6 ? 0 : 1);
    }
    int fd = net_connect(net, &address);
    assert_int_equal(send(fd, "queued", 6, MSG_DONTWAIT), 6);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
    assert_int_equal(waitpid(child, &status, WNOHANG), child); /* it has read while we slept */
    assert_int_equal(status, 0);
    close(fd), close(listener);
}

static const struct suite_test tests[] = {
    {.name = "POSIX aio is refused", .run = posix_aio_is_refused},
    {.name = "io_submit is refused", .run = io_submit_is_refused},
};

static const struct suite_case cases[] = {
    {.name = "an IPv6 address of the old length", .run = an_ipv6_address_of_the_old_length},
    {.name = "sendmmsg with MSG_FASTOPEN", .run = sendmmsg_with_fast_open},
    {.name = "select over the whole table", .run = select_over_the_whole_table},
    {.name = "peeking for more than comes", .run = peeking_for_more_than_comes},
    {.name = "peeking when the peer is killed", .run = peeking_when_the_peer_is_killed},
    {.name = "a thread with a small stack", .run = a_thread_with_a_small_stack},
    {.name = "a handler with a small stack", .run = a_handler_with_a_small_stack},
    {.name = "a close before the peer's end", .run = a_close_before_the_peers_end},
    {.name = "a failed connect left open", .run = a_failed_connect_left_open},
    {.name = "a child dies reading", .run = a_child_dies_reading},
    {.name = "a child leaves at once", .run = a_child_leaves_at_once},
    {.name = "leaving a blocked write", .run = leaving_a_blocked_write},
    {.name = "an absolute sleep drives", .run = an_absolute_sleep_drives},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
