/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A sealed descriptor is not handed to the kernel for its own use, by whichever call; a plain one is. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SET_SOCK = 0xab00 };

/* Whether the door refused it: no kernel answers so to these calls, with descriptors that are none. */
static bool refused(long result)
{
    return result == -1 && errno == EOPNOTSUPP;
}

static bool by_ioctl(int fd)
{
    return refused(ioctl(-1, SET_SOCK, (long)fd));
}

static bool by_raw_ioctl(int fd)
{
    return refused(syscall(SYS_ioctl, -1, SET_SOCK, (long)fd));
}

static bool by_mount(int fd)
{
    char options[64];
    snprintf(options, sizeof options, "trans=fd,rfdno=%d,wfdno=%d", fd, fd);
    return refused(mount("x", "/nonexistent", "9p", 0, options));
}

static bool by_raw_mount(int fd)
{
    char options[64];
    snprintf(options, sizeof options, "trans=fd,wfdno=%d", fd);
    return refused(syscall(SYS_mount, "x", "/nonexistent", "9p", 0, options));
}

static bool by_fsconfig(int fd)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    return refused(syscall(SYS_fsconfig, -1, 1, "rfdno", number, 0));
}

static bool by_fsconfig_itself(int fd)
{
    return refused(syscall(SYS_fsconfig, -1, 5, "fd", NULL, fd));
}

/* A map of sockets, where the kernel lets this process make one. */
static bool by_bpf(int fd)
{
    union bpf_attr make = {
        .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
    uint32_t key = 0;
    int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &make, sizeof make);
    union bpf_attr update = {
        .map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)&fd, .flags = BPF_ANY};
    bool result = refused(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &update, sizeof update));
    close(map);
    return result;
}

struct attribute {
    uint16_t size, type;
};

/* NBD_CMD_CONNECT; the family's number is of no account, for there is none. */
static bool by_netlink(int fd)
{
    struct {
        struct nlmsghdr head;
        struct genlmsghdr generic;
        struct attribute sockets, item, number;
        uint32_t fd;
    } message = {{sizeof message, 0x7ff, NLM_F_REQUEST, 1, 0},
                 {1, 1, 0},
                 {16, 7 | NLA_F_NESTED},
                 {12, 1 | NLA_F_NESTED},
                 {8, 1},
                 (uint32_t)fd};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct iovec iov = {&message, sizeof message};
    struct msghdr header = {
        .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &iov, .msg_iovlen = 1};
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    bool result = refused(sendmsg(netlink, &header, 0));
    close(netlink);
    return result;
}

/* usbip's form; a file of sysfs that takes no such text. */
static bool by_file(int fd)
{
    char text[32];
    int file = open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    int len = snprintf(text, sizeof text, "0 %d 65538 2", fd);
    bool result = refused(write(file, text, (size_t)len));
    close(file);
    return result;
}

static const struct way {
    const char *name;
    bool (*lend)(int fd);
} ways[] = {
    {"ioctl", by_ioctl},       {"syscall(SYS_ioctl)", by_raw_ioctl},
    {"mount", by_mount},       {"syscall(SYS_mount)", by_raw_mount},
    {"fsconfig", by_fsconfig}, {"fsconfig of a descriptor", by_fsconfig_itself},
    {"netlink", by_netlink},   {"a file of sysfs", by_file},
};

static void every_way(void)
{
    int sealed[2], plain[2];
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, sealed);
    net_warm_pair(&net_plain, plain);
    for (size_t i = 0; i < suite_count(ways); i++) {
        if (!ways[i].lend(sealed[0]))
            fail_msg("%s: a sealed descriptor was lent", ways[i].name);
        if (ways[i].lend(plain[0]))
            fail_msg("%s: a plain descriptor was refused", ways[i].name);
    }
    close(sealed[0]), close(sealed[1]), close(plain[0]), close(plain[1]);
}

static void a_map_of_sockets(void)
{
    int sealed[2];
    union bpf_attr make = {
        .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
    int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &make, sizeof make);
    close(map);
    if (!suite_has_library() || map < 0)
        skip(); /* the kernel has none, or not for this user */
    net_warm_pair(&net_sealed, sealed);
    assert_true(by_bpf(sealed[0]));
    close(sealed[0]), close(sealed[1]);
}

static const struct suite_test tests[] = {
    {.name = "every way to lend a descriptor", .run = every_way},
    {.name = "a map of sockets", .run = a_map_of_sockets},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
