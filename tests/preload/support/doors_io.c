/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "doors.h"
#include "doors_raw.h"
#include "doors_transfer.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* glibc's fortified forms and aliases, which no header declares. */
ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *data, size_t len, size_t room, int flags, struct sockaddr *from,
                       socklen_t *from_len);
ssize_t __read(int fd, void *data, size_t len);
ssize_t __write(int fd, const void *data, size_t len);
ssize_t __send(int fd, const void *data, size_t len, int flags);
ssize_t __recv(int fd, void *data, size_t len, int flags);
#ifdef __aarch64__
__asm__(".symver __send, __send@GLIBC_2.17"); /* exported there for old programs only */
#endif
int __sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

enum { PIECES = 4 };

/* Unequal pieces, an empty one among them. */
static void split(struct iovec *iov, const void *data, size_t len)
{
    char *at = (char *)(uintptr_t)data;
    size_t first = len / 5, second = len / 2 - len / 5;
    iov[0] = (struct iovec){at, first};
    iov[1] = (struct iovec){at + first, 0};
    iov[2] = (struct iovec){at + first, second};
    iov[3] = (struct iovec){at + first + second, len - first - second};
}

static ssize_t by_read(int fd, void *data, size_t len)
{
    return read(fd, data, len);
}

static ssize_t by_read_alias(int fd, void *data, size_t len)
{
    return __read(fd, data, len);
}

static ssize_t by_read_chk(int fd, void *data, size_t len)
{
    return __read_chk(fd, data, len, len);
}

static ssize_t by_readv(int fd, void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    return readv(fd, iov, PIECES);
}

static ssize_t by_preadv2(int fd, void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    return preadv2(fd, iov, PIECES, -1, 0);
}

static ssize_t by_recv(int fd, void *data, size_t len)
{
    return recv(fd, data, len, 0);
}

static ssize_t by_recv_chk(int fd, void *data, size_t len)
{
    return __recv_chk(fd, data, len, len, 0);
}

/* A stream socket leaves the address alone: one that claims to have been given is a difference. */
static ssize_t by_recvfrom(int fd, void *data, size_t len)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(fd, data, len, 0, (struct sockaddr *)&from, &from_len);
    if (n >= 0 && from_len != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    return n;
}

static ssize_t by_recvfrom_chk(int fd, void *data, size_t len)
{
    return __recvfrom_chk(fd, data, len, len, 0, NULL, NULL);
}

/* Zero, and errors of our own, unless the kernel's other answers are those of a stream without ancillary
 * data. */
static ssize_t by_recvmsg(int fd, void *data, size_t len)
{
    struct iovec iov[PIECES];
    char control[64], name[64];
    split(iov, data, len);
    struct msghdr message = {.msg_iov = iov,
                             .msg_iovlen = PIECES,
                             .msg_control = control,
                             .msg_controllen = sizeof control,
                             .msg_name = name,
                             .msg_namelen = sizeof name,
                             .msg_flags = 0x7ffffff};
    ssize_t n = recvmsg(fd, &message, 0);
    if (n >= 0 && (message.msg_flags != 0 || message.msg_controllen != 0 || message.msg_namelen != 0)) {
        errno = EBADMSG;
        return -1;
    }
    return n;
}

/* Two messages that share the buffer; the second gets something only when the first is full. */
static ssize_t by_recvmmsg(int fd, void *data, size_t len)
{
    size_t half = (len + 1) / 2;
    struct iovec iov[2] = {{data, half}, {(char *)data + half, len - half}};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}}};
    int n = recvmmsg(fd, messages, 2, MSG_WAITFORONE, NULL);
    if (n <= 0)
        return n;
    return (ssize_t)messages[0].msg_len + (n > 1 ? (ssize_t)messages[1].msg_len : 0);
}

static ssize_t by_write(int fd, const void *data, size_t len)
{
    return write(fd, data, len);
}

static ssize_t by_write_alias(int fd, const void *data, size_t len)
{
    return __write(fd, data, len);
}

