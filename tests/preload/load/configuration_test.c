/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The variables and the key file, as a program under the library meets them. */

#include "suite.h"

#include "net.h"
#include "sockseal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_CONFIG = 78 };

struct outcome {
    int status;
    char out[512], err[2048];
};

static void slurp(int fd, char *text, size_t room)
{
    lseek(fd, 0, SEEK_SET);
    text[net_read_all(fd, text, room - 1)] = '\0';
    close(fd);
}

static struct outcome run(const char *role, const char *const *args, const char *const *changes)
{
    struct outcome outcome;
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    outcome.status = suite_wait(suite_spawn(role, args, changes, fileno(out), fileno(err)));
    slurp(dup(fileno(out)), outcome.out, sizeof outcome.out);
    slurp(dup(fileno(err)), outcome.err, sizeof outcome.err);
    fclose(out);
    fclose(err);
    return outcome;
}

static int nothing_role(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 0;
}

/* Starts "nothing" without SOCKSEAL_PORTS. To be started with an empty SOCKSEAL_PORTS itself: a program in
 * which the library is active would complete the environment. */
static int without_ports_role(int argc, char **argv)
{
    const char *changes[] = {"SOCKSEAL_PORTS", NULL};
    (void)argc, (void)argv;
    return suite_wait(suite_spawn("nothing", NULL, changes, -1, -1));
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* A setting and, for a bad one, the word that the line must show. */
struct setting {
    const char *assignment, *word;
};

static const struct setting bad_settings[] = {
    {"SOCKSEAL_PORTS=http", "http"},
    {"SOCKSEAL_PORTS=0", "0"},
    {"SOCKSEAL_PORTS=65536", "65536"},
    {"SOCKSEAL_PORTS=80,", ""},
    {"SOCKSEAL_PORTS=90-80", "90-80"},
    {"SOCKSEAL_PORTS=80-", "80-"},
    {"SOCKSEAL_PORTS=-80", "-80"},
    {"SOCKSEAL_PORTS=80 90", "80 90"},
    {"SOCKSEAL_PORTS=443,accept:80", "accept:80"},
    {"SOCKSEAL_PORTS=443,10.0.0.0/33:80", "10.0.0.0/33:80"},
    {"SOCKSEAL_PORTS=10.0.0.256:80", "10.0.0.256:80"},
    {"SOCKSEAL_PORTS=10.0.0.1", "10.0.0.1"},
    {"SOCKSEAL_PORTS=[fd00::/8:80", "[fd00::/8:80"},
    {"SOCKSEAL_PORTS=!", "!"},
    {"SOCKSEAL_PORTS=!!80", "!!80"},
    {"SOCKSEAL_PLAINTEXT=maybe", "maybe"},
    {"SOCKSEAL_SUITES=rot13", "rot13"},
    {"SOCKSEAL_SUITES=chacha20,rot13", "rot13"},
    {"SOCKSEAL_SUITES=chacha20,chacha20", "chacha20"},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=soon", "soon"},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=0", "0"},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=-1", "-1"},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=5s", "5s"},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=99999999999999999999", "99999999999999999999"},
    {"SOCKSEAL_CONNECT_TIMEOUT=0", "0"},
    {"SOCKSEAL_CLOSE_TIMEOUT=never", "never"},
    {"SOCKSEAL_LOG=loud", "loud"},
    {"SOCKSEAL_STRICT=yes", "yes"},
};

