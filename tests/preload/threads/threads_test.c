/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Several threads on one connection, and threads that end while they wait. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WRITERS = 8, READERS = 8, FRAME = 512, FRAMES = 2000 };

/* A message of fixed size: who, which, and bytes that follow from both. */
struct frame {
    uint32_t writer, number;
    uint8_t fill[FRAME - 8];
};

struct crowd {
    int fd;
    uint32_t writer;
    bool ok;
    atomic_uchar *seen; /* by writer and number */
    size_t histogram[256];
};

static void make_frame(struct frame *frame, uint32_t writer, uint32_t number)
{
    frame->writer = writer;
    frame->number = number;
    net_pattern(frame->fill, sizeof frame->fill, (uint64_t)writer << 32 | number);
}

/* Each frame in one write: a blocking write puts all of it into the stream in one piece, as on plain TCP. */
static void *write_frames(void *context)
{
    struct crowd *crowd = context;
    struct frame frame;
    for (uint32_t i = 0; i < FRAMES; i++) {
        make_frame(&frame, crowd->writer, i);
        if (write(crowd->fd, &frame, sizeof frame) != sizeof frame)
            return NULL;
    }
    crowd->ok = true;
    return NULL;
}

static pthread_mutex_t one_reader = PTHREAD_MUTEX_INITIALIZER;

/* A frame is read by one thread at a time: the threads take turns, and no frame is torn. */
static void *read_frames(void *context)
{
    struct crowd *crowd = context;
    struct frame frame, expected;
    for (;;) {
        pthread_mutex_lock(&one_reader);
        size_t n = net_read_all(crowd->fd, &frame, sizeof frame);
        pthread_mutex_unlock(&one_reader);
        crowd->ok = n == 0;
        if (n != sizeof frame || frame.writer >= WRITERS || frame.number >= FRAMES)
            return NULL;
        make_frame(&expected, frame.writer, frame.number);
        if (memcmp(&frame, &expected, sizeof frame) != 0)
            return NULL;
        atomic_fetch_add(&crowd->seen[frame.writer * FRAMES + frame.number], 1);
    }
}

