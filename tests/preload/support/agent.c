/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "agent.h"
#include "net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct agent {
    pid_t process;
    int orders[2], answers[2]; /* pipes */
    struct agent_call call;
};

static void run_call(struct agent_call *call)
{
    errno = AGENT_ERRNO;
    call->result = call->run(call->arg);
    call->error = errno;
}

/* Both sides wait in poll(), as an event loop does, not in a bare read: whoever waits drives handshakes. */
static bool next_byte(int fd)
{
    char byte;
    while (net_wait(fd, POLLIN, -1) == 0)
        ;
    return read(fd, &byte, 1) == 1;
}

static void serve(struct agent *agent)
{
    close(agent->orders[1]);
    close(agent->answers[0]);
    while (next_byte(agent->orders[0])) {
        run_call(&agent->call);
        if (write(agent->answers[1], "a", 1) != 1)
            break;
    }
    exit(0);
}

struct agent *agent_start(void)
{
    struct agent *agent =
        mmap(NULL, sizeof *agent, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(agent != MAP_FAILED);
    assert_int_equal(pipe(agent->orders), 0);
    assert_int_equal(pipe(agent->answers), 0);
    pid_t process = suite_fork();
    if (process == 0)
        serve(agent);
    agent->process = process;
    close(agent->orders[0]);
    close(agent->answers[1]);
    return agent;
}

void agent_run(struct agent *agent, struct agent_call *call)
{
    if (agent == NULL) {
        run_call(call);
        return;
    }
    agent->call = *call;
    assert_int_equal(write(agent->orders[1], "o", 1), 1);
    assert_true(next_byte(agent->answers[0]));
    *call = agent->call;
}

void agent_end(struct agent *agent)
{
    if (agent == NULL)
        return;
    close(agent->orders[1]);
    assert_int_equal(suite_wait(agent->process), 0);
    close(agent->answers[0]);
    munmap(agent, sizeof *agent);
}
