/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include <inttypes.h>
#include <string.h>

#include "cli/status_show.h"
#include "tls/tls.h"

/* Bytes that are not printable ASCII are written as the characters of Latin-1, so that whatever a peer calls
 * itself is valid JSON, and ends nothing. */
static void print_string(FILE *out, const void *text, size_t len)
{
    const unsigned char *bytes = text;
    fputc('"', out);
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] < ' ' || bytes[i] > '~' || bytes[i] == '"' || bytes[i] == '\\')
            fprintf(out, "\\u%04x", bytes[i]);
        else
            fputc(bytes[i], out);
    }
    fputc('"', out);
}

static void print_member(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, ",\"%s\":%" PRIu64, name, value);
}

static void print_connection(FILE *out, const struct status_connection *connection)
{
    char local[STATUS_ADDRESS_TEXT], peer[STATUS_ADDRESS_TEXT];
    fprintf(out, "{\"direction\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",\"state\":\"%s\",\"identity\":",
            connection->direction == STATUSPAGE_OUT ? "out" : "in", status_address(&connection->local, local),
            status_address(&connection->peer, peer), status_state_name(connection->state));
    print_string(out, connection->identity, connection->identity_len);
    fprintf(out, ",\"suite\":\"%s\",\"group\":\"%s\"", tls_suite_name(connection->suite),
            tls_group_name(connection->group));
    print_member(out, "cookie", connection->cookie);
    print_member(out, "sent_bytes", connection->sent_bytes);
    print_member(out, "sent_records", connection->sent_records);
    print_member(out, "received_bytes", connection->received_bytes);
    print_member(out, "received_records", connection->received_records);
    fprintf(out, ",\"age_seconds\":%" PRId64 ".%03d,\"handshake_microseconds\":%" PRIu32 ",\"errno\":%d}",
            connection->age_ms / 1000, (int)(connection->age_ms % 1000), connection->handshake_us,
            connection->error);
}

static void print_counts(FILE *out, const struct status_counts *counts)
{
    fprintf(out, ",\"counts\":{\"id\":\"%ju:%ju\"", (uintmax_t)counts->device, (uintmax_t)counts->inode);
    print_member(out, "handshakes_in", counts->counter[STATUSPAGE_HANDSHAKES_IN]);
    print_member(out, "handshakes_out", counts->counter[STATUSPAGE_HANDSHAKES_OUT]);
    print_member(out, "plaintext_served", counts->counter[STATUSPAGE_PLAINTEXT_SERVED]);
    print_member(out, "no_rule", counts->counter[STATUSPAGE_NO_RULE]);
    print_member(out, "closed_sent_bytes", counts->counter[STATUSPAGE_CLOSED_SENT]);
    print_member(out, "closed_received_bytes", counts->counter[STATUSPAGE_CLOSED_RECEIVED]);
    fputs(",\"failures\":{", out);
    for (int i = 0; i < STATUSPAGE_FAILURES; i++)
        fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", status_failure_name((enum statuspage_failure)i),
                counts->failure[i]);
    fputs("}}", out);
}

static void print_process(FILE *out, const struct status_process *process)
{
    fprintf(out, "{\"pid\":%d,\"program\":", process->pid);
    print_string(out, process->program, strlen(process->program));
    if (process->counted)
        print_counts(out, &process->counts);
    print_member(out, "not_shown", process->not_shown + process->changing);
    fputs(",\"connections\":[", out);
    for (size_t i = 0; i < process->count; i++) {
        fputs(i ? ",\n  " : "\n  ", out);
        print_connection(out, &process->connections[i]);
    }
    fputs("]}", out);
}

void status_show_json(FILE *out, const struct status_all *all)
{
    fprintf(out, "{\"version\":1,\"not_readable\":%zu,\"hidden\":%s,\"processes\":[", all->not_readable,
            all->hidden ? "true" : "false");
    for (size_t i = 0; i < all->count; i++) {
        fputs(i ? ",\n " : "\n ", out);
        print_process(out, &all->processes[i]);
    }
    fputs("]}\n", out);
}