/* All at once, each getting whatever is next: then only the bytes as a whole can be accounted for. */
static void *read_anything(void *context)
{
    struct crowd *crowd = context;
    uint8_t data[700];
    ssize_t n;
    while ((n = recv(crowd->fd, data, sizeof data, 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            crowd->histogram[data[i]]++;
    crowd->ok = n == 0;
    return NULL;
}

static void run_crowd(const int pair[2], struct crowd *readers, void *(*read)(void *context))
{
    struct crowd writers[WRITERS];
    pthread_t threads[WRITERS + READERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct crowd){.fd = pair[0], .writer = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_frames, &writers[i]), 0);
    }
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[WRITERS + i], NULL, read, &readers[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    shutdown(pair[0], SHUT_WR);
    for (int i = WRITERS; i < WRITERS + READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_true(writers[i].ok);
    for (int i = 0; i < READERS; i++)
        assert_true(readers[i].ok);
}

/* On sealed TCP alone: plain TCP may tear a write that finds the buffer full. */
static void eight_write_frames_and_eight_read_them(void)
{
    static atomic_uchar seen[WRITERS * FRAMES];
    struct crowd readers[READERS];
    int pair[2];
    if (!suite_has_library())
        skip();
    net_pair(&net_sealed, pair);
    for (int i = 0; i < READERS; i++)
        readers[i] = (struct crowd){.fd = pair[1], .seen = seen};
    run_crowd(pair, readers, read_frames);
    for (size_t i = 0; i < suite_count(seen); i++)
        assert_int_equal(atomic_load(&seen[i]), 1);
    close(pair[0]), close(pair[1]);
}

static void count_bytes(const void *data, size_t len, size_t histogram[256])
{
    for (size_t i = 0; i < len; i++)
        histogram[((const uint8_t *)data)[i]]++;
}

static void eight_write_and_eight_read(const struct net *net)
{
    static struct crowd readers[READERS];
    size_t expected[256] = {0}, got[256] = {0};
    struct frame frame;
    int pair[2];
    net_pair(net, pair);
    for (int i = 0; i < READERS; i++)
        readers[i].fd = pair[1];
    run_crowd(pair, readers, read_anything);
    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        for (uint32_t number = 0; number < FRAMES; number++) {
            make_frame(&frame, writer, number);
            count_bytes(&frame, sizeof frame, expected);
        }
    }
    for (int i = 0; i < READERS; i++)
        for (int value = 0; value < 256; value++)
            got[value] += readers[i].histogram[value];
    assert_memory_equal(got, expected, sizeof got);
    close(pair[0]), close(pair[1]);
}

/* One writes while another reads, at both ends, with large amounts: the directions do not wait for each
 * other. */
struct flow {
    int fd;
    _Atomic pid_t id; /* of its thread, once that runs */
    size_t total;
    bool ok;
};

static void *write_flow(void *context)
{
    struct flow *flow = context;
    uint8_t data[30000];
    flow->id = gettid();
    for (size_t done = 0; done < flow->total; done += sizeof data) {
        net_pattern(data, sizeof data, done);
        if (net_write_all(flow->fd, data, sizeof data) != sizeof data)
            return NULL;
    }
    flow->ok = true;
    return NULL;
}

static void *read_flow(void *context)
{
    struct flow *flow = context;
    uint8_t data[30000];
    flow->id = gettid();
    for (size_t done = 0; done < flow->total; done += sizeof data)
        if (net_read_all(flow->fd, data, sizeof data) != sizeof data ||
            !net_is_pattern(data, sizeof data, done))
            return NULL;
    flow->ok = true;
    return NULL;
}

static void both_directions_at_once(const struct net *net)
{
    int pair[2];
    pthread_t threads[4];
    struct flow flows[4];
    net_pair(net, pair);
    for (int i = 0; i < 4; i++) {
        flows[i] = (struct flow){.fd = pair[i / 2], .total = 30000 * 1000};
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? read_flow : write_flow, &flows[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(flows[i].ok);
    }
    close(pair[0]), close(pair[1]);
}

struct reader {
    int fd;
    _Atomic pid_t id;
    ssize_t result;
    int error;
    char text[16];
};

static void *read_once(void *context)
{
    struct reader *reader = context;
    reader->id = gettid();
    reader->result = recv(reader->fd, reader->text, sizeof reader->text, 0);
    reader->error = errno;
    return NULL;
}

static pthread_t start_reader(struct reader *reader, int fd)
{
    pthread_t thread;
    *reader = (struct reader){.fd = fd};
    assert_int_equal(pthread_create(&thread, NULL, read_once, reader), 0);
    suite_until_thread_blocked(&reader->id);
    return thread;
}

#ifdef __SANITIZE_THREAD__
#define RACES_BY_DESIGN true /* a descriptor that is closed under a reader */
#else
#define RACES_BY_DESIGN false
#endif

/* On plain TCP the blocked call goes on after close(), and gets what comes. */
static void close_while_another_reads(const struct net *net)
{
    int pair[2];
    struct reader reader;
    if (RACES_BY_DESIGN)
        skip();
    net_warm_pair(net, pair);
    pthread_t thread = start_reader(&reader, pair[1]);
    assert_int_equal(close(pair[1]), 0);
    suite_until_blocked(reader.id); /* again, if the call disturbed it */
    assert_int_equal(write(pair[0], "late", 4), 4);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.result, 4);
    assert_memory_equal(reader.text, "late", 4);
    close(pair[0]);
}

/* The same for dup2 onto the descriptor: the blocked call keeps the connection that it began with. */
static void dup2_while_another_reads(const struct net *net)
{
    int pair[2], other[2];
    struct reader reader;
    if (RACES_BY_DESIGN)
        skip();
    net_warm_pair(net, pair);
    net_warm_pair(net, other);
    pthread_t thread = start_reader(&reader, pair[1]);
    assert_int_equal(dup2(other[1], pair[1]), pair[1]);
    suite_until_blocked(reader.id); /* again, if the call disturbed it */
    assert_int_equal(write(pair[0], "late", 4), 4);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.result, 4);
    assert_memory_equal(reader.text, "late", 4);
    assert_int_equal(write(other[0], "new", 3), 3);
    assert_int_equal(net_read_all(pair[1], reader.text, 3), 3);
    close(pair[0]), close(pair[1]), close(other[0]), close(other[1]);
}

static void *swap_descriptors(void *context)
{
    const int *fds = context;
    for (int i = 0; i < 2000; i++)
        dup2(fds[0], fds[1]);
    return NULL;
}

/* dup2(x, y) against dup2(y, x): whichever comes last, both are one connection, and nothing hangs. */
static void dup2_both_ways_at_once(const struct net *net)
{
    int one[2], two[2];
    pthread_t threads[2];
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    int there[2] = {one[0], two[0]}, back[2] = {two[0], one[0]};
    assert_int_equal(pthread_create(&threads[0], NULL, swap_descriptors, there), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, swap_descriptors, back), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(dup2(one[0], two[0]), two[0]);
    struct pollfd ends[2] = {{.fd = one[1], .events = POLLIN}, {.fd = two[1], .events = POLLIN}};
    assert_int_equal(poll(ends, 2, 1000), 1); /* the end of the one that is gone */
    int left = ends[0].revents ? two[1] : one[1];
    char text[4];
    assert_int_equal(write(one[0], "left", 4), 4);
    assert_int_equal(net_read_all(left, text, 4), 4);
    close(one[0]), close(one[1]), close(two[0]), close(two[1]);
}

struct sender {
    int fd;
    _Atomic pid_t id;
    ssize_t result;
};

enum { SENT_AT_ONCE = 8 << 20 };
static uint8_t at_once[SENT_AT_ONCE];

static void *send_at_once(void *context)
{
    struct sender *sender = context;
    sender->id = gettid();
    sender->result = send(sender->fd, at_once, sizeof at_once, MSG_NOSIGNAL);
    return NULL;
}

/* Reads to the end, or to ECONNRESET, what is to be a beginning of what was sent: how much. */
static size_t read_beginning(int fd, bool *whole)
{
    static uint8_t data[65536];
    size_t done = 0;
    ssize_t n;
    while ((n = read(fd, data, sizeof data)) > 0) {
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    *whole = n == 0;
    assert_true(n == 0 || errno == ECONNRESET);
    return done;
}

static pthread_t start_sender(struct sender *sender, int fd)
{
    pthread_t thread;
    *sender = (struct sender){.fd = fd};
    net_pattern(at_once, sizeof at_once, 0);
    assert_int_equal(pthread_create(&thread, NULL, send_at_once, sender), 0);
    suite_until_thread_blocked(&sender->id);
    return thread;
}

/* The blocked call goes on after close(), and all of it arrives, though the number is another file's by then.
 */
static void close_beside_a_send(const struct net *net, bool others_pending)
{
    int pair[2], listener = -1, other = -1, ends[2];
    bool whole;
    struct sender sender;
    if (RACES_BY_DESIGN)
        skip();
    net_warm_pair(net, pair);
    if (others_pending)
        other = net_connect_unanswered(net, &listener);
    pthread_t thread = start_sender(&sender, pair[0]);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(dup2(ends[0], pair[0]), pair[0]);
    size_t done = read_beginning(pair[1], &whole);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sender.result, SENT_AT_ONCE);
    assert_int_equal(done, SENT_AT_ONCE);
    assert_true(whole);
    assert_int_equal(net_wait(ends[0], POLLIN, 0), 0);
    close(ends[0]), close(ends[1]), close(pair[0]), close(pair[1]);
    if (others_pending)
        close(other), close(listener);
}

static void close_while_another_writes(const struct net *net)
{
    close_beside_a_send(net, false);
}

/* The library makes progress with another connection as the call waits. */
static void close_while_another_writes_beside_a_handshake(const struct net *net)
{
    close_beside_a_send(net, true);
}

/* A child has the connection, too, and its end is the child's. */
static void close_while_another_writes_and_a_child_holds(const struct net *net)
{
    int pair[2], go[2];
    bool whole;
    char byte;
    struct sender sender;
    if (RACES_BY_DESIGN)
        skip();
    net_warm_pair(net, pair);
    assert_int_equal(pipe(go), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]), close(go[1]);
        _exit(read(go[0], &byte, 1) != 0);
    }
    pthread_t thread = start_sender(&sender, pair[0]);
    assert_int_equal(close(pair[0]), 0);
    static uint8_t data[65536];
    for (size_t done = 0; done < SENT_AT_ONCE;) {
        ssize_t n = read(pair[1], data, sizeof data);
        assert_true(n > 0 && net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sender.result, SENT_AT_ONCE);
    close(go[0]), close(go[1]);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(read_beginning(pair[1], &whole), 0);
    assert_true(whole);
    close(pair[1]);
}

