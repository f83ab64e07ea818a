/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_SCENE_H
#define PRELOAD_SCENE_H

/*
 * The differential test. A scenario is a short script of calls (calls.h) against the two ends of a
 * connection. Each call writes a line with its result into a trace; the script is run on plain TCP and on
 * sealed TCP, and the two traces must be equal: every return value, errno, readiness bit and byte.
 *
 * A script must be deterministic on plain TCP: it waits for what it expects to be there (t_wait, t_take)
 * before it asks for what depends on it, and where plain TCP itself gives no fixed number (how much a
 * non-blocking bulk write takes), it uses a call that tells a total.
 *
 * A new scenario is a function and a line in the table of its file.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agent;
struct net;
struct scene;

/* One end of the connection each. Who connected is the variant's business; A's is always this process. */
enum end { A, B };

enum {
    ONLY_WARM = 1,    /* the handshake is over before the script begins */
    ONLY_FRESH = 2,   /* the script begins when accept() has returned; both ends in one thread */
    ONLY_APART = 4,   /* the same, and B's end lives in another process */
    ONLY_SWAPPED = 8, /* the same, and it is B that connected */
    ONLY_TOGETHER = ONLY_WARM | ONLY_FRESH,
};

struct variant {
    const char *name;
    unsigned bit;
    bool warm, apart, swapped;
};

extern const struct variant scene_variants[];
extern const size_t scene_variant_count;

struct scenario {
    const char *name;
    void (*run)(struct scene *scene);
    unsigned only; /* ONLY_…; 0: all variants */
    unsigned limit_s;
    unsigned seed; /* for scripts that are made up as they go: the same for the plain and the sealed run */
};

enum { SCENE_BYTES = 4 << 20 }; /* the most that one call moves */

struct scene {
    const struct net *net;
    const struct scenario *scenario;
    const struct variant *variant;
    struct agent *agent; /* B's process, or NULL */
    int fd[2];           /* what the calls act upon; each in its own process. A script may set it (dup) */
    uint8_t *in;         /* what the last reading call got */
    uint8_t *out;        /* where written bytes are staged */
    struct sockaddr_in address;
    uint64_t sent[2], received[2]; /* where each end stands in its pattern stream (t_give, t_take) */
    char *trace;
    size_t trace_len;
};

/* Adds a line to the trace. */
void scene_tell(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs the scenario on plain TCP (both ends in one thread) and on sealed TCP in the variant; fails if they
 * differ. */
void scene_compare(const struct scenario *scenario, const struct variant *variant);

#endif
