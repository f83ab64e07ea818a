/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "doors_transfer.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIPE_SIZE = 1 << 20 };

void transfer_pipe(int ends[2])
{
    int kept = errno;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    errno = kept;
}

int transfer_file(const void *data, size_t len)
{
    int file = memfd_create("transfer", MFD_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(net_write_all(file, data, len), len);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    return file;
}

size_t transfer_waiting(int pipe)
{
    int waiting = -1;
    assert_int_equal(ioctl(pipe, FIONREAD, &waiting), 0);
    return (size_t)waiting;
}

/* Closes both, gives the result, and keeps its errno. */
static ssize_t done(int first, int second, ssize_t result, bool right)
{
    int kept = errno;
    close(first);
    if (second >= 0)
        close(second);
    errno = right ? kept : EBADMSG;
    return right ? result : -1;
}

/* What the call has put into the pipe, all of it, into the buffer. */
static ssize_t emptied(const int ends[2], void *data, ssize_t moved)
{
    int kept = errno;
    size_t waiting = transfer_waiting(ends[0]), wanted = moved > 0 ? (size_t)moved : 0;
    bool right = waiting == wanted && net_read_all(ends[0], data, waiting) == waiting;
    errno = kept;
    return done(ends[0], ends[1], moved, right);
}

ssize_t transfer_read_by_splice(int fd, void *data, size_t len)
{
    int ends[2];
    transfer_pipe(ends);
    return emptied(ends, data, syscall(SYS_splice, fd, NULL, ends[1], NULL, len, SPLICE_F_MOVE));
}

ssize_t transfer_read_by_sendfile(int fd, void *data, size_t len)
{
    int ends[2];
    transfer_pipe(ends);
    return emptied(ends, data, sendfile(ends[1], fd, NULL, len));
}

ssize_t transfer_write_by_splice(int fd, const void *data, size_t len)
{
    int ends[2];
    size_t put = len < PIPE_SIZE / 4 ? len : PIPE_SIZE / 4;
    transfer_pipe(ends);
    assert_int_equal(net_write_all(ends[1], data, put), put);
    ssize_t moved = splice(ends[0], NULL, fd, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    size_t gone = moved > 0 ? (size_t)moved : 0;
    return done(ends[0], ends[1], moved, transfer_waiting(ends[0]) == put - gone);
}

ssize_t transfer_write_by_sendfile(int fd, const void *data, size_t len)
{
    int file = transfer_file(data, len);
    ssize_t moved = sendfile(fd, file, NULL, len);
    return done(file, -1, moved, lseek(file, 0, SEEK_CUR) == (moved > 0 ? moved : 0));
}

ssize_t transfer_write_by_sendfile_at(int fd, const void *data, size_t len)
{
    int file = transfer_file("offset", 6);
    off_t at = 6;
    assert_int_equal(lseek(file, 6, SEEK_SET), 6);
    assert_int_equal(net_write_all(file, data, len), len);
    assert_int_equal(lseek(file, 1, SEEK_SET), 1);
    ssize_t moved = sendfile(fd, file, &at, len);
    bool right = at == 6 + (moved > 0 ? moved : 0) && lseek(file, 0, SEEK_CUR) == 1;
    return done(file, -1, moved, right);
}
