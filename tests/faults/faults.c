/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * A wire that lies between two sealed programs. Usage: faults LIBRARY KEY_FILE FIRST COUNT [JOBS [STEP]]
 *
 * COUNT cases are run, from FIRST on in steps of STEP (1; with 0, the same one again and again), each on a
 * connection of its own between two programs that live on. Prints a line for each broken promise, and a table
 * of faults at the end. The status is 0 if there was none.
 */

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "addresses.h"
#include "program.h"
#include "shortage.h"
#include "wire.h"

struct totals {
    unsigned long cases[FAULTS_NAMED], applied[FAULTS_NAMED], bad;
    unsigned long failed; /* of the shortages: connections that did not carry everything */
};

struct bench {
    int client, server; /* where orders go */
    int listener;
    in_port_t port, server_port;
    pid_t pids[2];
};

static struct totals *totals; /* shared by the jobs */
static char **arguments;
static bool deaths;    /* FAULTS_DEATHS is set: in each case one of the programs is killed */
static bool shortages; /* FAULTS_SHORTAGES: one gets nothing more from the kernel, for a while */
static unsigned soak;  /* SOAK_SECONDS: so long instead of a number of cases */

static void fatal(const char *what)
{
    fprintf(stderr, "faults: %s: %s\n", what, strerror(errno));
    _exit(2);
}

static pid_t start_program(const char *role, int orders)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (orders == PROGRAM_ORDERS)
        fatal("the number of the orders' descriptor is taken");
    dup2(orders, PROGRAM_ORDERS);
    setenv("LD_PRELOAD", arguments[1], 1);
    setenv("SOCKSEAL_KEY_FILE", arguments[2], 1);
    setenv("SOCKSEAL_PORTS", WIRE_RULES, 1);
    setenv("SOCKSEAL_LOG", "quiet", 0);
    execl("/proc/self/exe", "faults", role, (char *)NULL);
    fatal("exec");
    return -1;
}

/* Starts one of the programs; a server says its port. */
static void start_one(struct bench *bench, bool client)
{
    int orders[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) != 0)
        fatal("socketpair");
    bench->pids[!client] = start_program(client ? "client" : "server", orders[1]);
    close(orders[1]);
    if (client)
        bench->client = orders[0];
    else
        bench->server = orders[0];
    if (!client &&
        recv(bench->server, &bench->server_port, sizeof bench->server_port, 0) != sizeof bench->server_port)
        fatal("no server");
}

static void start_bench(struct bench *bench)
{
    struct sockaddr_in address = wire_address(WIRE_SIDE_CLIENT, 0);
    socklen_t len = sizeof address;
    bench->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(bench->listener, (struct sockaddr *)&address, len) != 0 || listen(bench->listener, 16) != 0 ||
        getsockname(bench->listener, (struct sockaddr *)&address, &len) != 0)
        fatal("the wire's port");
    bench->port = address.sin_port;
    start_one(bench, true);
    start_one(bench, false);
}

static void give_orders(const struct bench *bench, const struct plan *plan)
{
    struct order order = {.number = plan->number,
                          .mode = plan->client_mode,
                          .writes_first = !plan->server_first,
                          .client = true,
                          .port = bench->port,
                          .out = plan->from_client,
                          .in = plan->from_server,
                          .chunk = plan->chunk};
    if (send(bench->client, &order, sizeof order, MSG_NOSIGNAL) < 0)
        fatal("the client is gone");
    order.mode = plan->server_mode;
    order.writes_first = plan->server_first;
    order.client = false;
    order.out = plan->from_server;
    order.in = plan->from_client;
    if (send(bench->server, &order, sizeof order, MSG_NOSIGNAL) < 0)
        fatal("the server is gone");
}

static int connect_to_server(const struct bench *bench)
{
    const struct sockaddr_in own = wire_address(WIRE_SIDE_SERVER, 0);
    const struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = bench->server_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&own, sizeof own) != 0 ||
        connect(fd, (const struct sockaddr *)&server, sizeof server) != 0)
        fatal("no way to the server");
    return fd;
}

static struct report report_of(int program, uint64_t number)
{
    struct report report;
    struct pollfd polled = {.fd = program, .events = POLLIN};
    if (poll(&polled, 1, 2 * PROGRAM_LIMIT_MS) != 1 ||
        recv(program, &report, sizeof report, 0) != (ssize_t)sizeof report || report.number != number) {
        fprintf(stderr, "case %llu: a program has ended or hangs\n", (unsigned long long)number);
        exit(2);
    }
    return report;
}

/* Those that the table of failures in sockseal(7) has, and what plain TCP gives. */
static bool is_known(int error)
{
    return error == 0 || error == EBADMSG || error == EPROTO || error == EKEYREJECTED ||
           error == ECONNRESET || error == EPIPE || error == ENOTCONN || (shortages && error == ENOBUFS);
}

