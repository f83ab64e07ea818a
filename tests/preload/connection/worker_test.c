/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a call has accepted is delivered, whatever the program does next: it waits on a lock, for a child or a
 * signal, or computes. On plain TCP the kernel sees to that; here the worker (shim/io/worker.h) does. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 8000 };

/* The client is a process of its own. It connects and does its work while nobody accepts, says so by a byte
 * in the pipe, and then idles in its own way until it is killed. */
struct client {
    const struct net *net;
    struct sockaddr_in address;
    int said;      /* the pipe */
    pid_t speaker; /* the process that said so */
};

static void say(const struct client *client)
{
    pid_t self = getpid();
    if (write(client->said, &self, sizeof self) != sizeof self)
        _exit(2);
}

static int connect_and_write(const struct client *client)
{
    int fd = net_connect(client->net, &client->address);
    if (write(fd, "message", 7) != 7)
        _exit(3);
    return fd;
}

/* In libc's own futex: no door. */
static void wait_on_a_lock(void)
{
    sem_t never;
    sem_init(&never, 0, 0);
    for (;;)
        sem_wait(&never);
}

static void write_and_wait_on_a_lock(const struct client *client)
{
    connect_and_write(client);
    say(client);
    wait_on_a_lock();
}

static void write_without_blocking_and_wait(const struct client *client)
{
    int fd = net_connect(client->net, &client->address);
    net_set_nonblock(fd, true);
    if (write(fd, "message", 7) != 7)
        _exit(3);
    say(client);
    wait_on_a_lock();
}

static void write_and_compute(const struct client *client)
{
    connect_and_write(client);
    say(client);
    for (volatile unsigned long i = 0;; i++) {
    }
}

static void close_and_wait_for_a_child(const struct client *client)
{
    int ready[2];
    char byte;
    if (pipe(ready) < 0)
        _exit(2);
    close(connect_and_write(client));
    pid_t child = suite_fork();
    if (child == 0) {
        if (write(ready[1], "!", 1) != 1)
            _exit(2);
        wait_on_a_lock();
    }
    /* From here on the child dies with this process. */
    if (read(ready[0], &byte, 1) != 1)
        _exit(2);
    close(ready[0]), close(ready[1]);
    say(client);
    waitpid(child, NULL, 0);
    _exit(4);
}

static void shut_down_and_wait_for_a_signal(const struct client *client)
{
    sigset_t none;
    int signal;
    shutdown(connect_and_write(client), SHUT_WR);
    say(client);
    sigemptyset(&none);
    sigaddset(&none, SIGUSR2);
    sigprocmask(SIG_BLOCK, &none, NULL);
    sigwait(&none, &signal);
    _exit(4);
}

/* The data is handed to a child, and the parent ends. */
static void fork_and_end(const struct client *client)
{
    connect_and_write(client);
    pid_t child = fork();
    if (child == 0) {
        say(client);
        wait_on_a_lock();
    }
    _exit(0);
}

/* A child of this process writes. It ends, or closes its descriptor. */
static void write_by_a_child(const struct client *client, bool closes)
{
    int fd = net_connect(client->net, &client->address);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        net_set_nonblock(fd, true);
        if (write(fd, "message", 7) != 7)
            _exit(3);
        if (closes)
            close(fd);
        say(client);
        if (!closes)
            _exit(0);
    }
    wait_on_a_lock();
}

static void write_by_a_child_that_ends(const struct client *client)
{
    write_by_a_child(client, false);
}

static void write_by_a_child_that_closes(const struct client *client)
{
    write_by_a_child(client, true);
}

static void run_a_program(const struct client *client)
{
    char text[100];
    fcntl(connect_and_write(client), F_SETFD, 0);
    /* as many bytes as say() writes */
    snprintf(text, sizeof text, "echo run >&%d; while :; do :; done", client->said);
    execl("/bin/sh", "sh", "-c", text, NULL);
}

static void change_rights_and_wait(const struct client *client)
{
    connect_and_write(client);
    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        _exit(5);
    say(client);
    wait_on_a_lock();
}

static pid_t start(struct client *client, void (*run)(const struct client *client), int *listener)
{
    int said[2];
    *listener = net_listen(client->net, 4, &client->address);
    assert_int_equal(pipe(said), 0);
    client->said = said[1];
    pid_t child = suite_fork();
    if (child == 0) {
        close(*listener);
        run(client);
        _exit(0);
    }
    close(said[1]);
    assert_int_equal(read(said[0], &client->speaker, sizeof client->speaker), sizeof client->speaker);
    close(said[0]);
    return child;
}