static const struct setting good_settings[] = {
    {"SOCKSEAL_PORTS=1", NULL},
    {"SOCKSEAL_PORTS=65535", NULL},
    {"SOCKSEAL_PORTS=80,90-100,!95", NULL},
    {"SOCKSEAL_PORTS=listen:80,connect:443", NULL},
    {"SOCKSEAL_PORTS=!listen:10.0.0.0/8:80-90,1-65535", NULL},
    {"SOCKSEAL_PORTS=192.0.2.1:80", NULL},
    {"SOCKSEAL_PORTS=0.0.0.0/0:80", NULL},
    {"SOCKSEAL_PORTS=[2001:db8::1]:80", NULL},
    {"SOCKSEAL_PORTS=[fd00::/8]:80", NULL},
    {"SOCKSEAL_PORTS=[fd00::]/8:80", NULL},
    {"SOCKSEAL_PORTS=connect:[::1]:80-90", NULL},
    {"SOCKSEAL_PORTS=80, 90", NULL},
    {"SOCKSEAL_PLAINTEXT=accept", NULL},
    {"SOCKSEAL_PLAINTEXT=refuse", NULL},
    {"SOCKSEAL_SUITES=chacha20", NULL},
    {"SOCKSEAL_SUITES=chacha20,aegis128l", NULL},
    {"SOCKSEAL_SUITES=aegis128x4,aegis128x2,aegis128l,chacha20", NULL},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=1", NULL},
    {"SOCKSEAL_HANDSHAKE_TIMEOUT=3600", NULL},
    {"SOCKSEAL_LOG=quiet", NULL},
    {"SOCKSEAL_LOG=warn", NULL},
    {"SOCKSEAL_STRICT=1", NULL},
    {"SOCKSEAL_STRICT=0", NULL},
};

static void bad_values_end_the_process(void)
{
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(bad_settings); i++) {
        const struct setting *setting = &bad_settings[i];
        char variable[64];
        snprintf(variable, sizeof variable, "%.*s", (int)strcspn(setting->assignment, "="),
                 setting->assignment);
        const char *changes[] = {setting->assignment, NULL};
        struct outcome outcome = run("nothing", NULL, changes);
        print_message("%s -> %d: %s", setting->assignment, outcome.status, outcome.err);
        assert_int_equal(outcome.status, EXIT_CONFIG);
        assert_int_equal(count_lines(outcome.err), 1);
        assert_non_null(strstr(outcome.err, variable));
        assert_non_null(strstr(outcome.err, setting->word));
    }
}

static void good_values_say_nothing(void)
{
    for (size_t i = 0; i < suite_count(good_settings); i++) {
        const char *changes[] = {good_settings[i].assignment, NULL};
        struct outcome outcome = run("nothing", NULL, changes);
        print_message("%s -> %d: %s\n", good_settings[i].assignment, outcome.status, outcome.err);
        assert_int_equal(outcome.status, 0);
        assert_string_equal(outcome.err, "");
    }
}

static void nothing_is_read_without_ports(void)
{
    const char *unset[] = {"SOCKSEAL_PORTS=", "SOCKSEAL_LOG=loud", "SOCKSEAL_KEY_FILE=/nonexistent", NULL};
    const char *empty[] = {"SOCKSEAL_PORTS=", "SOCKSEAL_SUITES=rot13", NULL};
    struct outcome outcome = run("without ports", NULL, unset);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.err, "");
    outcome = run("nothing", NULL, empty);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.err, "");
}

/* Connects to itself, sends a word through, and prints the error's name or "sealed" or "plain". */
static int exchange_role(int argc, char **argv)
{
    struct net net = {.server = argv[1], .client = argv[2]};
    struct sockaddr_in address;
    char text[8] = "";
    if (argc < 3)
        return 2;
    int listener = net_listen(&net, 4, &address);
    int one = net_client(&net, 0);
    if (net_connect_to(one, &address) < 0) {
        printf("connect %s\n", strerrorname_np(errno));
        return 0;
    }
    int two = accept(listener, NULL, NULL);
    if (two < 0 || write(one, "hello", 5) != 5 || net_read_all(two, text, 5) != 5)
        printf("exchange %s\n", strerrorname_np(errno));
    else
        printf("%s\n", text);
    return 0;
}

static struct outcome exchange(const char *const *changes)
{
    const char *args[] = {net_sealed.server, net_sealed.client, NULL};
    return run("exchange", args, changes);
}

