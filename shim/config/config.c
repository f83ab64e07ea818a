/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "config/config.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "config/variables.h"
#include "diag/keylog.h"
#include "diag/log.h"
#include "sys/file.h"
#include "tls/tls.h"

enum { TIMEOUT_DEFAULT_S = 10, TIMEOUT_MAX_S = 3600 };

/* How long keys are used: two minutes, as in WireGuard, and 16 GiB. */
#define RENEWAL_BYTES (UINT64_C(1) << 34)
enum { RENEWAL_SECONDS = 120 };

/* The program may change its environment and its directory: what is needed later is copied here. */
static struct {
    struct config config;
    char key_file[PATH_MAX];
    char log_file[PATH_MAX];
    char keylog_file[PATH_MAX];
    char identities[TLS_OFFERED_PSKS_MAX * (TLS_IDENTITY_MAX + 1)];
} loaded = {.config.renewal = {.bytes = RENEWAL_BYTES, .seconds = RENEWAL_SECONDS}};

static unsigned faults;

static void report(const char *variable, const char *word, size_t word_len, const char *expected)
{
    log_line(LOG_ERROR, "%s: '%.*s': expected %s", variable, (int)(word_len < 256 ? word_len : 256), word,
             expected);
    faults++;
}

/* A variable that is empty counts as unset. */
static const char *variable_value(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

struct choice {
    const char *word;
    int value;
};

/* Gives the value of the choice that is the variable's whole text. The last choice's word is NULL. */
static int read_choice(const char *variable, const struct choice *choices, int otherwise,
                       const char *expected)
{
    const char *text = variable_value(variable);
    if (!text)
        return otherwise;
    for (const struct choice *choice = choices; choice->word; choice++)
        if (strcmp(text, choice->word) == 0)
            return choice->value;
    report(variable, text, strlen(text), expected);
    return otherwise;
}

static bool read_plaintext(void)
{
    static const struct choice choices[] = {{"refuse", 0}, {"accept", 1}, {NULL, 0}};
    return read_choice("SOCKSEAL_PLAINTEXT", choices, 0, "'refuse' or 'accept'");
}

static bool read_strict(void)
{
    static const struct choice choices[] = {{"0", 0}, {"1", 1}, {NULL, 0}};
    return read_choice("SOCKSEAL_STRICT", choices, 0, "'0' or '1'");
}

static bool read_removed_keys(void)
{
    static const struct choice choices[] = {{"keep", 0}, {"close", 1}, {NULL, 0}};
    return read_choice("SOCKSEAL_REMOVED_KEYS", choices, 0, "'keep' or 'close'");
}

static bool read_keys_after_fork(void)
{
    static const struct choice choices[] = {{"keep", 0}, {"forget", 1}, {NULL, 0}};
    return read_choice("SOCKSEAL_KEYS_AFTER_FORK", choices, 0, "'keep' or 'forget'");
}

static enum log_level read_log_level(void)
{
    static const struct choice choices[] = {{"quiet", LOG_QUIET}, {"error", LOG_ERROR}, {"warn", LOG_WARN},
                                            {"info", LOG_INFO},   {"debug", LOG_DEBUG}, {NULL, 0}};
    return (enum log_level)read_choice("SOCKSEAL_LOG", choices, LOG_WARN,
                                       "'quiet', 'error', 'warn', 'info' or 'debug'");
}

static enum log_format read_log_format(void)
{
    static const struct choice choices[] = {{"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};
    return (enum log_format)read_choice("SOCKSEAL_LOG_FORMAT", choices, LOG_FORMAT_TEXT, "'text' or 'json'");
}

/* Gives a whole number from 1 to `max`. */
static unsigned read_number(const char *variable, unsigned max, unsigned otherwise, const char *expected)
{
    const char *text = variable_value(variable);
    unsigned number = 0;
    if (!text)
        return otherwise;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && number <= max; i++)
        number = number * 10 + (unsigned)(text[i] - '0');
    if (text[digits] != '\0' || number < 1 || number > max)
        report(variable, text, strlen(text), expected);
    return number;
}

static unsigned read_timeout_ms(const char *variable, unsigned default_s)
{
    return 1000 * read_number(variable, TIMEOUT_MAX_S, default_s, "whole seconds, 1 to 3600");
}

/* Tests have keys renewed every few records. */
static uint64_t read_renewal_bytes(void)
{
    const unsigned bytes = read_number("SOCKSEAL_TEST_REKEY", 1 << 24, 0, "bytes, 1 to 16777216");
    return bytes > 0 ? bytes : RENEWAL_BYTES;
}

/* Takes a word off a list with commas between them, without the blanks around it; *text is NULL behind the
 * last one. */
static const char *next_word(const char **text, size_t *len)
{
    const char *word = *text + strspn(*text, " \t"), *end = strchrnul(word, ',');
    *text = *end ? end + 1 : NULL;
    while (end > word && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *len = (size_t)(end - word);
    return word;
}

/* A word of a list, and its meaning. */
struct named {
    const char *word;
    uint16_t value;
};

static const struct named *find_word(const struct named *names, size_t count, const char *word, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i].word) == len && memcmp(names[i].word, word, len) == 0)
            return &names[i];
    return NULL;
}