/* The call ends with what it has sent. Behind a record that was cut the peer reads an error, where plain TCP
 * has an end; the bytes of that record are all that may be missing. */
static void shutdown_while_another_writes(const struct net *net)
{
    enum { RECORD = 16384 };
    int pair[2];
    bool whole;
    struct sender sender;
    net_warm_pair(net, pair);
    pthread_t thread = start_sender(&sender, pair[0]);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    size_t done = read_beginning(pair[1], &whole);
    assert_true(whole || net->sealed);
    assert_in_range(sender.result, done, whole ? done : done + RECORD);
    close(pair[0]), close(pair[1]);
}

static void shutdown_while_another_reads(const struct net *net)
{
    int pair[2];
    struct reader reader;
    net_warm_pair(net, pair);
    pthread_t thread = start_reader(&reader, pair[1]);
    assert_int_equal(shutdown(pair[1], SHUT_RDWR), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.result, 0);
    close(pair[0]), close(pair[1]);
}

/* A blocked reader does not keep another thread from writing, nor from asking for readiness. */
static void write_while_another_reads(const struct net *net)
{
    int pair[2];
    char text[4];
    struct reader reader;
    net_pair(net, pair);
    pthread_t thread = start_reader(&reader, pair[1]);
    assert_int_equal(net_wait(pair[1], POLLIN, 20), 0);
    assert_int_equal(write(pair[1], "busy", 4), 4);
    assert_int_equal(net_read_all(pair[0], text, 4), 4);
    assert_memory_equal(text, "busy", 4);
    assert_int_equal(write(pair[0], "done", 4), 4);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.result, 4);
    close(pair[0]), close(pair[1]);
}

