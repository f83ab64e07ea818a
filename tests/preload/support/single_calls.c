/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "single_calls.h"

#include "net.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

long single_told(long result)
{
    return result < 0 ? -errno : result;
}

long single_shut_reading(int fd)
{
    return single_told(shutdown(fd, SHUT_RD));
}

long single_shut_writing(int fd)
{
    return single_told(shutdown(fd, SHUT_WR));
}

long single_shut_both(int fd)
{
    return single_told(shutdown(fd, SHUT_RDWR));
}

long single_count(int fd)
{
    int bytes = -1;
    return ioctl(fd, FIONREAD, &bytes) < 0 ? -errno : bytes;
}

long single_so_error(int fd)
{
    int error = -1;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : error;
}

long single_ready(int fd)
{
    return net_wait(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
}

long single_peer_name(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    return single_told(getpeername(fd, (struct sockaddr *)&peer, &len));
}

long single_copy_and_close(int fd)
{
    int copy = dup(fd);
    return single_told(close(copy));
}

long single_hear_to_end(int fd)
{
    enum { LIMIT_MS = 5000 };
    char text[64];
    size_t got = 0;
    const int64_t limit = net_now_ms() + LIMIT_MS;
    while (net_now_ms() < limit && net_wait(fd, POLLIN, LIMIT_MS)) {
        ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
        if (n == 0)
            return (long)got;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        got += n > 0 ? (size_t)n : 0;
    }
    return -ETIME;
}
