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

#include "config/config.h"
#include "process/privilege.h"

int capset(cap_user_header_t header, const cap_user_data_t data);

static bool active(void)
{
    config_load();
    return config_get()->active;
}

/* What is to be done behind the call, also when the thread is cancelled in it. */
static void changed(int *saved)
{
    (void)saved;
    int now = errno;
    if (active())
        privilege_after_change();
    errno = now;
}

/* Before rights are given up. */
static int dropping(void)
{
    int saved = errno;
    if (active())
        privilege_before_drop();
    return errno = saved;
}

/* Before another change of what the kernel keeps for each thread. */
static int changing(void)
{
    int saved = errno;
    if (active()) {
        privilege_before_change();
        privilege_leave_others();
    }
    return errno = saved;
}

DOOR int setuid(uid_t user)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setuid(user);
}

DOOR int seteuid(uid_t effective)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->seteuid(effective);
}

DOOR int setreuid(uid_t user, uid_t effective)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setreuid(user, effective);
}

DOOR int setresuid(uid_t user, uid_t effective, uid_t saved)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setresuid(user, effective, saved);
}

DOOR int setfsuid(uid_t user)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setfsuid(user);
}

DOOR int setgid(gid_t group)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setgid(group);
}

DOOR int setegid(gid_t effective)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setegid(effective);
}

DOOR int setregid(gid_t group, gid_t effective)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setregid(group, effective);
}

DOOR int setresgid(gid_t group, gid_t effective, gid_t saved)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setresgid(group, effective, saved);
}

DOOR int setfsgid(gid_t group)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setfsgid(group);
}

DOOR int setgroups(size_t count, const gid_t *groups)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->setgroups(count, groups);
}

DOOR int initgroups(const char *name, gid_t group)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->initgroups(name, group);
}

DOOR int chroot(const char *path)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->chroot(path);
}

DOOR int capset(cap_user_header_t header, const cap_user_data_t data)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = dropping();
    return real()->capset(header, data);
}

DOOR int unshare(int flags)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = changing();
    if ((flags & CLONE_FILES) && clone_unshare_is_refused())
        return -1;
    return real()->unshare(flags);
}

DOOR int setns(int fd, int type)
{
    int saved_errno __attribute__((cleanup(changed), unused)) = changing();
    return real()->setns(fd, type);
}