struct key_file {
    const char *content;
    mode_t mode;
    bool usable;
    const char *said;   /* must be in the line */
    const char *unsaid; /* must not */
};

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct key_file key_files[] = {
    {"alpha:" KEY "\n", 0600, true, NULL, NULL},
    {"alpha:" KEY, 0400, true, NULL, NULL},
    {"# comment\n\nalpha:" KEY "\r\nbeta:" KEY "\r\n", 0600, true, NULL, NULL},
    {"alpha:" KEY "\n", 0640, false, "chmod", KEY},
    {"alpha:" KEY "\n", 0604, false, "chmod", KEY},
    {"alpha:" KEY "\n", 0620, false, "chmod", KEY},
    {"", 0600, false, "", "alpha"},
    {"# nothing but this\n", 0600, false, "", "nothing but"},
    {"alpha:" KEY "\nrubbish with s3cret\n", 0600, false, "2", "s3cret"},
    {"alpha:00112233\n", 0600, false, "1", "00112233"},
    {"alpha:" KEY "0\n", 0600, false, "1", KEY},
    {"alpha:zz" KEY "\n", 0600, false, "1", KEY},
    {":" KEY "\n", 0600, false, "1", KEY},
    {"alpha:" KEY "\nalpha:" KEY "\n", 0600, false, "2", KEY},
};

static void check_key_file(const struct key_file *file, const char *path)
{
    char setting[256];
    snprintf(setting, sizeof setting, "SOCKSEAL_KEY_FILE=%s", path);
    const char *changes[] = {setting, NULL};
    struct outcome outcome = exchange(changes);
    print_message("mode %o, %zu bytes: %s%s", file->mode, strlen(file->content), outcome.out, outcome.err);
    assert_int_equal(outcome.status, 0);
    if (file->usable) {
        assert_string_equal(outcome.out, "hello\n");
        assert_string_equal(outcome.err, "");
        return;
    }
    assert_string_equal(outcome.out, "connect ENOKEY\n");
    assert_non_null(strstr(outcome.err, path));
    assert_non_null(strstr(outcome.err, file->said));
    assert_null(strstr(outcome.err, file->unsaid));
}

static void key_files_good_and_bad(void)
{
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(key_files); i++) {
        char path[] = "/tmp/sockseal-keys-XXXXXX";
        int fd = mkstemp(path);
        assert_int_equal(net_write_all(fd, key_files[i].content, strlen(key_files[i].content)),
                         strlen(key_files[i].content));
        assert_int_equal(fchmod(fd, key_files[i].mode), 0);
        close(fd);
        check_key_file(&key_files[i], path);
        unlink(path);
    }
}

/* Rules with addresses, ranges and `!`, seen from whether a missing key matters: a plain connection needs
 * none. */
static void rules_decide_what_is_sealed(void)
{
    static const struct {
        const char *ports;
        bool sealed;
    } rules[] = {
        {"SOCKSEAL_PORTS=1-65535", true},
        {"SOCKSEAL_PORTS=127.77.0.0/16:1-65535", true},
        {"SOCKSEAL_PORTS=127.77.0.1:1-65535", true},
        {"SOCKSEAL_PORTS=127.76.0.0/15:1-65535", true},
        {"SOCKSEAL_PORTS=connect:1-65535", true},
        {"SOCKSEAL_PORTS=127.78.0.0/16:1-65535", false},
        {"SOCKSEAL_PORTS=1-65535,!127.77.0.0/16:1-65535", false},
        {"SOCKSEAL_PORTS=!127.77.0.0/16:1-65535,1-65535", false},
        {"SOCKSEAL_PORTS=1-65535,!127.78.0.0/16:1-65535", true},
        {"SOCKSEAL_PORTS=1-2", false},
        {"SOCKSEAL_PORTS=[::/0]:1-65535", false},
    };
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(rules); i++) {
        const char *changes[] = {rules[i].ports, "SOCKSEAL_KEY_FILE=/nonexistent/keys", NULL};
        struct outcome outcome = exchange(changes);
        print_message("%s: %s", rules[i].ports, outcome.out);
        assert_string_equal(outcome.out, rules[i].sealed ? "connect ENOKEY\n" : "hello\n");
    }
}

