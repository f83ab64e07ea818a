/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of liburing: what goes through a ring passes no door, and liburing makes its system calls inline. So
 * no ring can be made: the functions answer as on a kernel without io_uring, and programs fall back to epoll.
 * Programs that seal nothing get liburing's own. */

#include "libc/door.h"

#include <string.h>

#include "config/config.h"
#include "diag/log.h"
#include "sys/lookup.h"

struct io_uring;
struct io_uring_params;
struct io_uring_probe;

int io_uring_setup(unsigned entries, struct io_uring_params *parameters);
int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *parameters);
int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *parameters,
                            void *memory, size_t size);
struct io_uring_probe *io_uring_get_probe(void);

/* liburing's own function, at *slot; false if rings are refused. */
static bool passes(const char *name, void *slot)
{
    config_load();
    if (config_get()->active) {
        log_line(LOG_INFO, "io_uring is refused, so that the program uses calls that can be sealed");
        return false;
    }
    void *found = lookup_next(name);
    memcpy(slot, &found, sizeof found);
    return found != NULL;
}

DOOR int io_uring_setup(unsigned entries, struct io_uring_params *parameters)
{
    int (*own)(unsigned, struct io_uring_params *);
    return passes("io_uring_setup", &own) ? own(entries, parameters) : -ENOSYS;
}

DOOR int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    int (*own)(unsigned, struct io_uring *, unsigned);
    return passes("io_uring_queue_init", &own) ? own(entries, ring, flags) : -ENOSYS;
}

DOOR int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                    struct io_uring_params *parameters)
{
    int (*own)(unsigned, struct io_uring *, struct io_uring_params *);
    return passes("io_uring_queue_init_params", &own) ? own(entries, ring, parameters) : -ENOSYS;
}

DOOR int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *parameters,
                                 void *memory, size_t size)
{
    int (*own)(unsigned, struct io_uring *, struct io_uring_params *, void *, size_t);
    return passes("io_uring_queue_init_mem", &own) ? own(entries, ring, parameters, memory, size) : -ENOSYS;
}

DOOR struct io_uring_probe *io_uring_get_probe(void)
{
    struct io_uring_probe *(*own)(void);
    return passes("io_uring_get_probe", &own) ? own() : NULL;
}
