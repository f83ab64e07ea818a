/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void options_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

static void read_pids(struct options *options, char *list)
{
    for (char *word = strtok(list, ","); word && options->pid_count < OPTIONS_PIDS_MAX;
         word = strtok(NULL, ","))
        options->pids[options->pid_count++] = (pid_t)atoi(word);
}

static const struct option words[] = {
    {"address", required_argument, NULL, 'a'},
    {"port", required_argument, NULL, 'p'},
    {"epoll", no_argument, NULL, 'e'},
    {"blocking", no_argument, NULL, 'b'},
    {"size", required_argument, NULL, 's'},
    {"connections", required_argument, NULL, 'n'},
    {"seconds", required_argument, NULL, 't'},
    {"warm", required_argument, NULL, 'w'},
    {"server-pids", required_argument, NULL, 'P'},
    {"cert", required_argument, NULL, 'C'},
    {"key", required_argument, NULL, 'K'},
    {"ca", required_argument, NULL, 'A'},
    {"psk", required_argument, NULL, 'k'},
    {"suite", required_argument, NULL, 'S'},
    {0},
};

static void take(struct options *options, int word)
{
    switch (word) {
    case 'a':
        options->address = optarg;
        break;
    case 'p':
        options->port = (uint16_t)atoi(optarg);
        break;
    case 'e':
    case 'b':
        options->epoll = word == 'e';
        break;
    case 's':
        options->size = strtoul(optarg, NULL, 10);
        break;
    case 'n':
        options->connections = strtoul(optarg, NULL, 10);
        break;
    case 't':
        options->seconds = atof(optarg);
        break;
    case 'w':
        options->warm = atof(optarg);
        break;
    case 'P':
        read_pids(options, optarg);
        break;
    default:
        exit(2); /* getopt_long has said why */
    }
}

static bool take_tls(struct options *options, int word)
{
    const char **field = word == 'C'   ? &options->cert
                         : word == 'K' ? &options->key
                         : word == 'A' ? &options->ca
                         : word == 'k' ? &options->psk
                         : word == 'S' ? &options->suite
                                       : NULL;
    if (field)
        *field = optarg;
    return field != NULL;
}

struct options options_read(int argc, char *argv[])
{
    struct options options = {
        .address = "127.0.0.1", .size = 64, .connections = 1, .seconds = 1, .warm = 0.1};
    for (int word; (word = getopt_long(argc, argv, "", words, NULL)) != -1;)
        if (!take_tls(&options, word))
            take(&options, word);
    if (optind != argc || options.port == 0 || options.size == 0 || options.size > OPTIONS_SIZE_MAX ||
        options.connections == 0) {
        fprintf(stderr, "%s: see tests/bench/support/options.h for the options\n",
                program_invocation_short_name);
        exit(2);
    }
    return options;
}
