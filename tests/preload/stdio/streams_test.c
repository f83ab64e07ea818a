/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Streams that a program makes of connections. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(int fd, const char *text)
{
    assert_int_equal(net_write_all(fd, text, strlen(text)), strlen(text));
}

static void in_every_mode(const struct net *net)
{
    static const char *const modes[] = {"w", "r+", "w+", "a", "a+", "we", "wb"};
    char line[32];
    for (size_t i = 0; i < suite_count(modes); i++) {
        int pair[2];
        net_warm_pair(net, pair);
        fcntl(pair[0], F_SETFD, 0);
        FILE *stream = fdopen(pair[0], modes[i]);
        assert_non_null(stream);
        assert_int_equal(fileno(stream), pair[0]);
        assert_int_equal(fcntl(pair[0], F_GETFD), 0); /* "e" is for fopen(3) */
        assert_true(fprintf(stream, "%s %d\n", "line", 1) == 7);
        assert_int_equal(net_wait(pair[1], POLLIN, 0), 0); /* buffered */
        assert_int_equal(fflush(stream), 0);
        net_expect_text(pair[1], "line 1\n");
        if (strchr(modes[i], '+')) {
            say(pair[1], "answer\n");
            assert_string_equal(fgets(line, sizeof line, stream), "answer\n");
        } else {
            assert_int_equal(fgetc(stream), EOF);
            assert_int_equal(errno, EBADF);
        }
        assert_int_equal(fclose(stream), 0);
        assert_int_equal(fcntl(pair[0], F_GETFD), -1);
        net_expect_end(pair[1]);
    }
}

static void reading(const struct net *net)
{
    int pair[2];
    char text[32] = "", *line = NULL;
    size_t room = 0;
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "r");
    say(pair[1], "first\nsecond\n12 words\nblocks of bytes");
    shutdown(pair[1], SHUT_WR);
    assert_int_equal(getline(&line, &room, stream), 6);
    assert_int_equal(fgetc(stream), 's');
    assert_int_equal(ungetc('S', stream), 'S');
    assert_int_equal(getline(&line, &room, stream), 7);
    assert_string_equal(line, "Second\n");
    int number = 0;
    assert_int_equal(fscanf(stream, "%d %9s ", &number, text), 2);
    assert_int_equal(number, 12);
    assert_string_equal(text, "words");
    assert_int_equal(fread(text, 2, 5, stream), 5);
    assert_memory_equal(text, "blocks of ", 10);
    assert_int_equal(fread(text, 1, sizeof text, stream), 5);
    assert_true(feof(stream) && !ferror(stream));
    assert_int_equal(fputs("no", stream), EOF);
    assert_int_equal(errno, EBADF);
    assert_int_equal(fseek(stream, 0, SEEK_SET), -1);
    assert_int_equal(errno, ESPIPE);
    assert_int_equal(ftell(stream), -1);
    assert_int_equal(fclose(stream), 0);
    free(line);
    net_expect_end(pair[1]);
}

static void with_every_buffering(const struct net *net)
{
    static char buffer[64];
    int pair[2];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "w");
    assert_int_equal(setvbuf(stream, NULL, _IONBF, 0), 0);
    fputs("at once", stream);
    net_expect_text(pair[1], "at once");
    assert_int_equal(setvbuf(stream, NULL, _IOLBF, 0), 0);
    fputs("a line\nand", stream);
    net_expect_text(pair[1], "a line\n");
    fflush(stream);
    net_expect_text(pair[1], "and");
    assert_int_equal(setvbuf(stream, buffer, _IOFBF, sizeof buffer), 0);
    for (int i = 0; i < 10; i++)
        fputs("0123456789", stream);
    assert_true(net_wait(pair[1], POLLIN, 1000));
    fflush(NULL); /* all streams */
    for (int i = 0; i < 10; i++)
        net_expect_text(pair[1], "0123456789");
    assert_int_equal(fclose(stream), 0);
    net_expect_end(pair[1]);
}

static void made_before_the_connection(const struct net *net)
{
    struct sockaddr_in address;
    char line[16];
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    FILE *stream = fdopen(one, "r+");
    assert_int_equal(net_connect_to(one, &address), 0);
    int two = accept(listener, NULL, NULL);
    fputs("hello\n", stream);
    fflush(stream);
    net_expect_text(two, "hello\n");
    say(two, "world\n");
    assert_string_equal(fgets(line, sizeof line, stream), "world\n");
    assert_int_equal(fclose(stream), 0);
    close(listener);
    net_expect_end(two);
}

/* Two streams over two descriptors of one connection, one to read and one to write. */
static void two_streams(const struct net *net)
{
    int pair[2];
    char line[16];
    net_warm_pair(net, pair);
    FILE *in = fdopen(pair[0], "r"), *out = fdopen(dup(pair[0]), "w");
    say(pair[1], "ask\n");
    assert_string_equal(fgets(line, sizeof line, in), "ask\n");
    assert_int_equal(fclose(in), 0);
    fputs("answer", out);
    assert_int_equal(fclose(out), 0);
    net_expect_text(pair[1], "answer");
    net_expect_end(pair[1]);
}

/* The descriptor is closed under the stream. */
static void closed_underneath(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "w");
    fputs("lost", stream);
    close(pair[0]);
    net_expect_end(pair[1]);
    assert_int_equal(fflush(stream), EOF);
    assert_int_equal(errno, EBADF);
    assert_true(ferror(stream));
    assert_int_equal(fclose(stream), EOF);
    assert_null(fdopen(-1, "r"));
    assert_int_equal(errno, EBADF);
    net_warm_pair(net, pair);
    assert_null(fdopen(pair[0], "x"));
    assert_int_equal(errno, EINVAL);
    close(pair[0]), close(pair[1]);
}

