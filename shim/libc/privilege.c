/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of the calls by which a process gives up the right to read its key file (process/privilege.h). libc's
 * own functions do the work: they see to all threads. */

#include "libc/door.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "config/config.h"
#include "process/privilege.h"

static void prepare(void)
{
    int saved = errno;
    config_load();
    if (config_get()->active)
        privilege_before_drop();
    errno = saved;
}

DOOR int setuid(uid_t user)
{
    prepare();
    return real()->setuid(user);
}

DOOR int seteuid(uid_t effective)
{
    prepare();
    return real()->seteuid(effective);
}

DOOR int setreuid(uid_t user, uid_t effective)
{
    prepare();
    return real()->setreuid(user, effective);
}

DOOR int setresuid(uid_t user, uid_t effective, uid_t saved)
{
    prepare();
    return real()->setresuid(user, effective, saved);
}

DOOR int setfsuid(uid_t user)
{
    prepare();
    return real()->setfsuid(user);
}

DOOR int setgid(gid_t group)
{
    prepare();
    return real()->setgid(group);
}

DOOR int setegid(gid_t effective)
{
    prepare();
    return real()->setegid(effective);
}

DOOR int setregid(gid_t group, gid_t effective)
{
    prepare();
    return real()->setregid(group, effective);
}

DOOR int setresgid(gid_t group, gid_t effective, gid_t saved)
{
    prepare();
    return real()->setresgid(group, effective, saved);
}

DOOR int setfsgid(gid_t group)
{
    prepare();
    return real()->setfsgid(group);
}

DOOR int setgroups(size_t count, const gid_t *groups)
{
    prepare();
    return real()->setgroups(count, groups);
}

DOOR int initgroups(const char *name, gid_t group)
{
    prepare();
    return real()->initgroups(name, group);
}

DOOR int chroot(const char *path)
{
    prepare();
    return real()->chroot(path);
}