/* NULL, or which promise a program's report breaks. */
static const char *fault_of(const struct report *report, size_t in, bool harmless)
{
    if (report->wrong >= 0)
        return "wrong bytes";
    if (report->end == ETIME)
        return "no end in time";
    if (report->end == 0 && report->received != in)
        return "a clean end of a cut stream";
    if (harmless && (report->end || report->write_error || report->received != in))
        return "something lost on a harmless wire";
    if (!is_known(report->end) || !is_known(report->write_error))
        return "an unknown errno";
    return NULL;
}

/* Plaintext is not to be seen. */
static bool shows(const struct trace *trace, uint64_t number, bool from_client, size_t len)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = stream_byte(number, from_client, i);
    return len >= sizeof bytes && memmem(trace->bytes, trace->len, bytes, sizeof bytes);
}

static void complain(const struct plan *plan, const char *who, const char *what, const struct report *report)
{
    static const char *const modes[] = {"blocking", "epoll", "edge"};
    printf("case %llu: %s at the %s: %s %s%s to the %s at %zu, %zu bytes; client %s writes %zu, server %s "
           "writes "
           "%zu, by "
           "%zu; received %zu, end %s, writing %s, wrong at %zd\n",
           (unsigned long long)plan->number, what, who, fault_names[plan->fault],
           plan->fault == FAULT_SHORTAGE ? shortage_name(plan->shortage) : "",
           plan->fault == FAULT_SHORTAGE && plan->hits_client ? " of the client" : "",
           plan->to_client ? "client" : "server", plan->at, plan->len, modes[plan->client_mode],
           plan->from_client, modes[plan->server_mode], plan->from_server, plan->chunk, report->received,
           strerrorname_np(report->end), strerrorname_np(report->write_error), report->wrong);
    fflush(stdout);
    __atomic_add_fetch(&totals->bad, 1, __ATOMIC_RELAXED);
}

static void judge(const struct plan *plan, const struct report reports[2], struct wire_result result,
                  const struct trace traces[2])
{
    static const char *const names[] = {"client", "server"};
    const bool harmless = plan->fault < FAULT_HARMFUL;
    for (int i = 0; i < 2; i++) {
        const char *fault = fault_of(&reports[i], i ? plan->from_client : plan->from_server, harmless);
        if (!fault && result.must_fail && i == !plan->to_client && reports[i].end == 0)
            fault = "a changed record was taken";
        if (!fault && shows(&traces[i], plan->number, !i, i ? plan->from_server : plan->from_client))
            fault = "plaintext on the wire";
        if (fault)
            complain(plan, names[i], fault, &reports[i]);
    }
    __atomic_add_fetch(&totals->cases[plan->fault], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&totals->applied[plan->fault], result.applied, __ATOMIC_RELAXED);
}

/* Only the survivor can tell. */
static void run_death(struct bench *bench, uint64_t number)
{
    static struct trace traces[2];
    const struct plan plan = plan_of_death(number);
    const bool victim = !plan.hits_client;
    give_orders(bench, &plan);
    int client = accept4(bench->listener, NULL, NULL, SOCK_CLOEXEC), status;
    if (client < 0)
        fatal("no client");
    wire_victim = bench->pids[victim];
    struct wire_result result = wire_carry(client, connect_to_server(bench), &plan, traces);
    struct report report = report_of(plan.hits_client ? bench->server : bench->client, number);
    const char *fault = fault_of(&report, victim ? plan.from_server : plan.from_client, false);
    if (fault)
        complain(&plan, victim ? "client" : "server", fault, &report);
    __atomic_add_fetch(&totals->cases[FAULT_KILL], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&totals->applied[FAULT_KILL], result.applied, __ATOMIC_RELAXED);
    if (!result.applied) { /* the stream was too short: the program lives */
        (void)report_of(victim ? bench->server : bench->client, number);
        return;
    }
    close(victim ? bench->server : bench->client);
    waitpid(bench->pids[victim], &status, 0);
    start_one(bench, !victim);
}