static void cancelled_while_reading(const struct net *net)
{
    for (int warm = 0; warm < 2; warm++) {
        int pair[2];
        char text[8];
        void *result;
        struct reader reader;
        warm ? net_warm_pair(net, pair) : net_pair(net, pair);
        pthread_t thread = start_reader(&reader, pair[1]);
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_int_equal(write(pair[0], "go on", 5), 5);
        assert_int_equal(net_read_all(pair[1], text, 5), 5);
        assert_memory_equal(text, "go on", 5);
        assert_int_equal(write(pair[1], "yes", 3), 3);
        assert_int_equal(net_read_all(pair[0], text, 3), 3);
        close(pair[0]), close(pair[1]);
    }
}

/* A writer that is cancelled in the middle of a blocked write; the peer then drains what was accepted. */
static void cancelled_while_writing(const struct net *net)
{
    static uint8_t data[65536];
    int pair[2];
    pthread_t thread;
    size_t done = 0;
    struct flow flow = {.total = 300000000};
    net_warm_pair(net, pair);
    flow.fd = pair[0];
    assert_int_equal(pthread_create(&thread, NULL, write_flow, &flow), 0);
    suite_until_thread_blocked(&flow.id);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    while (net_wait(pair[1], POLLIN, 100) & POLLIN) {
        ssize_t n = recv(pair[1], data, sizeof data, MSG_DONTWAIT);
        if (n <= 0)
            break;
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    assert_true(done > 100000);
    close(pair[0]), close(pair[1]);
}

enum { PIECE = 64, PIECES = 200000 };

/* Writes the pattern in small pieces; ends early if told to. */
static void *write_pieces(void *context)
{
    struct flow *flow = context;
    uint8_t piece[PIECE];
    flow->id = gettid();
    for (size_t at = 0; at < flow->total; at += PIECE) {
        net_pattern(piece, PIECE, at);
        if (write(flow->fd, piece, PIECE) != PIECE)
            return NULL;
    }
    return context;
}

/* A write of a few bytes is a cancellation point too when it does not block. */
static void cancelled_between_small_writes(const struct net *net)
{
    uint8_t data[4096];
    int pair[2];
    pthread_t thread;
    void *result;
    size_t done = 0;
    struct flow flow = {.total = SIZE_MAX / 2};
    net_warm_pair(net, pair);
    flow.fd = pair[0];
    assert_int_equal(pthread_create(&thread, NULL, write_pieces, &flow), 0);
    while (done < 100000) {
        ssize_t n = read(pair[1], data, sizeof data);
        assert_true(n > 0);
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    assert_int_equal(pthread_cancel(thread), 0);
    while (pthread_tryjoin_np(thread, &result) == EBUSY) {
        ssize_t n = recv(pair[1], data, sizeof data, MSG_DONTWAIT);
        done += n > 0 ? (size_t)n : 0;
    }
    assert_ptr_equal(result, PTHREAD_CANCELED);
    close(pair[0]), close(pair[1]);
}

/* Small writes wait for room, whole, where the kernel has room for a part of one only. */
static void small_writes_into_a_full_buffer(const struct net *net)
{
    static uint8_t data[5003];
    int pair[2];
    pthread_t thread;
    void *result;
    struct flow flow = {.total = (size_t)PIECE * PIECES};
    net_warm_pair(net, pair);
    flow.fd = pair[0];
    assert_int_equal(pthread_create(&thread, NULL, write_pieces, &flow), 0);
    suite_until_thread_blocked(&flow.id);
    for (size_t done = 0; done < flow.total;) {
        ssize_t n = read(pair[1], data, sizeof data);
        assert_true(n > 0);
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
    close(pair[0]), close(pair[1]);
}

static void *open_and_close(void *context)
{
    const struct net *net = ((const struct net **)context)[0];
    for (int i = 0; i < 100; i++) {
        int pair[2];
        net_warm_pair(net, pair);
        close(pair[i % 2]);
        close(pair[1 - i % 2]);
    }
    return NULL;
}

static void connections_come_and_go_in_four_threads(const struct net *net)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &net), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

struct waiter {
    int epoll;
    _Atomic pid_t id;
};

static void *wait_for_input(void *context)
{
    struct waiter *waiter = context;
    struct epoll_event event;
    waiter->id = gettid();
    return epoll_wait(waiter->epoll, &event, 1, 5000) == 1 ? context : NULL;
}

/* The thread that waits is woken by what another thread caused, before and after the handshake. */
static void waiting_in_one_thread_connecting_in_another(const struct net *net)
{
    struct sockaddr_in address;
    pthread_t thread;
    void *woken;
    int listener = net_listen(net, 4, &address), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct waiter waiter = {.epoll = epoll};
    assert_int_equal(pthread_create(&thread, NULL, wait_for_input, &waiter), 0);
    suite_until_thread_blocked(&waiter.id);
    int one = net_connect(net, &address);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = one};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, one, &event), 0);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(write(two, "up", 2), 2);
    assert_int_equal(pthread_join(thread, &woken), 0);
    assert_non_null(woken);
    char text[2];
    assert_int_equal(net_read_all(one, text, 2), 2);
    close(one), close(two), close(listener), close(epoll);
}