static void expect(int fd, const char *text)
{
    char got[64];
    size_t len = strlen(text), have = 0;
    while (have < len || len == 0) {
        assert_int_not_equal(net_wait(fd, POLLIN, WAIT_MS), 0);
        ssize_t n = read(fd, got, sizeof got);
        assert_true(n >= 0);
        if (n == 0)
            break;
        assert_true((size_t)n <= len - have);
        assert_memory_equal(got, text + have, (size_t)n);
        have += (size_t)n;
    }
    assert_int_equal(have, len);
}

static void delivered(const struct net *net, void (*run)(const struct client *client), bool ends)
{
    struct client client = {.net = net};
    int listener;
    pid_t child = start(&client, run, &listener);
    if (client.speaker != child && kill(client.speaker, 0) == 0)
        suite_until_blocked(client.speaker); /* or gone */
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    expect(fd, "message");
    if (ends)
        expect(fd, "");
    kill(child, SIGKILL);
    suite_wait(child);
    close(fd), close(listener);
}

static void a_lock_is_waited_for(const struct net *net)
{
    delivered(net, write_and_wait_on_a_lock, false);
}

static void a_write_that_does_not_block(const struct net *net)
{
    delivered(net, write_without_blocking_and_wait, false);
}

static void the_program_computes(const struct net *net)
{
    delivered(net, write_and_compute, false);
}

static void closed_and_a_child_is_waited_for(const struct net *net)
{
    struct client client = {.net = net};
    int listener;
    start(&client, close_and_wait_for_a_child, &listener);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    expect(fd, "message");
    expect(fd, "");
    kill(client.speaker, SIGKILL);
    suite_wait(client.speaker);
    close(fd), close(listener);
}

static void shut_down_and_a_signal_is_waited_for(const struct net *net)
{
    delivered(net, shut_down_and_wait_for_a_signal, true);
}

static void the_writer_ends_and_its_child_lives(const struct net *net)
{
    struct client client = {.net = net};
    int listener;
    pid_t child = start(&client, fork_and_end, &listener);
    assert_int_equal(suite_wait(child), 0);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    expect(fd, "message");
    kill(client.speaker, SIGKILL);
    close(fd), close(listener);
}

static void a_child_writes_and_ends(const struct net *net)
{
    delivered(net, write_by_a_child_that_ends, false);
}

static void a_child_writes_and_closes(const struct net *net)
{
    delivered(net, write_by_a_child_that_closes, false);
}

static void another_program_computes(const struct net *net)
{
    delivered(net, run_a_program, false);
}

/* Of every thread of the process: a line of /proc/PID/task/TID/status (proc(5)). Gives how many threads have
 * it so. */
static int threads_with(pid_t process, const char *line)
{
    char path[300], text[4096];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)process, task->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        close(fd);
        text[len > 0 ? len : 0] = 0;
        count += strstr(text, line) != NULL;
    }
    if (tasks)
        closedir(tasks);
    return count;
}

/* The kernel keeps rights for each thread, and libc knows nothing of the worker. */
static void rights_are_given_up(const struct net *net)
{
    struct client client = {.net = net};
    int listener;
    if (geteuid() != 0)
        skip();
    pid_t child = start(&client, change_rights_and_wait, &listener);
    assert_int_equal(threads_with(child, "Uid:\t0\t"), 0);
    assert_int_not_equal(threads_with(child, "Uid:\t65534\t65534\t65534\t65534"), 0);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    expect(fd, "message");
    kill(child, SIGKILL);
    suite_wait(child);
    close(fd), close(listener);
}

/* unshare(2) of a user namespace is refused to a process of several threads. */
static void unshare_and_wait(const struct client *client)
{
    connect_and_write(client);
    if (unshare(CLONE_NEWUSER) < 0 && errno == EINVAL)
        _exit(6);
    say(client);
    wait_on_a_lock();
}

static void a_namespace_is_unshared(const struct net *net)
{
    delivered(net, unshare_and_wait, false);
}

