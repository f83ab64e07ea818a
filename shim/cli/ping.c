/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* One sealed connection, step by step: can the other end be reached, is it sealed, does it have our key? */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/fingerprint.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/ping_tls.h"
#include "cli/preload.h"
#include "cli/settings.h"
#include "config/config.h"
#include "config/keyring_file.h"
#include "config/rules.h"
#include "crypto/secret.h"
#include "sys/net.h"
#include "sys/sys.h"

/* The address that is tried. */
struct target {
    struct sockaddr_storage address;
    socklen_t len;
    char text[80];
    uint16_t port;
};

static int say_failure(const char *step, const char *reason, const char *advice)
{
    printf("%-9s failed: %s\n", step, reason);
    if (advice)
        printf("%-9s %s\n", "probably", advice);
    return CLI_FAILED;
}

static const char *advice_on_tcp(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "nothing listens on this port there, or a firewall refuses it";
    case ETIMEDOUT:
        return "the host is down, or a firewall drops what is sent to this port";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "there is no way to this host from here";
    default:
        return NULL;
    }
}

static double elapsed_ms(int64_t since_ns)
{
    return (double)(net_now_ns() - since_ns) / 1e6;
}

/* Gives a connected, non-blocking socket, or -errno. */
static int connect_to(const struct target *target, int limit_ms)
{
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t len = sizeof error;
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&target->address, target->len) < 0)
        error = errno;
    if (error == EINPROGRESS) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        int result = poll(&ready, 1, limit_ms);
        error = result == 0 ? ETIMEDOUT : result < 0 ? errno : 0;
        if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
            error = errno;
    }
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

/* Which keys are offered to the target. */
struct scope {
    const struct keyring *keys;
    struct rule_peer peer;
    uint16_t port;
};

static bool is_offered(const void *context, size_t index)
{
    const struct scope *scope = context;
    return keyring_allows(scope->keys, index, RULES_CONNECT, &scope->peer, scope->port);
}

static struct scope scope_of(const struct target *target, const struct keyring *keys)
{
    struct scope scope = {.keys = keys, .port = target->port};
    const struct sockaddr_in *in = (const struct sockaddr_in *)&target->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&target->address;
    if (target->address.ss_family == AF_INET)
        rule_target_of(&scope.peer, AF_INET, &in->sin_addr);
    else
        rule_target_of(&scope.peer, AF_INET6, &in6->sin6_addr);
    return scope;
}

static void say_identity(const struct keyring *keys, const struct tls_session *session)
{
    char text[FINGERPRINT_TEXT];
    for (size_t i = 0; i < keys->count; i++) {
        const struct tls_psk *psk = &keys->psks[i];
        if (psk->identity_len == session->identity_len &&
            memcmp(psk->identity, session->identity, psk->identity_len) == 0)
            printf("%-9s %.*s, fingerprint %s\n", "identity", (int)psk->identity_len,
                   (const char *)psk->identity, fingerprint_of(psk->key, psk->key_len, text));
    }
}

/* The offered keys, for comparing them with the other end's. */
static void say_offered(const struct scope *scope)
{
    char text[FINGERPRINT_TEXT];
    for (size_t i = 0, shown = 0; i < scope->keys->count && shown < TLS_OFFERED_PSKS_MAX; i++) {
        const struct tls_psk *psk = &scope->keys->psks[i];
        if (!is_offered(scope, i))
            continue;
        printf("%-9s %.*s, fingerprint %s\n", "offered", (int)psk->identity_len, (const char *)psk->identity,
               fingerprint_of(psk->key, psk->key_len, text));
        shown++;
    }
}

/* The steps behind TCP; gives the exit status. */
static int ping_sealed(int fd, const struct target *target, const struct keyring *keys)
{
    const struct config *config = config_get();
    const struct scope scope = scope_of(target, keys);
    struct tls_key_pair pair;
    const struct tls_config tls = {.psks = keys->psks,
                                   .psk_count = keys->count,
                                   .psk_order = keys->order,
                                   .psk_allowed = is_offered,
                                   .context = &scope,
                                   .suites = config->suites,
                                   .suite_count = config->suite_count,
                                   .groups = config->groups,
                                   .group_count = config->group_count,
                                   .pair = &pair};
    struct ping_tls ping;
    int64_t began = net_now_ns();
    if (!ping_tls(&ping, fd, &tls, config->handshake_timeout_ms)) {
        int status = say_failure("tls", ping.reason, ping.advice);
        if (ping.about_keys)
            say_offered(&scope);
        return status;
    }
    printf("%-9s sealed with %s in %.1f ms\n", "tls", tls_suite_name(ping.session.suite), elapsed_ms(began));
    say_identity(keys, &ping.session);
    return 0;
}

