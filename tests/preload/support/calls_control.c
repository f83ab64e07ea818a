/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "agent.h"
#include "calls.h"
#include "doors.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char end_name[2] = {'A', 'B'};

static long run_waiter(const long *arg)
{
    return waiter_doors[arg[3]].wait((int)arg[0], (short)arg[1], (int)arg[2]);
}

static void add_event(char *text, size_t room, int events, int bit, const char *name)
{
    if (events & bit)
        snprintf(text + strlen(text), room - strlen(text), " %s", name);
}

static void tell_events(struct scene *scene, enum end end, const char *name, long events, int error)
{
    char text[96] = "";
    if (events < 0) {
        t_tell_result(scene, end, name, events, error);
        return;
    }
    add_event(text, sizeof text, (int)events, POLLIN, "in");
    add_event(text, sizeof text, (int)events, POLLOUT, "out");
    add_event(text, sizeof text, (int)events, POLLPRI, "pri");
    add_event(text, sizeof text, (int)events, POLLRDHUP, "rdhup");
    add_event(text, sizeof text, (int)events, POLLHUP, "hup");
    add_event(text, sizeof text, (int)events, POLLERR, "err");
    add_event(text, sizeof text, (int)events, POLLNVAL, "nval");
    scene_tell(scene, "%c %s =%s%s", end_name[end], name, events != 0 ? text : " nothing",
               error == AGENT_ERRNO ? "" : " (errno touched)");
}

int t_wait_by(struct scene *scene, enum end end, const struct waiter_door *door, short events, int timeout_ms)
{
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end], events, timeout_ms, door - waiter_doors};
    long result = t_run(scene, end, run_waiter, arg, &error);
    tell_events(scene, end, door->name, result, error);
    return (int)result;
}

int t_wait(struct scene *scene, enum end end, short events, int timeout_ms)
{
    return t_wait_by(scene, end, &waiter_doors[0], events, timeout_ms);
}

int t_ready(struct scene *scene, enum end end)
{
    return t_wait(scene, end, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0);
}

static long run_close(const long *arg)
{
    return close((int)arg[0]);
}

static long run_shutdown(const long *arg)
{
    return shutdown((int)arg[0], (int)arg[1]);
}

static long run_fionread(const long *arg)
{
    int n = -1;
    return ioctl((int)arg[0], FIONREAD, &n) < 0 ? -1 : n;
}

static long run_settle_count(const long *arg)
{
    int64_t end = net_now_ms() + 3000;
    const long poll_arg[AGENT_ARGS] = {arg[0]};
    while (run_fionread(poll_arg) < arg[1] && net_now_ms() < end)
        net_wait(-1, 0, 1);
    return 0;
}

void t_settle_count(struct scene *scene, enum end end, size_t len)
{
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end], (long)len};
    t_run(scene, end, run_settle_count, arg, &error);
}

static long run_so_error(const long *arg)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt((int)arg[0], SOL_SOCKET, SO_ERROR, &value, &len) < 0 ? -1 : value;
}

static long run_nonblock(const long *arg)
{
    int flags = fcntl((int)arg[0], F_GETFL);
    flags = arg[1] ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl((int)arg[0], F_SETFL, flags);
}

static long run_set_option(const long *arg)
{
    int value = (int)arg[3];
    return setsockopt((int)arg[0], (int)arg[1], (int)arg[2], &value, sizeof value);
}

static long run_set_timeout(const long *arg)
{
    struct timeval span = {arg[2] / 1000, (arg[2] % 1000) * 1000};
    return setsockopt((int)arg[0], SOL_SOCKET, (int)arg[1], &span, sizeof span);
}

static long simple(struct scene *scene, enum end end, const char *name, long (*run)(const long *), long a,
                   long b, long c)
{
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end], a, b, c};
    long result = t_run(scene, end, run, arg, &error);
    t_tell_result(scene, end, name, result, error);
    return result;
}

long t_close(struct scene *scene, enum end end)
{
    long result = simple(scene, end, "close", run_close, 0, 0, 0);
    scene->fd[end] = -1;
    return result;
}

