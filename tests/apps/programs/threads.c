/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The server of tests/support/services.py with a thread for each connection, blocking calls, sendfile(2), and
 * much work for an allocator: it is linked with one that replaces libc's. */

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { LARGEST = 100000, BACKLOG = 1024 };

static const char *file_path;

static void failed(void)
{
    printf("error %s\n", strerrorname_np(errno));
}

/* False after an error. */
static int put(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            failed();
            return 0;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return 1;
}

/* Reads into memory that is allocated anew each time, in sizes that differ. */
static char *get(int fd, ssize_t *got)
{
    static __thread unsigned turn;
    size_t size = 16 + turn++ * 7919 % LARGEST;
    char *bytes = realloc(malloc(size / 2), size);
    do
        *got = recv(fd, bytes, size, 0);
    while (*got < 0 && errno == EINTR);
    if (*got < 0)
        failed();
    return bytes;
}

static void echo(int fd)
{
    for (ssize_t got = 1; got > 0;) {
        char *bytes = get(fd, &got);
        if (got > 0 && !put(fd, bytes, (size_t)got))
            got = -1;
        free(bytes);
    }
}

static void sink(int fd)
{
    unsigned long sum = crc32(0, NULL, 0), count = 0;
    char *answer = NULL;
    for (ssize_t got = 1; got > 0;) {
        char *bytes = get(fd, &got);
        if (got > 0) {
            sum = crc32(sum, (unsigned char *)bytes, (unsigned)got);
            count += (unsigned long)got;
        }
        free(bytes);
    }
    if (asprintf(&answer, "%lu %08lx\n", count, sum) > 0)
        put(fd, answer, strlen(answer));
    free(answer);
}

static void send_file(int fd)
{
    struct stat status;
    off_t offset = 0;
    int file = open(file_path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0)
        abort();
    while (offset < status.st_size) {
        ssize_t sent = sendfile(fd, file, &offset, (size_t)(status.st_size - offset));
        if (sent < 0 && errno != EINTR) {
            failed();
            break;
        }
    }
    close(file);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tick(int fd, int turns, int interval)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int64_t due = now_ms() + interval;
    char text[32];
    for (int turn = 0; turn < turns || ready.fd >= 0;) {
        int64_t wait = turn < turns ? due - now_ms() : -1;
        int count = poll(&ready, 1, turn < turns && wait < 0 ? 0 : (int)wait);
        if (turn < turns && now_ms() >= due) {
            int len = snprintf(text, sizeof text, "tick %d\n", turn++);
            due += interval;
            if (!put(fd, text, (size_t)len))
                return;
        }
        if (count > 0 && ready.fd >= 0) {
            ssize_t got;
            char *bytes = get(fd, &got);
            if (got <= 0)
                ready.fd = -1;
            else
                put(fd, bytes, (size_t)got);
            free(bytes);
        }
    }
}

static void serve(int fd)
{
    char line[64] = "";
    int turns, interval;
    if (!put(fd, "ready\n", 6))
        return;
    for (size_t len = 0; len < sizeof line - 1 && recv(fd, line + len, 1, 0) == 1; len++) {
        if (line[len] == '\n') {
            line[len] = 0;
            break;
        }
    }
    if (strcmp(line, "echo") == 0)
        echo(fd);
    else if (strcmp(line, "sink") == 0)
        sink(fd);
    else if (strcmp(line, "file") == 0)
        send_file(fd);
    else if (sscanf(line, "tick %d %d", &turns, &interval) == 2)
        tick(fd, turns, interval);
    else if (strcmp(line, "reset") == 0 && put(fd, "last words\n", 11))
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
}

static void *run(void *argument)
{
    int fd = (int)(intptr_t)argument;
    serve(fd);
    close(fd);
    return NULL;
}

static void *await_end(void *signals)
{
    int number;
    sigwait(signals, &number);
    exit(0);
}

int main(int argc, char **argv)
{
    struct addrinfo *address = NULL;
    sigset_t signals;
    pthread_t thread;
    pthread_attr_t detached;
    const int on = 1;
    if (argc != 4 ||
        getaddrinfo(argv[1], argv[2], &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &address) != 0)
        return 2;
    file_path = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_create(&thread, NULL, await_end, &signals);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, address->ai_addr, address->ai_addrlen) < 0 || listen(listener, BACKLOG) < 0)
        return 1;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            pthread_create(&thread, &detached, run, (void *)(intptr_t)fd);
    }
}
