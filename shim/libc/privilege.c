/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of the calls that change what the kernel keeps for each thread: rights, among them the one to read
 * the key file, and namespaces (process/privilege.h). libc's own functions do the work: they see to all
 * threads. */

#include "libc/clone.h"
#include "libc/door.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "process/privilege.h"

int capset(cap_user_header_t header, const cap_user_data_t data);

/* What is to be done behind the call, also when the thread is cancelled in it. */
static void done(const enum privilege_change *change)
{
    privilege_after(*change);
}

DOOR int setuid(uid_t user)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setuid(user);
}

DOOR int seteuid(uid_t effective)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->seteuid(effective);
}

DOOR int setreuid(uid_t user, uid_t effective)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setreuid(user, effective);
}

DOOR int setresuid(uid_t user, uid_t effective, uid_t saved)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setresuid(user, effective, saved);
}

DOOR int setfsuid(uid_t user)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setfsuid(user);
}

DOOR int setgid(gid_t group)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setgid(group);
}

DOOR int setegid(gid_t effective)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setegid(effective);
}

DOOR int setregid(gid_t group, gid_t effective)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setregid(group, effective);
}

DOOR int setresgid(gid_t group, gid_t effective, gid_t saved)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setresgid(group, effective, saved);
}

DOOR int setfsgid(gid_t group)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setfsgid(group);
}

DOOR int setgroups(size_t count, const gid_t *groups)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->setgroups(count, groups);
}

DOOR int initgroups(const char *name, gid_t group)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->initgroups(name, group);
}

DOOR int chroot(const char *path)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->chroot(path);
}

DOOR int capset(cap_user_header_t header, const cap_user_data_t data)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) = privilege_before(PRIVILEGE_RIGHTS);
    return real()->capset(header, data);
}

DOOR int unshare(int flags)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) =
        privilege_before(PRIVILEGE_NAMESPACE);
    if ((flags & CLONE_FILES) && clone_unshare_is_refused())
        return -1;
    return real()->unshare(flags);
}

DOOR int setns(int fd, int type)
{
    enum privilege_change change __attribute__((cleanup(done), unused)) =
        privilege_before(PRIVILEGE_NAMESPACE);
    return real()->setns(fd, type);
}
