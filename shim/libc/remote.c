/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of functions that give the program a connection which no door has made: libc connects inside rcmd(3)
 * and rexec(3), another process has made what pidfd_getfd(2) copies. It would be used in the clear: where a
 * rule names it, it is refused. */

#include "libc/door.h"

#include <netdb.h>
#include <netinet/in.h>

#include "config/config.h"
#include "diag/log.h"
#include "io/socket.h"
#include "io/unconnected.h"
#include "sys/net.h"

int pidfd_getfd(int process, int fd, unsigned flags) __THROW;

static bool refuses(const char *function, in_port_t port)
{
    config_load();
    if (!config_get()->active || !rules_may_match(&config_get()->rules, RULES_CONNECT, ntohs(port)))
        return false;
    log_line(LOG_ERROR, "%s to port %d is refused: the connection would not be sealed", function,
             ntohs(port));
    errno = EACCES;
    return true;
}

DOOR int rcmd_af(char **restrict host, unsigned short port, const char *restrict local,
                 const char *restrict remote, const char *restrict command, int *restrict error,
                 sa_family_t family)
{
    return refuses("rcmd", port) ? -1 : real()->rcmd_af(host, port, local, remote, command, error, family);
}

DOOR int rcmd(char **restrict host, unsigned short port, const char *restrict local,
              const char *restrict remote, const char *restrict command, int *restrict error)
{
    return rcmd_af(host, port, local, remote, command, error, AF_INET);
}

DOOR int rexec_af(char **restrict host, int port, const char *restrict user, const char *restrict password,
                  const char *restrict command, int *restrict error, sa_family_t family)
{
    return refuses("rexec", (in_port_t)port)
               ? -1
               : real()->rexec_af(host, port, user, password, command, error, family);
}

DOOR int rexec(char **restrict host, int port, const char *restrict user, const char *restrict password,
               const char *restrict command, int *restrict error)
{
    return rexec_af(host, port, user, password, command, error, AF_INET);
}

DOOR int pidfd_getfd(int process, int fd, unsigned flags)
{
    int saved = errno;
    long copy = sys_call3(SYS_pidfd_getfd, process, fd, (long)flags);
    config_load();
    if (copy >= 0 && config_get()->active && socket_names((int)copy)) {
        log_line(LOG_ERROR,
                 "pidfd_getfd is refused: descriptor %d of the other process is a connection that is "
                 "sealed, or should be",
                 fd);
        sys_close((int)copy);
        copy = -EACCES;
    }
    if (copy >= 0 && config_get()->active)
        unconnected_note((int)copy);
    return (int)door_result(copy, saved);
}