static void warn_of_rules(const struct target *target)
{
    const struct rules *rules = &config_get()->rules;
    if (!rules_match(rules, RULES_CONNECT, (const struct sockaddr *)&target->address, target->port))
        puts("note      SOCKSEAL_PORTS here does not name it: a program would connect in the clear");
}

/* Tries one address; gives the exit status. */
static int ping_target(const struct target *target, const struct keyring *keys)
{
    int64_t began = net_now_ns();
    int fd = connect_to(target, (int)config_get()->handshake_timeout_ms);
    if (fd < 0) {
        char reason[160];
        snprintf(reason, sizeof reason, "%s: %s", target->text, strerror(-fd));
        return say_failure("tcp", reason, advice_on_tcp(-fd));
    }
    printf("%-9s connected to %s in %.1f ms\n", "tcp", target->text, elapsed_ms(began));
    warn_of_rules(target);
    int status = ping_sealed(fd, target, keys);
    close(fd);
    return status;
}

static struct target target_of(const struct addrinfo *info)
{
    struct target target = {.len = info->ai_addrlen};
    char host[64] = "?", port[8] = "?";
    memcpy(&target.address, info->ai_addr, info->ai_addrlen);
    getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(target.text, sizeof target.text, info->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    target.port =
        (uint16_t)(info->ai_family == AF_INET6
                       ? ntohs(((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_port)
                       : ntohs(((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_port));
    return target;
}

/* Tries the host's addresses until one takes a TCP connection and says how that went on. */
static int ping_host(const char *host, const char *port, const struct keyring *keys)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int error = getaddrinfo(host, port, &hints, &found), status = CLI_FAILED;
    if (error)
        return say_failure("name", gai_strerror(error), "there is no such host");
    for (const struct addrinfo *at = found; at && status != 0; at = at->ai_next) {
        const struct target target = target_of(at);
        status = ping_target(&target, keys);
    }
    freeaddrinfo(found);
    return status;
}

/*
 * In a sealed shell or container the library is loaded into this program too, and would seal what is TLS
 * already. Begins anew without it, then, with the rules as an option. Comes back, with false after a message,
 * only if that did not work.
 */
static bool leave_seal(int argc, char **argv)
{
    const char *ports = getenv("SOCKSEAL_PORTS");
    if (!ports || !*ports || !preload_is_loaded())
        return true;
    char *copy = strdup(ports);
    char **words = calloc((size_t)argc + 4, sizeof *words);
    if (copy && words) {
        words[0] = (char *)"sockseal";
        words[1] = argv[0];
        words[2] = (char *)"-p";
        words[3] = copy;
        memcpy(&words[4], &argv[1], (size_t)argc * sizeof *words); /* with the NULL behind them */
        if (setenv("SOCKSEAL_PORTS", "", 1) == 0)
            execv("/proc/self/exe", words);
    }
    perror("sockseal: ping");
    free(words);
    free(copy);
    return false;
}

/* getaddrinfo(3) takes a number that is too large for another port. */
static bool is_port(const char *word)
{
    char *end;
    const unsigned long port = strtoul(word, &end, 10);
    return *word >= '0' && *word <= '9' && *end == '\0' && port >= 1 && port <= UINT16_MAX;
}

int ping_main(int argc, char **argv)
{
    bool help;
    if (!leave_seal(argc, argv))
        return CLI_FAILED;
    int first = settings_read_options(argc, argv, true, &help);
    if (first < 0)
        return CLI_USAGE;
    if (help)
        return help_print("ping");
    if (argc - first != 2) {
        message_error("ping takes a host and a port; see 'sockseal ping --help'");
        return CLI_USAGE;
    }
    if (!is_port(argv[first + 1])) {
        message_error("ping: '%s' is no port: a number from 1 to 65535", argv[first + 1]);
        return CLI_USAGE;
    }
    if (!settings_read_file(NULL))
        return CLI_CONFIGURATION;
    if (!settings_name_ports())
        setenv("SOCKSEAL_PORTS", "1-65535", 1);
    if (!secret_init() || settings_check() > 0)
        return CLI_CONFIGURATION;
    int fd = keyring_file_open(config_get()->key_file);
    struct ring *ring = fd < 0 ? NULL : keyring_file_read(fd, KEYRING_TRY);
    if (fd >= 0)
        sys_close(fd);
    if (!ring)
        return CLI_CONFIGURATION;
    int status = ping_host(argv[first], argv[first + 1], &ring->keyring);
    keyring_file_wipe(ring);
    return status;
}
