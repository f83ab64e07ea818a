/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/status_show.h"
#include "diag/escape.h"
#include "diag/log.h"
#include "tls/tls.h"

enum { WIDTH_ADDRESSES = 48, NAME_TEXT = 28, SIZE_TEXT = 16, AGE_TEXT = 32, SUITE_TEXT = 32 };

const char *status_address(const struct statuspage_address *address, char text[static STATUS_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    const bool six = address->family == AF_INET6;
    if ((address->family != AF_INET && !six) ||
        !inet_ntop(address->family, address->bytes, host, sizeof host))
        return strcpy(text, "-");
    snprintf(text, STATUS_ADDRESS_TEXT, six ? "[%s]:%u" : "%s:%u", host, address->port);
    return text;
}

/* "999 B", "1.5 kB", "12 MB". */
static const char *size_text(uint64_t bytes, char text[static SIZE_TEXT])
{
    static const char units[] = " kMGTPE";
    size_t unit = 0;
    uint64_t whole = bytes, part = 0;
    for (; whole >= 1000; unit++) {
        part = whole % 1000 / 100;
        whole /= 1000;
    }
    if (unit == 0)
        snprintf(text, SIZE_TEXT, "%" PRIu64 " B", whole);
    else if (whole < 10)
        snprintf(text, SIZE_TEXT, "%" PRIu64 ".%" PRIu64 " %cB", whole, part, units[unit]);
    else
        snprintf(text, SIZE_TEXT, "%" PRIu64 " %cB", whole, units[unit]);
    return text;
}

/* "0.3s", "12s", "4m05s", "3h12m", "5d07h". */
static const char *age_text(int64_t ms, char text[static AGE_TEXT])
{
    const int64_t s = ms / 1000, day = 86400;
    if (s < 10)
        snprintf(text, AGE_TEXT, "%d.%ds", (int)s, (int)(ms % 1000 / 100));
    else if (s < 60)
        snprintf(text, AGE_TEXT, "%ds", (int)s);
    else if (s < 3600)
        snprintf(text, AGE_TEXT, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < day)
        snprintf(text, AGE_TEXT, "%dh%02dm", (int)(s / 3600), (int)(s % 3600 / 60));
    else
        snprintf(text, AGE_TEXT, "%" PRId64 "d%02dh", s / day, (int)(s % day / 3600));
    return text;
}

/* Without the parts that all have: "AEGIS-128X4" of "SOCKSEAL_AEGIS_128X4_SHA256". */
static const char *suite_text(uint16_t suite, char text[static SUITE_TEXT])
{
    const char *name = tls_suite_name(suite), *from = strchr(name, '_');
    snprintf(text, SUITE_TEXT, "%s", from ? from + 1 : name);
    char *end = strstr(text, "_SHA256");
    if (end)
        *end = '\0';
    for (char *at = text; (at = strchr(at, '_'));)
        *at = '-';
    return text;
}

static const char *state_text(const struct status_connection *connection)
{
    switch (connection->state) {
    case STATUSPAGE_PEER_CLOSED:
        return "peer closed";
    case STATUSPAGE_PLAINTEXT:
        return "NOT SEALED";
    default:
        return status_state_name(connection->state);
    }
}

static const char *colour_of(enum statuspage_state state)
{
    switch (state) {
    case STATUSPAGE_SEALED:
    case STATUSPAGE_PEER_CLOSED:
        return "\033[32m";
    case STATUSPAGE_PLAINTEXT:
    case STATUSPAGE_FAILED:
        return "\033[31m";
    default:
        return "\033[33m";
    }
}

static void print_ends(FILE *out, const struct status_connection *connection, bool colour)
{
    char local[STATUS_ADDRESS_TEXT], peer[STATUS_ADDRESS_TEXT], age[AGE_TEXT];
    const int len = fprintf(out, "  %s %s %s", status_address(&connection->local, local),
                            connection->direction == STATUSPAGE_OUT ? "->" : "<-",
                            status_address(&connection->peer, peer));
    if (len > WIDTH_ADDRESSES + 2)
        fputs("\n  ", out);
    fprintf(out, "%*s%s%-11s%s %8s\n",
            len > WIDTH_ADDRESSES + 2 ? WIDTH_ADDRESSES + 1 : WIDTH_ADDRESSES + 3 - len, "",
            colour ? colour_of(connection->state) : "", state_text(connection), colour ? "\033[0m" : "",
            age_text(connection->age_ms, age));
}

static void print_amount(FILE *out, const char *what, uint64_t bytes, uint64_t records)
{
    char size[SIZE_TEXT];
    fprintf(out, ", %s %s/%" PRIu64, what, size_text(bytes, size), records);
}

static void print_details(FILE *out, const struct status_connection *connection)
{
    char suite[SUITE_TEXT], name[NAME_TEXT];
    if (connection->state == STATUSPAGE_PLAINTEXT)
        return;
    if (connection->identity_len == 0 && !connection->error)
        return;
    fprintf(out, "      %s", escape_peer(name, sizeof name, connection->identity, connection->identity_len));
    if (connection->error)
        fprintf(out, "%s%s", connection->identity_len ? ": " : "", log_error_text(connection->error));
    if (connection->handshake_us) {
        fprintf(out, ", %s", suite_text(connection->suite, suite));
        print_amount(out, "out", connection->sent_bytes, connection->sent_records);
        print_amount(out, "in", connection->received_bytes, connection->received_records);
    }
    fputc('\n', out);
}

/* "key rejected 2, timeout 1" */
static void print_failures(FILE *out, const struct status_counts *counts)
{
    const char *before = ": ";
    for (int i = 0; i < STATUSPAGE_FAILURES; i++) {
        if (counts->failure[i] == 0)
            continue;
        fputs(before, out);
        for (const char *at = status_failure_name((enum statuspage_failure)i); *at; at++)
            fputc(*at == '_' ? ' ' : *at, out);
        fprintf(out, " %" PRIu64, counts->failure[i]);
        before = ", ";
    }
}

static uint64_t failures_of(const struct status_process *process)
{
    uint64_t sum = 0;
    for (int i = 0; i < STATUSPAGE_FAILURES; i++)
        sum += process->counts.failure[i];
    return sum;
}

static void print_counts(FILE *out, const struct status_process *process)
{
    const uint64_t *counter = process->counts.counter;
    fprintf(out, "  handshakes: %" PRIu64 " in, %" PRIu64 " out, %" PRIu64 " failed",
            counter[STATUSPAGE_HANDSHAKES_IN], counter[STATUSPAGE_HANDSHAKES_OUT], failures_of(process));
    if (counter[STATUSPAGE_PLAINTEXT_SERVED])
        fprintf(out, ", %" PRIu64 " served in the clear", counter[STATUSPAGE_PLAINTEXT_SERVED]);
    if (counter[STATUSPAGE_NO_RULE])
        fprintf(out, ", %" PRIu64 " not sealed (no rule)", counter[STATUSPAGE_NO_RULE]);
    fputc('\n', out);
}

/* Whether a process before this one shares its counts. */
static bool counts_are_shown(const struct status_all *all, size_t index)
{
    const struct status_counts *own = &all->processes[index].counts;
    for (size_t i = 0; i < index; i++)
        if (all->processes[i].counted && all->processes[i].counts.device == own->device &&
            all->processes[i].counts.inode == own->inode)
            return true;
    return false;
}

static void print_process(FILE *out, const struct status_all *all, size_t index, bool failures, bool colour)
{
    const struct status_process *process = &all->processes[index];
    char name[NAME_TEXT];
    const bool counts = process->counted && !counts_are_shown(all, index);
    fprintf(out, "%s%s %d%s, %zu connection%s\n", colour ? "\033[1m" : "",
            escape_peer(name, sizeof name, process->program, strlen(process->program)), process->pid,
            colour ? "\033[0m" : "", process->count, process->count == 1 ? "" : "s");
    if (counts)
        print_counts(out, process);
    if (failures && counts && failures_of(process) > 0) {
        fputs("  failures", out);
        print_failures(out, &process->counts);
        fputc('\n', out);
    }
    for (size_t i = 0; i < process->count; i++) {
        if (failures && process->connections[i].state != STATUSPAGE_FAILED)
            continue;
        print_ends(out, &process->connections[i], colour);
        print_details(out, &process->connections[i]);
    }
    if (process->not_shown + process->changing > 0)
        fprintf(out, "  and %" PRIu32 " more\n", process->not_shown + process->changing);
}

static bool is_shown(const struct status_process *process, bool failures)
{
    return !failures || failures_of(process) > 0;
}

void status_show_table(FILE *out, const struct status_all *all, bool failures, bool colour)
{
    size_t shown = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (!is_shown(&all->processes[i], failures))
            continue;
        print_process(out, all, i, failures, colour);
        shown++;
    }
    if (shown == 0)
        fputs(failures ? "no failures\n" : "no process has sealed anything yet\n", out);
    if (all->not_readable > 0)
        fprintf(out, "%zu process%s of other users cannot be looked into: root sees all\n", all->not_readable,
                all->not_readable == 1 ? "" : "es");
    if (all->hidden)
        fputs("/proc hides the processes of other users (hidepid): root sees all\n", out);
}