static bool is_listed(const uint16_t *values, size_t count, uint16_t value)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] == value)
            return true;
    return false;
}

/* Reads a list of such words, each once at most, and gives how many; 0 if the variable is unset. `values` has
 * room for `count`, as many as there are words. */
static size_t read_list(const char *variable, const struct named *names, size_t count, uint16_t *values,
                        const char *expected)
{
    size_t found = 0;
    for (const char *text = variable_value(variable); text;) {
        size_t len;
        const char *word = next_word(&text, &len);
        const struct named *named = find_word(names, count, word, len);
        if (!named || is_listed(values, found, named->value)) {
            report(variable, word, len, expected);
            return found;
        }
        values[found++] = named->value;
    }
    return found;
}

static void read_suites(struct config *config)
{
    static const struct named names[CONFIG_SUITES_MAX] = {{"aegis128l", TLS_SUITE_AEGIS_128L_SHA256},
                                                          {"aegis128x2", TLS_SUITE_AEGIS_128X2_SHA256},
                                                          {"aegis128x4", TLS_SUITE_AEGIS_128X4_SHA256},
                                                          {"chacha20", TLS_SUITE_CHACHA20_POLY1305_SHA256}};
    config->suite_count = read_list("SOCKSEAL_SUITES", names, CONFIG_SUITES_MAX, config->suites,
                                    "'aegis128x4', 'aegis128x2', 'aegis128l', 'chacha20' or several of them, "
                                    "each once, with commas between");
}

static void read_groups(struct config *config)
{
    static const struct named names[TLS_GROUPS_MAX] = {{"x25519mlkem768", TLS_GROUP_X25519MLKEM768},
                                                       {"x25519", TLS_GROUP_X25519}};
    config->group_count =
        read_list("SOCKSEAL_GROUPS", names, TLS_GROUPS_MAX, config->groups,
                  "'x25519mlkem768' or 'x25519', or both, each once, with a comma between them");
}

/* Copies a file's name into `out`, made absolute. Gives `out`, or NULL if the variable is unset. */
static const char *read_path(const char *variable, char out[static PATH_MAX])
{
    const char *text = variable_value(variable);
    size_t used = 0;
    if (!text)
        return NULL;
    if (text[0] != '/') {
        long len = sys_getcwd(out, PATH_MAX - 1);
        if (len < 0 || out[0] != '/') { /* "(unreachable)…": outside of the root directory */
            report(variable, text, strlen(text), "an absolute path, since the current directory has no name");
            return NULL;
        }
        used = strlen(out);
        out[used++] = '/';
    }
    size_t len = strlen(text);
    if (used + len >= PATH_MAX) {
        report(variable, text, len, "a path of less than 4096 bytes");
        return NULL;
    }
    memcpy(out + used, text, len + 1);
    return out;
}

static bool is_named_already(const struct config *config, const char *word, size_t len)
{
    for (size_t i = 0; i < config->identity_count; i++)
        if (strlen(config->identities[i]) == len && memcmp(config->identities[i], word, len) == 0)
            return true;
    return false;
}

static void read_identities(struct config *config)
{
    static const char variable[] = "SOCKSEAL_IDENTITY";
    char *copy = loaded.identities;
    for (const char *text = variable_value(variable); text;) {
        size_t len;
        const char *word = next_word(&text, &len);
        if (len == 0 || len > TLS_IDENTITY_MAX || memchr(word, ':', len))
            report(variable, word, len,
                   "names of lines of the key file, each at most 128 bytes without ':', with commas between");
        else if (config->identity_count == TLS_OFFERED_PSKS_MAX || is_named_already(config, word, len))
            report(variable, word, len, "at most 8 names, each once");
        else {
            config->identities[config->identity_count++] = memcpy(copy, word, len);
            copy[len] = '\0';
            copy += len + 1;
        }
    }
}

static void read_rules(struct rules *rules, const char *text)
{
    const char *word, *expected;
    size_t word_len;
    if (!rules_parse(rules, text, &word, &word_len, &expected))
        report("SOCKSEAL_PORTS", word, word_len, expected);
}

/* A name that is none of ours but like one is a fault: what it was meant to say is not done. */
static void read_names(bool every)
{
    struct variables_unknown unknown;
    for (char *const *at = environ; at && variables_next_unknown(&at, &unknown);) {
        bool fault = every || unknown.likely;
        log_line(fault ? LOG_ERROR : LOG_WARN, "%.*s is no variable of sockseal's%s%s%s", (int)unknown.len,
                 unknown.name, unknown.likely ? "; did you mean " : "", unknown.likely ? unknown.likely : "",
                 unknown.likely ? "?" : "");
        faults += fault;
    }
}