static const struct suite_test tests[] = {
    {.name = "eight write frames and eight read them", .run = eight_write_frames_and_eight_read_them},
};

static const struct suite_case cases[] = {
    {.name = "eight write and eight read", .run = eight_write_and_eight_read},
    {.name = "both directions at once", .run = both_directions_at_once},
    {.name = "close while another reads", .run = close_while_another_reads},
    {.name = "dup2 while another reads", .run = dup2_while_another_reads},
    {.name = "dup2 both ways at once", .run = dup2_both_ways_at_once},
    {.name = "shutdown while another reads", .run = shutdown_while_another_reads},
    {.name = "close while another writes", .run = close_while_another_writes},
    {.name = "close while another writes, beside a handshake",
     .run = close_while_another_writes_beside_a_handshake},
    {.name = "close while another writes, and a child holds it",
     .run = close_while_another_writes_and_a_child_holds},
    {.name = "shutdown while another writes", .run = shutdown_while_another_writes},
    {.name = "write while another reads", .run = write_while_another_reads},
    {.name = "cancelled while reading", .run = cancelled_while_reading},
    {.name = "cancelled while writing", .run = cancelled_while_writing},
    {.name = "cancelled between small writes", .run = cancelled_between_small_writes},
    {.name = "small writes into a full buffer", .run = small_writes_into_a_full_buffer},
    {.name = "connections come and go in four threads", .run = connections_come_and_go_in_four_threads},
    {.name = "waiting in one thread, connecting in another",
     .run = waiting_in_one_thread_connecting_in_another},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
