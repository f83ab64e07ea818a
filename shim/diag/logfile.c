/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "diag/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/file.h"

/* O_NONBLOCK: a named pipe without a reader is an error here, not a wait. */
static const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

/* A descriptor of the process's own by its name: a link that nobody else can have put there. */
static bool names_descriptor(const char *path)
{
    static const char *const names[] = {"/dev/stdout",     "/dev/stderr", "/proc/self/fd/1",
                                        "/proc/self/fd/2", "/dev/fd/1",   "/dev/fd/2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return false;
}

enum logfile_daemon logfile_daemon(const char *path)
{
    static const struct {
        const char *end;
        enum logfile_daemon daemon;
    } names[] = {
        {"/journal/socket", LOGFILE_JOURNALD}, {"/dev/log", LOGFILE_SYSLOG}, {"/dev-log", LOGFILE_SYSLOG}};
    const size_t len = path ? strlen(path) : 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t end = strlen(names[i].end);
        if (len >= end && strcmp(path + len - end, names[i].end) == 0)
            return names[i].daemon;
    }
    return LOGFILE_NONE;
}

/* What is wrong with the open file, or NULL. */
static const char *find_fault(const struct stat *st, enum logfile_kind kind)
{
    unsigned user = sys_geteuid();
    if (S_ISDIR(st->st_mode))
        return "it is a directory";
    if (S_ISCHR(st->st_mode))
        return NULL;
    if (st->st_uid != user && st->st_uid != 0)
        return user == 0 ? "it belongs to another user, and this program is root's"
                         : "it belongs to another user";
    if (!S_ISREG(st->st_mode))
        return NULL;
    if (st->st_nlink > 1)
        return "it has another name too (a hard link)";
    if (st->st_mode & S_IWOTH)
        return "everybody may write to it";
    if (kind == LOGFILE_SECRET && (st->st_mode & (S_IRWXG | S_IRWXO)))
        return "others may read or write it; repair: chmod 600";
    return NULL;
}

/* Gives fd, or closes it. */
static int examine(int fd, enum logfile_kind kind, const char **reason)
{
    struct stat st;
    int result = sys_fstat(fd, &st);
    *reason = result < 0 ? NULL : find_fault(&st, kind);
    if (result == 0 && !*reason)
        return fd;
    sys_close(fd);
    return result < 0 ? result : -EPERM;
}

/* A datagram socket that sends to the daemon. It never blocks. A descriptor, or -errno. */
static int open_daemon(const char *path, const char **reason)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    *reason = NULL;
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int result = sys_stat(path, &st);
    if (result == 0 && !S_ISSOCK(st.st_mode))
        *reason = "it is no socket of a log daemon";
    else if (result == 0 && st.st_uid != 0 && st.st_uid != sys_geteuid())
        *reason = "it belongs to another user";
    if (result < 0 || *reason)
        return result < 0 ? result : -EPERM;
    int fd = (int)sys_call3(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    result = fd < 0 ? fd : (int)sys_call3(SYS_connect, fd, sys_ptr(&address), sizeof address);
    if (result == 0)
        return fd;
    if (fd >= 0)
        sys_close(fd);
    return result;
}

static int open_existing(const char *path, int more, unsigned mode, const char **reason)
{
    *reason = NULL;
    int fd = sys_open(path, flags | more | (names_descriptor(path) ? 0 : O_NOFOLLOW), mode);
    if (fd == -ELOOP)
        *reason = "it is a symbolic link";
    return fd;
}

int logfile_open(const char *path, enum logfile_kind kind, const char **reason)
{
    if (kind == LOGFILE_LOG && logfile_daemon(path) != LOGFILE_NONE)
        return open_daemon(path, reason);
    int fd = open_existing(path, O_CREAT, kind == LOGFILE_SECRET ? 0600 : 0640, reason);
    return fd < 0 || names_descriptor(path) ? fd : examine(fd, kind, reason);
}

/* Whether a file could be made there. 0 or -errno. */
static int check_directory(const char *path, const char **reason)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    if (len == 0 || len >= sizeof directory)
        return slash ? -ENAMETOOLONG : 0;
    memcpy(directory, path, len);
    directory[len] = '\0';
    int result =
        (int)sys_call(SYS_faccessat2, SYS_AT_FDCWD, sys_ptr(directory), W_OK | X_OK, AT_EACCESS, 0, 0);
    if (result == -ENOENT)
        *reason = "its directory is not there";
    else if (result == -EACCES || result == -EROFS)
        *reason = "no file can be made in its directory";
    return result == -ENOSYS ? 0 : result;
}

int logfile_check(const char *path, enum logfile_kind kind, const char **reason)
{
    const bool daemon = kind == LOGFILE_LOG && logfile_daemon(path) != LOGFILE_NONE;
    int fd = daemon ? open_daemon(path, reason) : open_existing(path, 0, 0, reason);
    if (fd == -ENOENT && !daemon)
        return check_directory(path, reason);
    if (fd >= 0 && !daemon && !names_descriptor(path))
        fd = examine(fd, kind, reason);
    if (fd < 0)
        return fd;
    sys_close(fd);
    return 0;
}