static void read_variables(struct config *config, const char *ports)
{
    read_rules(&config->rules, ports);
    config->key_file = read_path("SOCKSEAL_KEY_FILE", loaded.key_file);
    read_identities(config);
    config->accept_plaintext = read_plaintext();
    read_suites(config);
    read_groups(config);
    config->handshake_timeout_ms = read_timeout_ms("SOCKSEAL_HANDSHAKE_TIMEOUT", TIMEOUT_DEFAULT_S);
    config->connect_timeout_ms = read_timeout_ms("SOCKSEAL_CONNECT_TIMEOUT", 0);
    config->close_timeout_ms = read_timeout_ms("SOCKSEAL_CLOSE_TIMEOUT", TIMEOUT_DEFAULT_S);
    config->strict = read_strict();
    config->close_removed_keys = read_removed_keys();
    config->forget_keys = read_keys_after_fork();
    config->keylog_file = read_path("SOCKSEAL_KEYLOG_FILE", loaded.keylog_file);
    config->renewal.bytes = read_renewal_bytes();
    config->active = true;
}

/* The log comes first: the errors of all others go to it. */
static void load(struct config *config, const char *ports)
{
    config->log_file = read_path("SOCKSEAL_LOG_FILE", loaded.log_file);
    log_setup(LOG_WARN, config->log_file);
    log_name_journal(getenv("JOURNAL_STREAM"));
    log_set_format(read_log_format());
    log_setup(read_log_level(), config->log_file);
    read_names(false);
    read_variables(config, ports);
    if (faults)
        sys_exit_group(CONFIG_EXIT_STATUS);
    keylog_setup(config->keylog_file);
    if (config->keylog_file)
        log_line(LOG_WARN, "SOCKSEAL_KEYLOG_FILE is set: whoever can read %s can decrypt the connections",
                 config->keylog_file);
}

/* SOCKSEAL_PORTS is not there. If a name that is like it is, the program must not run unsealed. */
static void load_without_ports(void)
{
    struct variables_unknown unknown;
    for (char *const *at = environ; at && variables_next_unknown(&at, &unknown);)
        if (unknown.likely == variables_names[VARIABLES_PORTS])
            read_names(false);
    if (faults)
        sys_exit_group(CONFIG_EXIT_STATUS);
}

extern void *__libc_stack_end __attribute__((weak)); /* of the dynamic linker's: where the stack began */

/* What runs before all constructors (DT_PREINIT_ARRAY, as sanitizers have it) may call a door before libc has
 * its `environ`. It stands behind the arguments, of which the number is first (System V ABI, 3.4.1). */
static void find_environment(void)
{
    char **start = &__libc_stack_end ? __libc_stack_end : NULL;
    if (!environ && start)
        environ = start + 1 + *(const long *)(const void *)start + 1;
}

/* In a set-user-ID program (here only if the administrator preloads the shim into everything) the environment
 * is somebody else's and may name no file for us to write to: like secure_getenv(3), nothing of it is used.
 */
static void load_unless_secure(void)
{
    find_environment();
    const char *ports = getenv(variables_names[VARIABLES_PORTS]);
    bool secure = getauxval(AT_SECURE);
    if (secure && ports && *ports)
        log_line(LOG_WARN,
                 "this program has another user's rights: SOCKSEAL_PORTS is ignored and nothing is sealed");
    if (secure || (ports && !*ports))
        return;
    if (ports)
        load(&loaded.config, ports);
    else
        load_without_ports();
}

unsigned config_examine(void)
{
    struct config *config = &loaded.config;
    const char *ports = variable_value(variables_names[VARIABLES_PORTS]);
    read_names(true);
    config->log_file = read_path("SOCKSEAL_LOG_FILE", loaded.log_file);
    (void)read_log_level();
    (void)read_log_format();
    if (ports)
        read_variables(config, ports);
    return faults;
}

void config_load(void)
{
    enum { UNLOADED, LOADING, LOADED };
    static _Atomic int state = UNLOADED;
    static _Atomic int loader;

    if (atomic_load_explicit(&state, memory_order_acquire) == LOADED)
        return;
    int expected = UNLOADED;
    if (atomic_compare_exchange_strong(&state, &expected, LOADING)) {
        atomic_store(&loader, sys_gettid());
        load_unless_secure();
        atomic_store_explicit(&state, LOADED, memory_order_release);
        return;
    }
    /* Another thread is at it, or a signal handler interrupted it; then there is nothing to wait for. */
    while (atomic_load_explicit(&state, memory_order_acquire) == LOADING &&
           atomic_load(&loader) != sys_gettid())
        sys_call3(SYS_sched_yield, 0, 0, 0);
}

const struct config *config_get(void)
{
    return &loaded.config;
}