static void every_suite_carries_data(void)
{
    static const char *const suites[] = {"SOCKSEAL_SUITES=chacha20", "SOCKSEAL_SUITES=aegis128l,chacha20",
                                         "SOCKSEAL_SUITES=aegis128x2,chacha20",
                                         "SOCKSEAL_SUITES=aegis128x4,chacha20"};
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        const char *changes[] = {suites[i], NULL};
        assert_string_equal(exchange(changes).out, "hello\n");
    }
}

static void listen_reads_the_keys(void)
{
    char path[] = "/tmp/sockseal-keys-XXXXXX", change[64];
    static const char keys[] = "alpha:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n";
    if (!suite_has_library())
        skip();
    int file = mkstemp(path);
    assert_int_equal(write(file, keys, sizeof keys - 1), sizeof keys - 1);
    close(file);
    snprintf(change, sizeof change, "SOCKSEAL_KEY_FILE=%s", path);
    const char *changes[] = {change, NULL};
    int status = suite_wait(suite_spawn("listening", NULL, changes, -1, -1));
    unlink(path);
    assert_int_equal(status, 0);
}

/* A server may give up the right to read its key file once it listens. */
static int listening_role(int argc, char **argv)
{
    struct sockaddr_in address;
    (void)argc, (void)argv;
    int listener = net_listen(&net_sealed, 4, &address), one = net_client(&net_sealed, 0);
    unlink(getenv("SOCKSEAL_KEY_FILE"));
    if (net_connect_to(one, &address) < 0)
        return 10;
    int two = accept(listener, NULL, NULL);
    char text[3];
    if (two < 0)
        return 11;
    return write(one, "hey", 3) == 3 && net_read_all(two, text, 3) == 3 ? 0 : 12;
}

/* As sanitizers do: calls a door before libc has its environment. */
static void begin_early(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv;
    for (; *envp; envp++) {
        if (strcmp(*envp, "EARLY=1") == 0)
            close(socket(AF_INET, SOCK_STREAM, 0));
    }
}

typedef void early(int argc, char **argv, char **envp);

__attribute__((section(".preinit_array"), used)) static early *const early_entry = begin_early;

static int active_role(int argc, char **argv)
{
    struct sockseal_info info;
    socklen_t len = sizeof info;
    (void)argc, (void)argv;
    return getsockopt(socket(AF_INET, SOCK_STREAM, 0), SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len) < 0;
}

static void before_all_constructors(void)
{
    if (!suite_has_library())
        skip();
    assert_int_equal(suite_wait(suite_spawn("active", NULL, (const char *[]){"EARLY=1", NULL}, -1, -1)), 0);
}

static const struct suite_test tests[] = {
    {.name = "bad values end the process", .run = bad_values_end_the_process},
    {.name = "good values say nothing", .run = good_values_say_nothing},
    {.name = "nothing is read without ports", .run = nothing_is_read_without_ports},
    {.name = "key files, good and bad", .run = key_files_good_and_bad},
    {.name = "rules decide what is sealed", .run = rules_decide_what_is_sealed},
    {.name = "every suite carries data", .run = every_suite_carries_data},
    {.name = "listen reads the keys", .run = listen_reads_the_keys},
    {.name = "before all constructors", .run = before_all_constructors},
};

static const struct suite_role roles[] = {
    {"nothing", nothing_role},   {"without ports", without_ports_role},
    {"exchange", exchange_role}, {"listening", listening_role},
    {"active", active_role},
};

int main(int argc, char **argv)
{
    suite_roles(roles, suite_count(roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
