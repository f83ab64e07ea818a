/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "sys/net.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct address address_of(const struct sockaddr *address)
{
    struct address out = {0};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        out.family = AF_INET;
        out.port = ntohs(in->sin_port);
        memcpy(out.bytes, &in->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        out.family = AF_INET6;
        out.port = ntohs(in6->sin6_port);
        memcpy(out.bytes, &in6->sin6_addr, 16);
    }
    return out;
}

const char *address_text(const struct address *address, char text[static ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->family == AF_INET || address->family == AF_INET6)
        inet_ntop(address->family, address->bytes, host, sizeof host);
    snprintf(text, ADDRESS_TEXT, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, address->port);
    return text;
}

int address_socket_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return net_getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

bool address_is_refused(long error)
{
    return error < 0 && error != -ENOTSOCK && error != -EBADF && error != -ENOTCONN;
}

/* What the kernel does not tell could be TCP. */
bool address_is_tcp(int fd)
{
    int type = SOCK_STREAM, protocol = IPPROTO_TCP;
    socklen_t len = sizeof type;
    int error = net_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    if (error == 0)
        error = net_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len);
    if (error < 0 && !address_is_refused(error))
        return false;
    return type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}
