/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LEND_H
#define SOCKSEAL_LEND_H

/*
 * Descriptors that a program hands to the kernel for the kernel's own use: it would read and write the socket
 * in the clear. Each of these tells whether a call hands over a sealed one, and must fail; a line in the log
 * says so. What is not known here passes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* ioctl(2): NBD_SET_SOCK, SIOCKCMATTACH. */
bool lend_by_ioctl(int fd, unsigned long request, const void *argument);

/* mount(2) of 9p with trans=fd, and fsconfig(2) of the same. */
bool lend_by_mount(const char *type, const char *options);
bool lend_by_fsconfig(unsigned command, const char *key, const void *value, int aux);

/* bpf(2): an element of a sockmap or sockhash. */
bool lend_by_bpf(long command, const void *attributes);

/* write(2) of numbers to a file of sysfs or nfsd: usbip's and rpc.nfsd's. */
bool lend_by_text(int fd, const char *text, size_t len);

/* A message to netlink(7): nbd's NBD_CMD_CONNECT, iSCSI's ISCSI_UEVENT_BIND_CONN. */
bool lend_by_netlink(int fd, const struct msghdr *message);

#endif