long t_shutdown(struct scene *scene, enum end end, int how)
{
    static const char *const names[] = {"shutdown(RD)", "shutdown(WR)", "shutdown(RDWR)"};
    return simple(scene, end, how >= 0 && how < 3 ? names[how] : "shutdown(?)", run_shutdown, how, 0, 0);
}

long t_fionread(struct scene *scene, enum end end)
{
    return simple(scene, end, "FIONREAD", run_fionread, 0, 0, 0);
}

/* Told by name: the numbers mean nothing to a reader. */
long t_so_error(struct scene *scene, enum end end)
{
    int error;
    const long arg[AGENT_ARGS] = {scene->fd[end]};
    long result = t_run(scene, end, run_so_error, arg, &error);
    if (result > 0)
        scene_tell(scene, "%c SO_ERROR = %s", end_name[end], strerrorname_np((int)result));
    else
        t_tell_result(scene, end, "SO_ERROR", result, error);
    return result;
}

void t_nonblock(struct scene *scene, enum end end, bool on)
{
    simple(scene, end, on ? "O_NONBLOCK on" : "O_NONBLOCK off", run_nonblock, on, 0, 0);
}

void t_set_option(struct scene *scene, enum end end, int level, int option, int value)
{
    simple(scene, end, "setsockopt", run_set_option, level, option, value);
}

static long run_linger_zero(const long *arg)
{
    struct linger linger = {.l_onoff = 1};
    return setsockopt((int)arg[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void t_linger_zero(struct scene *scene, enum end end)
{
    simple(scene, end, "SO_LINGER 0", run_linger_zero, 0, 0, 0);
}

void t_set_timeout(struct scene *scene, enum end end, int option, unsigned ms)
{
    simple(scene, end, option == SO_RCVTIMEO ? "SO_RCVTIMEO" : "SO_SNDTIMEO", run_set_timeout, option,
           (long)ms, 0);
}

void t_took(struct scene *scene, int64_t start_ms, unsigned expected_ms)
{
    int64_t took = net_now_ms() - start_ms;
    bool right = took >= (int64_t)expected_ms - 2 && took <= (int64_t)expected_ms + 700;
    if (right)
        scene_tell(scene, "took about %u ms", expected_ms);
    else
        scene_tell(scene, "took %lld ms, not %u", (long long)took, expected_ms);
}

static volatile sig_atomic_t sigpipes;

static void count_sigpipe(int signal_number)
{
    (void)signal_number;
    sigpipes = sigpipes + 1;
}

static long run_count_sigpipe(const long *arg)
{
    struct sigaction action = {.sa_handler = count_sigpipe};
    (void)arg;
    sigpipes = 0;
    return sigaction(SIGPIPE, &action, NULL);
}

static long run_sigpipes(const long *arg)
{
    (void)arg;
    return sigpipes;
}

void t_count_sigpipe(struct scene *scene, enum end end)
{
    simple(scene, end, "SIGPIPE counted", run_count_sigpipe, 0, 0, 0);
}

void t_sigpipes(struct scene *scene, enum end end)
{
    simple(scene, end, "SIGPIPEs", run_sigpipes, 0, 0, 0);
}

struct t_later {
    pthread_t thread;
    unsigned ms;
    void (*action)(int fd);
    int fd;
    _Atomic pid_t id; /* of the thread, once it runs */
};

static void *act_later(void *context)
{
    struct t_later *later = context;
    later->id = gettid();
    net_sleep_ms(later->ms);
    later->action(later->fd);
    return NULL;
}

struct t_later *t_after(unsigned ms, void (*action)(int fd), int fd)
{
    struct t_later *later = malloc(sizeof *later);
    assert_non_null(later);
    *later = (struct t_later){.ms = ms, .action = action, .fd = fd};
    assert_int_equal(pthread_create(&later->thread, NULL, act_later, later), 0);
    return later;
}

void t_until_blocked(struct t_later *later)
{
    suite_until_thread_blocked(&later->id);
}

void t_join(struct t_later *later)
{
    assert_int_equal(pthread_join(later->thread, NULL), 0);
    free(later);
}