static bool run_plan(const struct bench *bench, const struct plan *plan)
{
    static struct trace traces[2];
    give_orders(bench, plan);
    int client = accept4(bench->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        fatal("no client");
    struct wire_result result = wire_carry(client, connect_to_server(bench), plan, traces);
    const struct report reports[2] = {report_of(bench->client, plan->number),
                                      report_of(bench->server, plan->number)};
    judge(plan, reports, result, traces);
    return fault_of(&reports[0], plan->from_server, true) || fault_of(&reports[1], plan->from_client, true);
}

static void run_case(const struct bench *bench, uint64_t number)
{
    const struct plan plan = plan_of(number);
    run_plan(bench, &plan);
}

static void start_again(struct bench *bench, bool client)
{
    close(client ? bench->client : bench->server);
    waitpid(bench->pids[!client], NULL, 0);
    start_one(bench, client);
}

/* Of a program that has had connections before, or of a new one. When it is over, the programs are as before.
 */
static void run_shortage(struct bench *bench, uint64_t number)
{
    struct plan plan = plan_of_shortage(number);
    if (plan.is_first)
        start_again(bench, plan.hits_client);
    wire_victim = bench->pids[!plan.hits_client];
    const bool failed = run_plan(bench, &plan);
    __atomic_add_fetch(&totals->failed, failed, __ATOMIC_RELAXED);
    plan.fault = FAULT_NONE;
    run_plan(bench, &plan);
}

struct use {
    unsigned long descriptors, pages;
};

static struct use use_of(pid_t pid)
{
    char path[64];
    struct use use = {0};
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*u %lu", &use.pages) != 1)
        fatal(path);
    fclose(file);
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    while (directory && readdir(directory))
        use.descriptors++;
    closedir(directory);
    return use;
}

static bool has_grown(const struct use *before, const struct use *after)
{
    enum { DESCRIPTORS = 2, PAGES = 256 }; /* the library makes some of its own when it first needs them */
    return after->descriptors > before->descriptors + DESCRIPTORS || after->pages > before->pages + PAGES;
}

/* What is outstanding of the last cases is over soon: SOCKSEAL_HANDSHAKE_TIMEOUT is 5. */
static void measure(const struct bench *bench, const struct use *before, struct use use[2])
{
    for (int tries = 0; tries < 5; tries++) {
        sleep(2);
        for (int i = 0; i < 2; i++)
            use[i] = use_of(bench->pids[i]);
        if (before && !has_grown(&before[0], &use[0]) && !has_grown(&before[1], &use[1]))
            return;
        if (!before && tries == 1)
            return;
    }
}

/* Cases for so many seconds, after some that do not count; neither program may have grown. */
static void run_soak(const struct bench *bench, uint64_t number, unsigned seconds)
{
    enum { WARM_UP = 600 };
    struct use before[2], after[2];
    for (uint64_t end = number + WARM_UP; number < end;)
        run_case(bench, number++);
    measure(bench, NULL, before);
    for (const time_t end = time(NULL) + (time_t)seconds; time(NULL) < end;)
        run_case(bench, number++);
    measure(bench, before, after);
    for (int i = 0; i < 2; i++) {
        const bool grown = has_grown(&before[i], &after[i]);
        printf("%s%s: %lu descriptors and %lu pages, %lu and %lu afterwards\n", grown ? "GROWN: " : "",
               i ? "server" : "client", before[i].descriptors, before[i].pages, after[i].descriptors,
               after[i].pages);
        fflush(stdout);
        __atomic_add_fetch(&totals->bad, grown, __ATOMIC_RELAXED);
    }
}

static void run_job(uint64_t first, uint64_t count, uint64_t step, unsigned job, unsigned jobs)
{
    struct bench bench;
    start_bench(&bench);
    if (soak)
        run_soak(&bench, first + job * count, soak);
    for (uint64_t i = job; i < count && !soak; i += jobs)
        if (deaths)
            run_death(&bench, first + i * step);
        else if (shortages)
            run_shortage(&bench, first + i * step);
        else
            run_case(&bench, first + i * step);
    close(bench.client);
    close(bench.server);
    for (int i = 0; i < 2; i++) {
        int status;
        if (waitpid(bench.pids[i], &status, 0) < 0 || status != 0) {
            printf("a program ended with status %#x\n", (unsigned)status);
            fflush(stdout);
            __atomic_add_fetch(&totals->bad, 1, __ATOMIC_RELAXED);
        }
    }
    _exit(0);
}

static unsigned long print_table(void)
{
    unsigned long cases = 0;
    for (int i = 0; i < FAULTS_NAMED; i++) {
        printf("%-14s %8lu cases, %8lu took place\n", fault_names[i], totals->cases[i], totals->applied[i]);
        cases += totals->cases[i];
    }
    if (shortages)
        printf("%lu of the connections beside a shortage failed\n", totals->failed);
    printf("%lu cases, %lu broken promises\n", cases, totals->bad);
    return cases;
}

int main(int argc, char *argv[])
{
    arguments = argv;
    if (argc == 2)
        return program_main(strcmp(argv[1], "client") == 0);
    if (argc < 5) {
        fprintf(stderr, "usage: faults LIBRARY KEY_FILE FIRST COUNT [JOBS [STEP]]\n");
        return 2;
    }
    const uint64_t first = strtoull(argv[3], NULL, 10), count = strtoull(argv[4], NULL, 10);
    const unsigned jobs = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 1;
    const uint64_t step = argc > 6 ? strtoull(argv[6], NULL, 10) : 1;
    int status, ended = 0;
    deaths = getenv("FAULTS_DEATHS") != NULL;
    shortages = getenv("FAULTS_SHORTAGES") != NULL;
    soak = getenv("SOAK_SECONDS") ? (unsigned)strtoul(getenv("SOAK_SECONDS"), NULL, 10) : 0;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();
        if (pid == 0)
            run_job(first, count, step, job, jobs);
    }
    while (wait(&status) > 0)
        ended |= status;
    return (print_table() != count * (shortages ? 2 : 1) && !soak) || totals->bad || ended ? 1 : 0;
}
