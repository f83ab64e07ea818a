/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Scripts of random calls: each seed makes the same script for the plain run and for the sealed one. A script
 * that finds something deserves a scenario of its own in the file it belongs to. */

#include "suite.h"

#include "calls.h"
#include "doors.h"
#include "net.h"
#include "scene.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

enum { STEPS = 150, SEEDS = 50, IN_FLIGHT_MAX = 20000 };

struct script {
    struct scene *scene;
    uint64_t state;
    size_t waiting[2]; /* bytes that have been written to this end and not read */
    bool shut[2];      /* this end has shut down its writing side */
};

/* xorshift64*. */
static unsigned next_random(struct script *script, unsigned below)
{
    script->state ^= script->state >> 12;
    script->state ^= script->state << 25;
    script->state ^= script->state >> 27;
    return (unsigned)((script->state * 0x2545F4914F6CDD1Du) >> 33) % below;
}

static size_t random_size(struct script *script)
{
    static const size_t sizes[] = {1, 2, 5, 16, 37, 100, 255, 1000, 1460, 4096, 16383, 16384, 16385, 20000};
    size_t size = sizes[next_random(script, suite_count(sizes))];
    return next_random(script, 3) == 0 ? size + next_random(script, 50) : size;
}

static void random_write(struct script *script, enum end end)
{
    static uint8_t data[40000];
    const struct writer_door *door = &writer_doors[next_random(script, (unsigned)writer_door_count)];
    size_t len = random_size(script);
    if (script->shut[end] || script->waiting[1 - end] + len > IN_FLIGHT_MAX)
        return;
    net_pattern(data, len, script->state);
    t_put(script->scene, end, door, data, len);
    script->waiting[1 - end] += len;
}

/* What was written has arrived: only then are counts and readiness the same each time. */
static void settle(struct script *script, enum end end)
{
    if (script->waiting[end] == 0)
        return;
    if (next_random(script, 2) == 0)
        t_settle(script->scene, end, script->waiting[end]);
    else
        t_settle_count(script->scene, end, script->waiting[end]);
}

static bool at_end(const struct script *script, enum end end)
{
    return script->waiting[end] == 0 && script->shut[1 - end];
}

static void random_read(struct script *script, enum end end)
{
    const struct reader_door *door = &reader_doors[next_random(script, (unsigned)reader_door_count)];
    size_t len = random_size(script);
    settle(script, end);
    if (at_end(script, end))
        t_wait(script->scene, end, POLLIN, 3000);
    else if (script->waiting[end] == 0)
        return;
    long n = t_get(script->scene, end, door, len);
    script->waiting[end] -= n > 0 ? (size_t)n : 0;
}

static void random_recv(struct script *script, enum end end)
{
    static const int flags[] = {0, MSG_PEEK, MSG_DONTWAIT, MSG_PEEK | MSG_DONTWAIT, MSG_TRUNC, MSG_WAITALL};
    int flag = flags[next_random(script, suite_count(flags))];
    size_t len = random_size(script);
    settle(script, end);
    if (at_end(script, end))
        t_wait(script->scene, end, POLLIN, 3000);
    else if (script->waiting[end] == 0)
        flag |= MSG_DONTWAIT;
    if ((flag & MSG_WAITALL) && len > script->waiting[end])
        len = script->waiting[end];
    if (len == 0)
        return;
    long n = t_recv(script->scene, end, len, flag);
    if (n > 0 && !(flag & MSG_PEEK))
        script->waiting[end] -= (size_t)n;
}

static void random_look(struct script *script, enum end end)
{
    const struct waiter_door *door = &waiter_doors[next_random(script, (unsigned)waiter_door_count)];
    settle(script, end);
    if (at_end(script, end))
        t_wait(script->scene, end, POLLRDHUP, 3000);
    if (next_random(script, 3) == 0)
        t_fionread(script->scene, end);
    else
        t_wait_by(script->scene, end, door, POLLIN | POLLOUT, 0);
}

static void random_step(struct script *script)
{
    enum end end = next_random(script, 2) ? A : B;
    switch (next_random(script, 16)) {
    case 0:
        t_nonblock(script->scene, end, next_random(script, 2));
        break;
    case 1:
        if (next_random(script, 20) == 0 && !script->shut[end]) {
            t_shutdown(script->scene, end, SHUT_WR);
            script->shut[end] = true;
        }
        break;
    case 2:
    case 3:
        random_look(script, end);
        break;
    case 4:
    case 5:
    case 6:
        random_recv(script, end);
        break;
    case 7:
    case 8:
    case 9:
    case 10:
        random_read(script, end);
        break;
    default:
        random_write(script, end);
    }
}

static void random_script(struct scene *scene)
{
    struct script script = {.scene = scene,
                            .state = 88172645463325252u + scene->scenario->seed * 0x9E3779B9u};
    for (int i = 0; i < STEPS; i++)
        random_step(&script);
}

int main(int argc, char **argv)
{
    static struct scenario scenarios[SEEDS];
    static char names[SEEDS][16];
    for (unsigned i = 0; i < SEEDS; i++) {
        snprintf(names[i], sizeof names[i], "seed %u", i);
        scenarios[i] = (struct scenario){.name = names[i], .run = random_script, .seed = i};
    }
    suite_scenarios(scenarios, SEEDS);
    return suite_run(argc, argv);
}
