/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* caller OPERATION ADDRESS PORT: makes one call that could get bytes to the port, or from it. Prints "ok" or
 * the name of its errno. `caller has N` looks for a descriptor, `caller run PROGRAM ARGUMENT...` becomes
 * another program. Linked statically it is what the library cannot be loaded into. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MPTCP = 262, SMC = 256 };

static int socket_for(const char *operation)
{
    int protocol = strcmp(operation, "mptcp") == 0 ? MPTCP : strcmp(operation, "smc") == 0 ? SMC : 0;
    return socket(AF_INET, SOCK_STREAM, protocol);
}

/* TCP Fast Open: connects without connect(2). */
static long send_fast(const char *operation, int fd, const struct sockaddr_in *peer)
{
    char text[] = "MARKER";
    struct iovec iov = {text, sizeof text - 1};
    struct sockaddr_in address = *peer;
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &iov, .msg_iovlen = 1}};
    if (strcmp(operation, "sendto") == 0)
        return sendto(fd, text, sizeof text - 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
    if (strcmp(operation, "sendmsg") == 0)
        return sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN);
    return sendmmsg(fd, &message, 1, MSG_FASTOPEN);
}

static long make_call(const char *operation, const struct sockaddr_in *peer)
{
    const int on = 1, fd = socket_for(operation);
    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (strncmp(operation, "send", 4) == 0)
        return send_fast(operation, fd, peer);
    if (strcmp(operation, "io_uring") == 0)
        return syscall(SYS_io_uring_setup, 0, NULL) < 0 && errno == EFAULT ? 0 : -1;
    if (strcmp(operation, "bind") == 0)
        return bind(fd, (const struct sockaddr *)peer, sizeof *peer);
    if (connect(fd, (const struct sockaddr *)peer, sizeof *peer) < 0)
        return -1;
    return write(fd, "MARKER", 6);
}

int main(int argc, char **argv)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    if (argc > 2 && strcmp(argv[1], "run") == 0)
        return execv(argv[2], argv + 2);
    if (argc == 3 && strcmp(argv[1], "has") == 0)
        return puts(fcntl(atoi(argv[2]), F_GETFD) < 0 ? strerrorname_np(errno) : "ok") < 0;
    if (argc != 4 || inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1)
        return 2;
    peer.sin_port = htons((uint16_t)atoi(argv[3]));
    puts(make_call(argv[1], &peer) < 0 ? strerrorname_np(errno) : "ok");
    return 0;
}
