/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/lend.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conn/address.h"
#include "conn/fdtable.h"
#include "diag/log.h"
#include "sys/file.h"
#include "sys/net.h"

static bool is_sealed(long fd, const char *use)
{
    if (fd < 0 || fd > INT32_MAX || !fdtable_has((int)fd))
        return false;
    log_line(LOG_WARN, "descriptor %ld is sealed, and not given to the kernel for %s", fd, use);
    return true;
}

/* ---- ioctl ---- */

enum { IOCTL_NBD_SET_SOCK = 0xab00, IOCTL_KCM_ATTACH = 0x89e0, DOMAIN_KCM = 41 };

bool lend_by_ioctl(int fd, unsigned long request, const void *argument)
{
    int attached;
    if (request == IOCTL_NBD_SET_SOCK)
        return is_sealed((long)(intptr_t)argument, "a block device (NBD_SET_SOCK)");
    if (request != IOCTL_KCM_ATTACH || !argument || address_socket_option(fd, SO_DOMAIN) != DOMAIN_KCM)
        return false;
    memcpy(&attached, argument, sizeof attached);
    return is_sealed(attached, "a multiplexor (SIOCKCMATTACH)");
}

/* ---- mount ---- */

static bool is_number_of_9p(const char *key, size_t len)
{
    return (len == 5 && (memcmp(key, "rfdno", 5) == 0 || memcmp(key, "wfdno", 5) == 0));
}

bool lend_by_mount(const char *type, const char *options)
{
    if (!type || !options || strcmp(type, "9p") != 0 || !atomic_load(&fdtable_size))
        return false;
    for (const char *at = options; *at; at += strspn(at, ",")) {
        size_t len = strcspn(at, ","), key = strcspn(at, "=,");
        if (is_number_of_9p(at, key) && at[key] == '=' && is_sealed(strtol(at + key + 1, NULL, 0), "9p"))
            return true;
        at += len;
    }
    return false;
}

bool lend_by_fsconfig(unsigned command, const char *key, const void *value, int aux)
{
    enum { SET_STRING = 1, SET_FD = 5 };
    if (command == SET_FD)
        return is_sealed(aux, "a file system");
    return command == SET_STRING && key && value && is_number_of_9p(key, strlen(key)) &&
           is_sealed(strtol(value, NULL, 0), "9p");
}

/* ---- bpf ---- */

/* bpf(2)'s attributes of BPF_MAP_UPDATE_ELEM and BPF_OBJ_GET_INFO_BY_FD, as far as they are used. */
struct element {
    uint32_t map, padding;
    uint64_t key, value, flags;
};

struct question {
    uint32_t fd, len;
    uint64_t info;
};

bool lend_by_bpf(long command, const void *attributes)
{
    enum { UPDATE_ELEMENT = 2, GET_INFO = 15, SOCKMAP = 15, SOCKHASH = 18 };
    const struct element *element = attributes;
    uint32_t info[32] = {0};
    int fd;
    if (command != UPDATE_ELEMENT || !element || !element->value || !atomic_load(&fdtable_size))
        return false;
    const struct question question = {element->map, sizeof info, (uintptr_t)info};
    if (sys_call3(SYS_bpf, GET_INFO, sys_ptr(&question), sizeof question) < 0 ||
        (info[0] != SOCKMAP && info[0] != SOCKHASH))
        return false;
    memcpy(&fd, (const void *)(uintptr_t)element->value, sizeof fd);
    return is_sealed(fd, "a map of sockets (bpf)");
}

/* ---- files ---- */

enum { TEXT_MAX = 64, MAGIC_SYSFS = 0x62656572, MAGIC_NFSD = 0x6e667364 };

bool lend_by_text(int fd, const char *text, size_t len)
{
    char copy[TEXT_MAX + 1], *at = copy, *end;
    struct statfs fs;
    if (len < 2 || len > TEXT_MAX || !text || /* one byte: to find out whether there is memory */
        text[0] < '0' || text[0] > '9')
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (copy[strspn(copy, "0123456789 \n")] || sys_fstatfs(fd, &fs) < 0 ||
        (fs.f_type != MAGIC_SYSFS && fs.f_type != MAGIC_NFSD))
        return false;
    for (long number = strtol(at, &end, 10); end != at; number = strtol(at, &end, 10)) {
        if (is_sealed(number, "a file of the kernel's"))
            return true;
        at = end;
    }
    return false;
}

/* ---- netlink ---- */

enum { MESSAGE_MAX = 1024, HEADER = 16, GENERIC_HEADER = 4, PROTOCOL_ISCSI = 8, PROTOCOL_GENERIC = 16 };

static uint32_t word_at(const uint8_t *data, size_t at)
{
    uint32_t word;
    memcpy(&word, data + at, sizeof word);
    return word;
}

/* struct iscsi_uevent: the type, then sid, cid and the descriptor behind 16 bytes. */
static bool binds_iscsi(const uint8_t *data, size_t len)
{
    enum { BIND_CONNECTION = 15 };
    return len >= HEADER + 28 && word_at(data, HEADER) == BIND_CONNECTION &&
           is_sealed(word_at(data, HEADER + 24), "iSCSI");
}

/* Attributes in attributes: NBD_ATTR_SOCKETS { NBD_SOCK_ITEM { NBD_SOCK_FD } }. */
static bool connects_nbd(const uint8_t *data, size_t len, unsigned depth)
{
    static const uint16_t types[] = {7, 1, 1};
    for (size_t at = 0; at + 4 <= len;) {
        uint16_t size, type;
        memcpy(&size, data + at, 2), memcpy(&type, data + at + 2, 2);
        if (size < 4 || size > len - at)
            return false;
        if ((type & 0x3fff) == types[depth]) {
            if (depth < 2 ? connects_nbd(data + at + 4, size - 4u, depth + 1)
                          : size == 8 && is_sealed(word_at(data, at + 4), "a block device (nbd)"))
                return true;
        }
        at += (size + 3u) & ~3u;
    }
    return false;
}

bool lend_by_netlink(int fd, const struct msghdr *message)
{
    uint8_t data[MESSAGE_MAX];
    size_t len = 0;
    int protocol = address_socket_option(fd, SO_PROTOCOL);
    if (protocol != PROTOCOL_ISCSI && protocol != PROTOCOL_GENERIC)
        return false;
    for (size_t i = 0; i < message->msg_iovlen && len < sizeof data; i++) {
        size_t part = message->msg_iov[i].iov_len;
        part = part < sizeof data - len ? part : sizeof data - len;
        memcpy(data + len, message->msg_iov[i].iov_base, part);
        len += part;
    }
    if (protocol == PROTOCOL_ISCSI)
        return binds_iscsi(data, len);
    return len > HEADER + GENERIC_HEADER &&
           connects_nbd(data + HEADER + GENERIC_HEADER, len - HEADER - GENERIC_HEADER, 0);
}