static ssize_t by_writev(int fd, const void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    return writev(fd, iov, PIECES);
}

static ssize_t by_pwritev2(int fd, const void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    return pwritev2(fd, iov, PIECES, -1, 0);
}

static ssize_t by_send(int fd, const void *data, size_t len)
{
    return send(fd, data, len, 0);
}

static ssize_t by_send_alias(int fd, const void *data, size_t len)
{
    return __send(fd, data, len, 0);
}

static ssize_t by_sendto(int fd, const void *data, size_t len)
{
    return sendto(fd, data, len, 0, NULL, 0);
}

static ssize_t by_sendmsg(int fd, const void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = PIECES};
    return sendmsg(fd, &message, 0);
}

static ssize_t by_sendmmsg(int fd, const void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = iov, .msg_iovlen = 3}},
                                  {.msg_hdr = {.msg_iov = iov + 3, .msg_iovlen = 1}}};
    int n = sendmmsg(fd, messages, 2, 0);
    if (n <= 0)
        return n;
    return (ssize_t)messages[0].msg_len + (n > 1 ? (ssize_t)messages[1].msg_len : 0);
}

static ssize_t by_preadv64v2(int fd, void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    return preadv64v2(fd, iov, PIECES, -1, 0);
}

static ssize_t by_recv_alias(int fd, void *data, size_t len)
{
    return __recv(fd, data, len, 0);
}

static ssize_t by_pwritev64v2(int fd, const void *data, size_t len)
{
    struct iovec iov[PIECES];
    split(iov, data, len);
    return pwritev64v2(fd, iov, PIECES, -1, 0);
}

static ssize_t by_sendmmsg_alias(int fd, const void *data, size_t len)
{
    struct iovec iov = {(char *)(uintptr_t)data, len};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
    int n = __sendmmsg(fd, &message, 1, 0);
    return n > 0 ? (ssize_t)message.msg_len : n;
}

const struct reader_door reader_doors[] = {
    {"read", by_read},
    {"__read", by_read_alias},
    {"__read_chk", by_read_chk},
    {"readv", by_readv},
    {"preadv2", by_preadv2},
    {"preadv64v2", by_preadv64v2},
    {"recv", by_recv},
    {"__recv", by_recv_alias},
    {"__recv_chk", by_recv_chk},
    {"recvfrom", by_recvfrom},
    {"__recvfrom_chk", by_recvfrom_chk},
    {"recvmsg", by_recvmsg},
    {"recvmmsg", by_recvmmsg},
    {"splice", transfer_read_by_splice},
    {"sendfile to a pipe", transfer_read_by_sendfile},
    {"SYS_read", raw_read},
    {"SYS_readv", raw_readv},
    {"SYS_preadv2", raw_preadv2},
    {"SYS_recvfrom", raw_recvfrom},
    {"SYS_recvmsg", raw_recvmsg},
    {"SYS_recvmmsg", raw_recvmmsg},
};
const size_t reader_door_count = suite_count(reader_doors);

const struct writer_door writer_doors[] = {
    {"write", by_write},
    {"__write", by_write_alias},
    {"writev", by_writev},
    {"pwritev2", by_pwritev2},
    {"pwritev64v2", by_pwritev64v2},
    {"send", by_send},
    {"__send", by_send_alias},
    {"sendto", by_sendto},
    {"sendmsg", by_sendmsg},
    {"sendmmsg", by_sendmmsg},
    {"splice", transfer_write_by_splice},
    {"sendfile", transfer_write_by_sendfile},
    {"sendfile at", transfer_write_by_sendfile_at},
    {"__sendmmsg", by_sendmmsg_alias},
    {"SYS_write", raw_write},
    {"SYS_writev", raw_writev},
    {"SYS_pwritev2", raw_pwritev2},
    {"SYS_sendto", raw_sendto},
    {"SYS_sendmsg", raw_sendmsg},
    {"SYS_sendmmsg", raw_sendmmsg},
};
const size_t writer_door_count = suite_count(writer_doors);