/* The worker must not keep the table of descriptors that the program leaves. */
static void unshare_descriptors_and_wait(const struct client *client)
{
    int fd = connect_and_write(client);
    if (close_range(~0u - 1, ~0u - 1, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) < 0)
        _exit(6);
    close(fd);
    say(client);
    wait_on_a_lock();
}

static void descriptors_are_unshared(const struct net *net)
{
    delivered(net, unshare_descriptors_and_wait, true);
}

static volatile sig_atomic_t handled_by;

static void note(int signal)
{
    (void)signal;
    handled_by = (sig_atomic_t)syscall(SYS_gettid);
}

/* A signal to the process goes to a thread that the program knows, however idle the worker is. */
static void handle_and_wait(const struct client *client)
{
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGUSR1, &action, NULL);
    connect_and_write(client);
    for (int i = 0; i < 200; i++) {
        handled_by = 0;
        kill(getpid(), SIGUSR1);
        if (handled_by != getpid())
            _exit(7);
    }
    say(client);
    wait_on_a_lock();
}

static void signals_go_to_the_program(const struct net *net)
{
    delivered(net, handle_and_wait, false);
}

/* A program of one thread that stays in ordinary calls never has a second one. Its peer counts. */
static void stay_in_ordinary_calls(const struct client *client)
{
    char text[16];
    for (int i = 0; i < 20; i++) {
        int fd = net_connect(client->net, &client->address);
        if (write(fd, "message", 7) != 7 || read(fd, text, sizeof text) != 6)
            _exit(8);
        if (threads_with(getpid(), "State:") != 1)
            _exit(9);
        close(fd);
    }
    _exit(0);
}

static void ordinary_calls_have_no_second_thread(const struct net *net)
{
    struct client client = {.net = net};
    int listener = net_listen(net, 4, &client.address);
    pid_t child = suite_fork();
    if (child == 0)
        stay_in_ordinary_calls(&client);
    for (int i = 0; i < 20; i++) {
        char text[16];
        int fd = accept(listener, NULL, NULL);
        assert_int_equal(read(fd, text, sizeof text), 7);
        assert_int_equal(write(fd, "answer", 6), 6);
        assert_int_equal(threads_with(getpid(), "State:"), 1);
        assert_int_equal(read(fd, text, sizeof text), 0);
        close(fd);
    }
    assert_int_equal(suite_wait(child), 0);
    close(listener);
}

/* ... and a worker that has nothing left to do is gone. */
static void idle_then_count(const struct client *client)
{
    connect_and_write(client);
    say(client);
    wait_on_a_lock();
}

static void a_worker_without_work_is_gone(const struct net *net)
{
    struct client client = {.net = net};
    int listener;
    pid_t child = start(&client, idle_then_count, &listener);
    assert_int_equal(threads_with(child, "State:"), net->sealed && suite_has_library() ? 2 : 1);
    int fd = accept(listener, NULL, NULL);
    expect(fd, "message");
    for (int64_t end = net_now_ms() + WAIT_MS; threads_with(child, "State:") != 1 && net_now_ms() < end;)
        net_sleep_ms(2);
    assert_int_equal(threads_with(child, "State:"), 1);
    kill(child, SIGKILL);
    suite_wait(child);
    close(fd), close(listener);
}

/* Closed within their handshakes by several threads: no descriptor is left, and the end takes no time. */
enum { CLOSERS = 4, CLOSED_EACH = 40, OWN = 4 + 8 /* memory that is kept for connections */ };

static struct client closers;

static void *close_at_once(void *context)
{
    (void)context;
    for (int i = 0; i < CLOSED_EACH; i++) {
        int fd = net_connect(closers.net, &closers.address);
        if (write(fd, "message", 7) != 7)
            _exit(3);
        close(fd);
    }
    return NULL;
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *open = opendir("/proc/self/fd");
    while (readdir(open))
        count++;
    closedir(open);
    return count;
}

static void close_in_threads(const struct client *client)
{
    pthread_t threads[CLOSERS];
    closers = *client;
    int before = open_descriptors();
    for (int i = 0; i < CLOSERS; i++)
        pthread_create(&threads[i], NULL, close_at_once, NULL);
    for (int i = 0; i < CLOSERS; i++)
        pthread_join(threads[i], NULL);
    int64_t end = net_now_ms() + WAIT_MS;
    while (open_descriptors() > before + OWN && net_now_ms() < end)
        usleep(1000);
    _exit(open_descriptors() > before + OWN ? 10 : 0);
}

