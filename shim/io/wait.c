/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/wait.h"

#include <stdlib.h>
#include <string.h>

#include "conn/pending.h"
#include "io/progress.h"
#include "io/worker.h"
#include "record/handshake.h"
#include "record/rx_probe.h"
#include "record/sysio.h"
#include "sys/net.h"
#include "sys/real.h"
#include "sys/signals.h"
#include "sys/text.h"

enum { SELECT_ON_STACK = 64 };

/* What select(2)'s three sets mean in events of poll(2). */
static const short READ_BITS = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
static const short WRITE_BITS = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;
static const short EXCEPT_BITS = POLLPRI;

bool wait_concerns_poll(struct pollfd *fds, nfds_t count)
{
    if (pending_any())
        return true;
    if (!atomic_load_explicit(&fdtable_size, memory_order_relaxed))
        return false;
    for (nfds_t i = 0; i < count; i++) {
        if (fdtable_has(fds[i].fd))
            return true;
    }
    return false;
}

/* FD_ISSET of glibc, when fortified, refuses numbers from FD_SETSIZE on. Sets may be larger. */
static bool in_set(const fd_set *set, int fd)
{
    return set && (set->fds_bits[fd / NFDBITS] & (1L << (fd % NFDBITS)));
}

/* The kernel reads the sets only as far as its table of descriptors goes. Programs count on it: they pass a
 * number that is larger than their sets, getdtablesize(3) say. The table's size is FDSize of
 * /proc/self/status (proc(5)). */