static void reopened_as_a_file(const struct net *net)
{
    int pair[2];
    char line[64];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "r+");
    fputs("flushed", stream);
    FILE *again = freopen("/etc/passwd", "r", stream);
    assert_ptr_equal(again, stream);
    net_expect_text(pair[1], "flushed");
    net_expect_end(pair[1]);
    assert_non_null(fgets(line, sizeof line, again));
    assert_memory_equal(line, "root", 4);
    assert_int_equal(lseek(pair[0], 0, SEEK_SET), 0); /* the number is the file's now */
    assert_int_equal(read(pair[0], line, 4), 4);
    assert_int_equal(fclose(again), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
}

static void reopening_fails(const struct net *net)
{
    for (int round = 0; round < 2; round++) {
        int pair[2];
        net_warm_pair(net, pair);
        FILE *stream = fdopen(pair[0], "w");
        fputs("flushed", stream);
        assert_null(freopen(round ? NULL : "/nonexistent/file", "r", stream));
        assert_int_equal(errno, round ? ENXIO : ENOENT);
        net_expect_text(pair[1], "flushed");
        net_expect_end(pair[1]);
        assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    }
}

static void large_writes(const struct net *net)
{
    enum { LEN = 500000 };
    static uint8_t data[LEN];
    int pair[2], status;
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        FILE *stream = fdopen(pair[0], "w");
        net_pattern(data, LEN, 0);
        status = fwrite(data, 1, 100, stream) == 100 && fwrite(data + 100, 1, LEN - 100, stream) == LEN - 100;
        _exit(fclose(stream) == 0 && status ? 0 : 1);
    }
    close(pair[0]);
    FILE *stream = fdopen(pair[1], "r");
    for (size_t at = 0; at < LEN; at += 50) /* many small reads */
        assert_int_equal(fread(data + at, 50, 1, stream), 1);
    assert_true(net_is_pattern(data, LEN, 0));
    assert_int_equal(fgetc(stream), EOF);
    fclose(stream);
    assert_int_equal(suite_wait(child), 0);
}

static void a_stream_writes_and_reads(const struct net *net)
{
    int pair[2];
    char line[64];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "r+");
    assert_non_null(stream);
    assert_int_equal(fileno(stream), pair[0]);
    fprintf(stream, "number %d\n", 7);
    assert_int_equal(fflush(stream), 0);
    net_expect_text(pair[1], "number 7\n");
    assert_int_equal(write(pair[1], "answer\nmore\n", 12), 12);
    assert_string_equal(fgets(line, sizeof line, stream), "answer\n");
    assert_string_equal(fgets(line, sizeof line, stream), "more\n");
    assert_int_equal(fseek(stream, 0, SEEK_SET), -1);
    assert_int_equal(errno, ESPIPE);
    fputs("last", stream);
    assert_int_equal(fclose(stream), 0);
    net_expect_text(pair[1], "last");
    assert_int_equal(read(pair[1], line, 1), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    close(pair[1]);
}

static void an_unbuffered_stream(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    FILE *stream = fdopen(pair[0], "w");
    setvbuf(stream, NULL, _IONBF, 0);
    fputs("at once", stream);
    net_expect_text(pair[1], "at once");
    fclose(stream);
    close(pair[1]);
}

/* systemd asserts that fclose() does not say EBADF; and it closes, once. */
static void complaint_02_fclose_is_no_bad_descriptor(const struct net *net)
{
    int pair[2];
    char byte;
    net_warm_pair(net, pair);
    int copy = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
    FILE *in = fdopen(pair[0], "r"), *out = fdopen(copy, "w");
    fputs("last words", out);
    errno = 0;
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(errno, 0);
    assert_int_equal(close(pair[0]), -1);
    assert_int_equal(errno, EBADF);
    net_expect_text(pair[1], "last words");
    assert_int_equal(read(pair[1], &byte, 1), 0);
    close(pair[1]);
}

/* A server that knows nothing but streams. */
static void complaint_11_a_server_on_streams_is_served(const struct net *net)
{
    struct sockaddr_in address;
    char line[64];
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        FILE *peer = fdopen(accept(listener, NULL, NULL), "r+");
        if (peer == NULL || fgets(line, sizeof line, peer) == NULL)
            _exit(1);
        fprintf(peer, "you said %s", line);
        exit(fclose(peer) == 0 ? 0 : 2);
    }
    int one = net_connect(net, &address);
    assert_int_equal(write(one, "hello\n", 6), 6);
    net_expect_text(one, "you said hello\n");
    assert_int_equal(suite_wait(child), 0);
    close(one), close(listener);
}

static const struct suite_case cases[] = {
    {.name = "in every mode", .run = in_every_mode},
    {.name = "reading", .run = reading},
    {.name = "with every buffering", .run = with_every_buffering},
    {.name = "made before the connection", .run = made_before_the_connection},
    {.name = "two streams", .run = two_streams},
    {.name = "closed underneath", .run = closed_underneath},
    {.name = "reopened as a file", .run = reopened_as_a_file},
    {.name = "reopening fails", .run = reopening_fails},
    {.name = "large writes", .run = large_writes},
    {.name = "a stream writes and reads", .run = a_stream_writes_and_reads},
    {.name = "an unbuffered stream", .run = an_unbuffered_stream},
    {.name = "complaint_02_fclose_is_no_bad_descriptor", .run = complaint_02_fclose_is_no_bad_descriptor},
    {.name = "complaint_11_a_server_on_streams_is_served", .run = complaint_11_a_server_on_streams_is_served},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
