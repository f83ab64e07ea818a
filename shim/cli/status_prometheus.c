/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The text exposition format: https://prometheus.io/docs/instrumenting/exposition_formats/. There is no
 * series for each connection, whose number has no bound. Counts have one for each set of processes that share
 * them, with the number of the first; connections have one for each process. */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/status_show.h"
#include "diag/escape.h"

/* Counts, once for all processes that share them. */
struct series {
    const struct status_process *first;
    uint64_t sent, received; /* bytes, of closed and open connections */
};

struct metrics {
    FILE *out;
    const struct status_all *all;
    struct series *series;
    size_t count;
};

static struct series *series_of(const struct metrics *metrics, const struct status_counts *counts)
{
    for (size_t i = 0; i < metrics->count; i++) {
        const struct status_counts *known = &metrics->series[i].first->counts;
        if (known->device == counts->device && known->inode == counts->inode)
            return &metrics->series[i];
    }
    return NULL;
}

/* False: no memory. */
static bool collect(struct metrics *metrics)
{
    metrics->series = calloc(metrics->all->count + 1, sizeof *metrics->series);
    for (size_t i = 0; metrics->series && i < metrics->all->count; i++) {
        const struct status_process *process = &metrics->all->processes[i];
        struct series *series = process->counted ? series_of(metrics, &process->counts) : NULL;
        if (!process->counted)
            continue;
        if (!series) {
            series = &metrics->series[metrics->count++];
            *series = (struct series){process, process->counts.counter[STATUSPAGE_CLOSED_SENT],
                                      process->counts.counter[STATUSPAGE_CLOSED_RECEIVED]};
        }
        for (size_t j = 0; j < process->count; j++) {
            series->sent += process->connections[j].sent_bytes;
            series->received += process->connections[j].received_bytes;
        }
    }
    return metrics->series != NULL;
}

static void begin(const struct metrics *metrics, const char *name, const char *type, const char *help)
{
    fprintf(metrics->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* escape_peer() leaves nothing that would have to be escaped in a label's value but its own backslashes. */
static void print_labels(FILE *out, const char *name, const struct status_process *process)
{
    char program[ESCAPE_BYTE_MAX * sizeof process->program + 1];
    escape_peer(program, sizeof program, process->program, strlen(process->program));
    fprintf(out, "%s{pid=\"%d\",program=\"", name, process->pid);
    for (const char *at = program; *at; at++)
        fprintf(out, *at == '\\' ? "\\\\" : "%c", *at);
    fputc('"', out);
}

static void print_sample(FILE *out, const char *label, const char *value, uint64_t number)
{
    if (label)
        fprintf(out, ",%s=\"%s\"", label, value);
    fprintf(out, "} %" PRIu64 "\n", number);
}

static void print_counter(const struct metrics *metrics, const char *name, const char *help,
                          enum statuspage_counter counter)
{
    begin(metrics, name, "counter", help);
    for (size_t i = 0; i < metrics->count; i++) {
        const struct status_process *process = metrics->series[i].first;
        print_labels(metrics->out, name, process);
        print_sample(metrics->out, NULL, NULL, process->counts.counter[counter]);
    }
}

static void print_handshakes(const struct metrics *metrics)
{
    static const char name[] = "sockseal_handshakes_total";
    begin(metrics, name, "counter", "Handshakes that were completed.");
    for (size_t i = 0; i < metrics->count; i++) {
        const struct status_process *process = metrics->series[i].first;
        print_labels(metrics->out, name, process);
        print_sample(metrics->out, "direction", "in", process->counts.counter[STATUSPAGE_HANDSHAKES_IN]);
        print_labels(metrics->out, name, process);
        print_sample(metrics->out, "direction", "out", process->counts.counter[STATUSPAGE_HANDSHAKES_OUT]);
    }
}

static void print_failures(const struct metrics *metrics)
{
    static const char name[] = "sockseal_failures_total";
    begin(metrics, name, "counter", "Connections that failed, by reason.");
    for (size_t i = 0; i < metrics->count; i++) {
        const struct status_process *process = metrics->series[i].first;
        for (int j = 0; j < STATUSPAGE_FAILURES; j++) {
            print_labels(metrics->out, name, process);
            print_sample(metrics->out, "reason", status_failure_name((enum statuspage_failure)j),
                         process->counts.failure[j]);
        }
    }
}

static void print_bytes(const struct metrics *metrics, const char *name, const char *help, bool sent)
{
    begin(metrics, name, "counter", help);
    for (size_t i = 0; i < metrics->count; i++) {
        print_labels(metrics->out, name, metrics->series[i].first);
        print_sample(metrics->out, NULL, NULL, sent ? metrics->series[i].sent : metrics->series[i].received);
    }
}

static void print_connections(const struct metrics *metrics)
{
    static const char name[] = "sockseal_connections";
    begin(metrics, name, "gauge", "Connections that are open, by state.");
    for (size_t i = 0; i < metrics->all->count; i++) {
        const struct status_process *process = &metrics->all->processes[i];
        uint64_t states[STATUSPAGE_STATES] = {0};
        for (size_t j = 0; j < process->count; j++)
            states[process->connections[j].state]++;
        for (int state = STATUSPAGE_UNUSED + 1; state < STATUSPAGE_STATES; state++) {
            print_labels(metrics->out, name, process);
            print_sample(metrics->out, "state", status_state_name((enum statuspage_state)state),
                         states[state]);
        }
    }
}

bool status_show_prometheus(FILE *out, const struct status_all *all)
{
    struct metrics metrics = {.out = out, .all = all};
    if (!collect(&metrics))
        return false;
    print_connections(&metrics);
    print_handshakes(&metrics);
    print_failures(&metrics);
    print_counter(&metrics, "sockseal_plaintext_served_total",
                  "Connections of peers that do not seal (SOCKSEAL_PLAINTEXT=accept).",
                  STATUSPAGE_PLAINTEXT_SERVED);
    print_counter(&metrics, "sockseal_unsealed_total", "TCP connections that no rule names.",
                  STATUSPAGE_NO_RULE);
    print_bytes(&metrics, "sockseal_sent_bytes_total", "Bytes of the programs that were sent sealed.", true);
    print_bytes(&metrics, "sockseal_received_bytes_total", "Bytes of the programs that were received sealed.",
                false);
    begin(&metrics, "sockseal_processes_not_readable", "gauge", "Processes that could not be looked into.");
    fprintf(out, "sockseal_processes_not_readable %zu\n", all->not_readable);
    begin(&metrics, "sockseal_processes_hidden", "gauge",
          "1 if /proc hides the processes of other users (hidepid), else 0.");
    fprintf(out, "sockseal_processes_hidden %d\n", all->hidden);
    free(metrics.series);
    return true;
}
