/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of starting other programs. A sealed descriptor does not reach them: see conn/inherit.h. */

#include "libc/door.h"

#include <spawn.h>

#include "conn/inherit.h"

DOOR int posix_spawn(pid_t *restrict pid, const char *restrict path,
                     const posix_spawn_file_actions_t *restrict actions,
                     const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                     char *const envp[restrict])
{
    if (inherit_spawn_leaks(actions))
        return EACCES;
    return real()->posix_spawn(pid, path, actions, attributes, argv, envp);
}

DOOR int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                      const posix_spawn_file_actions_t *restrict actions,
                      const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                      char *const envp[restrict])
{
    if (inherit_spawn_leaks(actions))
        return EACCES;
    return real()->posix_spawnp(pid, file, actions, attributes, argv, envp);
}