static int table_size(void)
{
    char text[1024];
    int fd = sys_open("/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return FD_SETSIZE;
    long len = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[len > 0 ? len : 0] = 0;
    const char *line = strstr(text, "FDSize:");
    int size = FD_SETSIZE;
    if (line) {
        line += sizeof "FDSize:" - 1;
        text_take_number(&line, &size);
    }
    return size;
}

int wait_select_bound(int count)
{
    if (count <= FD_SETSIZE)
        return count;
    int size = table_size();
    return count < size ? count : size;
}

bool wait_concerns_select(int count, const fd_set *read, const fd_set *write, const fd_set *except)
{
    if (pending_any())
        return true;
    if (!atomic_load_explicit(&fdtable_size, memory_order_relaxed))
        return false;
    for (int fd = 0; fd < count; fd++) {
        if ((in_set(read, fd) || in_set(write, fd) || in_set(except, fd)) && fdtable_has(fd))
            return true;
    }
    return false;
}

/* Which of the kernel's events are not true for the program. Non-blocking descriptors are checked too: ncat
 * takes an EAGAIN after select for the end of the stream. */
static short false_events(struct pollfd *polled)
{
    const short in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;
    if (!(polled->revents & (in | out)))
        return 0;
    struct conn_handle handle = fdtable_find(polled->fd);
    if (!handle.conn || conn_failed(handle.conn))
        return 0;
    short wrong = 0;
    if ((polled->revents & in) && !rx_probe_ready(&handle))
        wrong |= in;
    if ((polled->revents & out) && !handle.conn->tx.can_send && handle.conn->tx.to_send >= CONN_QUEUE_MAX)
        wrong |= out;
    /* rx_probe_ready() may have read close_notify: the peer's end, whether or not its FIN is here */
    if (conn_peer_closed(handle.conn))
        polled->revents |= polled->events & POLLRDHUP;
    /* both directions are shut, though the FIN may wait for the handshake */
    if (handle.conn->status.read_shut && conn_tx_has(handle.conn, TX_SHUT))
        polled->revents |= POLLHUP;
    return wrong;
}

/* Checks what the kernel calls ready. Gives how many descriptors are. */
static int check_ready(struct pollfd *fds, nfds_t count)
{
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents &= (short)~false_events(&fds[i]);
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* This thread's last wait hid an event from the program, and gave it none since: what comes next may be
 * hidden too, as the rest of a record is. */
static __thread bool hid_events __attribute__((tls_model("initial-exec")));

/* The first wait. While nothing is pending, it is the kernel's, with its time-out to the nanosecond. */
static int first_wait(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                      int64_t *until_ms, struct held_signals *held)
{
    *until_ms = INT64_MAX;
    if (timeout && timeout->tv_sec < INT32_MAX)
        *until_ms = net_now_ms() + (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    if (pending_any()) {
        signals_hold(held);
        return progress_poll(fds, count, *until_ms, signals_mask(held, mask));
    }
    if (hid_events)
        signals_hold(held);
    int ready = real()->ppoll(fds, count, timeout, signals_mask(held, mask));
    return ready < 0 ? -errno : ready;
}

int wait_poll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    int64_t until_ms;
    SIGNALS_HELD_IN_SCOPE(held);
    int ready = first_wait(fds, count, timeout, mask, &until_ms, &held);
    while (ready > 0) {
        ready = check_ready(fds, count);
        hid_events = ready == 0;
        if (ready > 0 || net_now_ms() >= until_ms)
            return ready;
        signals_hold(&held);
        /* While the connection's queue is full, the kernel still calls the descriptor writable: do not spin.
         */
        const int64_t moment = net_now_ms() + (pending_any() ? 1 : 0);
        /* Even for no time at all: a wait that finds something ready delivers no signal. */
        if (progress_poll(NULL, 0, moment, signals_mask(&held, mask)) == -EINTR)
            return -EINTR;
        ready = progress_poll(fds, count, until_ms, signals_mask(&held, mask));
    }
    return ready;
}

static short interest(int fd, const fd_set *read, const fd_set *write, const fd_set *except)
{
    return (short)((in_set(read, fd) ? READ_BITS & ~(POLLHUP | POLLERR) : 0) |
                   (in_set(write, fd) ? WRITE_BITS & ~POLLERR : 0) | (in_set(except, fd) ? EXCEPT_BITS : 0));
}

static int assign(fd_set *set, int fd, bool was, bool is)
{
    long bit = 1L << (fd % NFDBITS);
    if (!was)
        return 0;
    if (is)
        set->fds_bits[fd / NFDBITS] |= bit;
    else
        set->fds_bits[fd / NFDBITS] &= ~bit;
    return is;
}

static int select_through(struct pollfd *fds, nfds_t used, fd_set *sets[static 3],
                          const struct timespec *timeout, const sigset_t *mask)
{
    int ready = wait_poll(fds, used, timeout, mask), bits = 0;
    if (ready < 0)
        return ready;
    for (nfds_t i = 0; i < used; i++) {
        if (fds[i].revents & POLLNVAL)
            return -EBADF;
    }
    for (nfds_t i = 0; i < used; i++) {
        int fd = fds[i].fd;
        bits += assign(sets[0], fd, in_set(sets[0], fd), fds[i].revents & READ_BITS);
        bits += assign(sets[1], fd, in_set(sets[1], fd), fds[i].revents & WRITE_BITS);
        bits += assign(sets[2], fd, in_set(sets[2], fd), fds[i].revents & EXCEPT_BITS);
    }
    return bits;
}

int wait_select(int count, fd_set *read, fd_set *write, fd_set *except, const struct timespec *timeout,
                const sigset_t *mask)
{
    struct pollfd small[SELECT_ON_STACK], *fds = small;
    size_t size = (size_t)count * sizeof *fds;
    if (count < 0)
        return -EINVAL;
    count = wait_select_bound(count);
    if (count > SELECT_ON_STACK) {
        fds = net_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (fds == MAP_FAILED)
            return progress_no_memory();
    }
    nfds_t used = 0;
    for (int fd = 0; fd < count; fd++) {
        short events = interest(fd, read, write, except);
        if (events)
            fds[used++] = (struct pollfd){.fd = fd, .events = events};
    }
    fd_set *sets[3] = {read, write, except};
    int bits = select_through(fds, used, sets, timeout, mask);
    if (fds != small)
        net_munmap(fds, size);
    return bits;
}

_Atomic bool wait_edges;

/*
 * What epoll calls ready may be a handshake message that came after the progress was made. Some programs
 * (wrk) take an EAGAIN for an error. So if there was anything to make progress with, or another thread made
 * some meanwhile, the events are dropped and asked for again. Not if the program has asked for edges, since
 * each is reported once.
 * And not for ever, when handshakes never end.
 */
static bool is_doubtful(uint32_t mark, unsigned *rounds)
{
    enum { ROUNDS = 64 }; /* of a handshake's message each, that is 10 ms or so */
    if (atomic_load_explicit(&wait_edges, memory_order_relaxed) || ++*rounds > ROUNDS)
        return false;
    return progress_run() || handshake_moved_since(mark);
}

/* The mark to compare with. When the last events were dropped, at a moment when no other thread is taking
 * messages, since with many handshakes at once the worker does so most of the time. It computes for less than
 * a millisecond each time. */
static uint32_t mark_before_events(unsigned rounds)
{
    enum { PAUSES = 20, PAUSE_NS = 50000 };
    uint32_t mark = handshake_mark();
    for (int i = 0; rounds > 0 && i < PAUSES && handshake_moved_since(mark); i++) {
        net_ppoll(NULL, 0, &(struct timespec){.tv_nsec = PAUSE_NS});
        mark = handshake_mark();
    }
    return mark;
}

int wait_epoll(int epoll, struct epoll_event *events, int max, int64_t until_ms, const sigset_t *mask)
{
    SIGNALS_HELD_IN_SCOPE(held);
    if (pending_any())
        signals_hold(&held);
    for (unsigned rounds = 0;;) {
        struct pollfd one = {.fd = epoll, .events = POLLIN};
        int ready = progress_poll(&one, 1, until_ms, signals_mask(&held, mask));
        if (ready < 0)
            return ready;
        signals_hold(&held);
        const uint32_t mark = mark_before_events(rounds);
        int got = real()->epoll_wait(epoll, events, max, 0);
        if (got > 0 && is_doubtful(mark, &rounds))
            continue;
        if (got != 0)
            return got < 0 ? -errno : got;
        if (net_now_ms() >= until_ms)
            return 0;
    }
}

int wait_sleep(int64_t until_ms)
{
    while (net_now_ms() < until_ms) {
        if (progress_wait(-1, 0, until_ms, NULL) == -EINTR)
            return -EINTR;
    }
    return 0;
}

/* `handle`: what was looked up, or NULL. If another thread closes it, its number may become another file's,
 * which poll(2) would go on with. So that is checked once in a while, and ends the wait. */
static int wait_before(int fd, const struct conn_handle *handle, short events, int option, int flags,
                       int64_t since_ms)
{
    if (!sysio_may_block(fd, flags))
        return 0;
    const int64_t limit = sysio_limit_since(fd, option, since_ms);
    SIGNALS_HELD_IN_SCOPE(held);
    signals_hold(&held);
    for (;;) {
        const int64_t check = handle ? net_now_ms() + PENDING_ASK_MS : INT64_MAX;
        int ready = progress_wait(fd, events, check < limit ? check : limit, signals_mask(&held, NULL));
        if (ready > 0 || (handle && !fdtable_current(handle)))
            return 0;
        if (ready == 0 && net_now_ms() >= limit)
            return -EAGAIN;
        if (ready < 0 && (limit != INT64_MAX || !sysio_restarts()))
            return -EINTR; /* with a limit the kernel restarts none (signal(7)) */
    }
}

int wait_before_read(int fd, int flags)
{
    return wait_before(fd, NULL, POLLIN, SO_RCVTIMEO, flags, 0);
}

int wait_before_write(int fd, int flags)
{
    return wait_before(fd, NULL, POLLOUT, SO_SNDTIMEO, flags, 0);
}

/* Whether another connection than this descriptor's has something pending. */
static bool others_pending(int fd)
{
    if (!pending_any())
        return false;
    uint32_t own = fdtable_flags(fd) & FDTABLE_PENDING ? 1 : 0;
    return atomic_load_explicit(&pending_count, memory_order_relaxed) > own;
}

static int before_read(const struct conn_handle *handle, int flags, int64_t since_ms)
{
    if (!since_ms && !pending_any())
        return 0;
    const int result = wait_before(handle->fd, handle, POLLIN, SO_RCVTIMEO, flags, since_ms);
    return result == 0 && !fdtable_current(handle) ? -EBADF : result;
}

static int before_write(const struct conn_handle *handle, int flags, int64_t since_ms)
{
    return wait_before(handle->fd, handle, POLLOUT, SO_SNDTIMEO, flags, since_ms);
}

void wait_begin(void)
{
    if (handshake_advanced)
        return;
    sysio_others_pending = others_pending;
    sysio_before_read = before_read;
    sysio_before_write = before_write;
    pending_carry = worker_carry;
    handshake_advanced = progress_review;
}