static void closed_within_their_handshakes(const struct net *net)
{
    struct client client = {.net = net};
    int listener = net_listen(net, 64, &client.address);
    pid_t child = suite_fork();
    if (child == 0)
        close_in_threads(&client);
    for (int i = 0; i < CLOSERS * CLOSED_EACH; i++) {
        int fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        expect(fd, "message");
        expect(fd, "");
        close(fd);
    }
    assert_int_equal(suite_wait(child), 0);
    close(listener);
}

/* A fork while the worker is at it, again and again. */
static void fork_again_and_again(const struct client *client)
{
    connect_and_write(client);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    say(client);
    wait_on_a_lock();
}

static void forks_beside_the_worker(const struct net *net)
{
    delivered(net, fork_again_and_again, false);
}

/* A handler that forks, wherever it interrupts the program: also while the worker is being started. The child
 * goes on with what was interrupted. */
enum { HANDLER_FORKS = 60 };
static volatile sig_atomic_t handler_forks, is_handlers_child;

static void fork_in_handler(int signal)
{
    const int saved = errno;
    (void)signal;
    if (!is_handlers_child && handler_forks < HANDLER_FORKS) {
        const pid_t child = fork();
        is_handlers_child = child == 0;
        handler_forks += child > 0;
    }
    errno = saved;
}

/* Each fork ends the worker, and starts it anew. */
static void start_a_worker(void)
{
    const pid_t child = fork();
    if (child == 0)
        kill(getpid(), SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* Until enough were forked; none of them has ended but by its own hand. */
static void fork_above_the_start(const struct client *client)
{
    const struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    const struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    const int fd = connect_and_write(client);
    int status, ended = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (handler_forks < HANDLER_FORKS && !is_handlers_child)
        start_a_worker();
    setitimer(ITIMER_REAL, &never, NULL);
    if (is_handlers_child) {
        for (int i = 0; i < 3; i++)
            start_a_worker();
        kill(getpid(), SIGKILL);
    }
    while (ended < HANDLER_FORKS && waitpid(-1, &status, 0) > 0 && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGKILL)
        ended++;
    if (ended != HANDLER_FORKS)
        _exit(10);
    (void)fd;
    say(client);
    wait_on_a_lock();
}

static void forks_above_the_start_of_the_worker(const struct net *net)
{
    delivered(net, fork_above_the_start, false);
}

/* ---- what the worker has of the program's ---- */

static void raw_sleep_ms(int ms)
{
    sys_call3(SYS_nanosleep, sys_ptr(&(struct timespec){.tv_nsec = ms * 1000000L}), 0, 0);
}

/* A thread of the process other than its first: the worker, or -1. */
static pid_t worker_of(pid_t process)
{
    char path[300];
    pid_t found = -1;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        if (task->d_name[0] != '.' && atoi(task->d_name) != process)
            found = atoi(task->d_name);
    }
    if (tasks)
        closedir(tasks);
    return found;
}

/* Changes something that the kernel keeps for each thread, when it is told to. Says in how many threads it is
 * not so, at once and in the end. */
static void change_when_told(const struct client *client, int told, int answer)
{
    char byte;
    int threads;
    connect_and_write(client);
    say(client);
    if (sys_read(told, &byte, 1) != 1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(4);
    threads = threads_with(getpid(), "NoNewPrivs:\t0");
    sys_write(answer, &threads, sizeof threads);
    for (int i = 0; i < 3000 && (threads = threads_with(getpid(), "NoNewPrivs:\t0")) > 0; i++)
        raw_sleep_ms(1);
    _exit(threads);
}

/* The worker is stopped while a right of the program's is changed. It may not go on as it was. */
static void a_worker_that_is_stuck(const struct net *net)
{
    struct client client = {.net = net};
    int ends[2], back[2], threads = 0;
    if (!net->sealed || !suite_has_library())
        skip();
    int listener = net_listen(net, 4, &client.address);
    assert_int_equal(pipe(ends) | pipe(back), 0);
    client.said = back[1];
    pid_t child = suite_fork(), said;
    if (child == 0)
        change_when_told(&client, ends[0], back[1]);
    assert_int_equal(read(back[0], &said, sizeof said), sizeof said);
    pid_t worker = worker_of(child);
    assert_true(worker > 0);
    if (ptrace(PTRACE_SEIZE, worker, NULL, NULL) < 0)
        skip();
    assert_int_equal(ptrace(PTRACE_INTERRUPT, worker, NULL, NULL), 0);
    assert_int_equal(waitpid(worker, NULL, __WALL), worker);
    assert_int_equal(write(ends[1], "g", 1), 1);
    assert_int_equal(read(back[0], &threads, sizeof threads), sizeof threads);
    assert_int_equal(threads, 1);
    assert_int_equal(ptrace(PTRACE_DETACH, worker, NULL, NULL), 0);
    assert_int_equal(suite_wait(child), 0);
    close(listener);
    for (int i = 0; i < 2; i++)
        close(ends[i]), close(back[i]);
}

static int find_eventfd(void)
{
    char path[64], target[64];
    for (int fd = 3; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len > 0 ? len : 0] = 0;
        if (strcmp(target, "anon_inode:[eventfd]") == 0)
            return fd;
    }
    return -1;
}

/* The program closes the descriptor that wakes the worker, past the doors, and has a pipe at its number. */
static int taken_role(int argc, char **argv)
{
    int ends[2], listener, left = 0;
    (void)argc, (void)argv;
    net_connect_unanswered(&net_sealed, &listener);
    int wake = find_eventfd();
    if (wake < 0 || pipe(ends) < 0 || sys_call3(SYS_dup3, ends[1], wake, 0) != wake)
        return 2;
    pid_t child = fork();
    if (child == 0)
        _exit(sys_call3(SYS_fcntl, wake, F_GETFD, 0) < 0);
    if (suite_wait(child) != 0)
        return 3;
    return sys_call3(SYS_ioctl, ends[0], FIONREAD, sys_ptr(&left)) < 0 || left ? 4 : 0;
}

static void a_waking_descriptor_s_number_is_taken(const struct net *net)
{
    const char *none[] = {NULL};
    if (!net->sealed || !suite_has_library())
        skip();
    assert_int_equal(suite_wait(suite_spawn("taken", none, none, -1, -1)), 0);
}

int main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {.name = "written, and a lock is waited for", .run = a_lock_is_waited_for, .limit_s = 30},
        {.name = "written without blocking, and a lock is waited for",
         .run = a_write_that_does_not_block,
         .limit_s = 30},
        {.name = "written, and the program computes", .run = the_program_computes, .limit_s = 30},
        {.name = "closed, and a child is waited for", .run = closed_and_a_child_is_waited_for, .limit_s = 30},
        {.name = "shut down, and a signal is waited for",
         .run = shut_down_and_a_signal_is_waited_for,
         .limit_s = 30},
        {.name = "the writer ends, and its child lives",
         .run = the_writer_ends_and_its_child_lives,
         .limit_s = 30},
        {.name = "written by a child that ends", .run = a_child_writes_and_ends, .limit_s = 30},
        {.name = "written by a child that closes", .run = a_child_writes_and_closes, .limit_s = 30},
        {.name = "written, and another program computes", .run = another_program_computes, .limit_s = 30},
        {.name = "written, and rights are given up", .run = rights_are_given_up, .limit_s = 30},
        {.name = "written, and a namespace is unshared", .run = a_namespace_is_unshared, .limit_s = 30},
        {.name = "written, and descriptors are unshared", .run = descriptors_are_unshared, .limit_s = 30},
        {.name = "signals go to the program", .run = signals_go_to_the_program, .limit_s = 30},
        {.name = "ordinary calls have no second thread",
         .run = ordinary_calls_have_no_second_thread,
         .limit_s = 30},
        {.name = "a worker without work is gone", .run = a_worker_without_work_is_gone, .limit_s = 30},
        {.name = "closed within their handshakes, in threads",
         .run = closed_within_their_handshakes,
         .limit_s = 60},
        {.name = "forks beside the worker", .run = forks_beside_the_worker, .limit_s = 30},
        {.name = "a handler forks as the worker is started",
         .run = forks_above_the_start_of_the_worker,
         .limit_s = 60},
        {.name = "a worker that is stuck", .run = a_worker_that_is_stuck, .limit_s = 30},
        {.name = "the waking descriptor's number is taken",
         .run = a_waking_descriptor_s_number_is_taken,
         .limit_s = 30},
    };
    static const struct suite_role roles[] = {{"taken", taken_role}};
    suite_roles(roles, suite_count(roles));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
