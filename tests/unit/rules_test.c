/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SOCKSEAL_PORTS: what parses, what does not, and which connections are sealed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "config/rules.h"

static struct rules parse(const char *text)
{
    struct rules rules;
    const char *word, *expected;
    size_t len;
    if (!rules_parse(&rules, text, &word, &len, &expected))
        fail_msg("'%s' does not parse: '%.*s', expected %s", text, (int)len, word, expected);
    return rules;
}

static void assert_refused(const char *text, const char *offending)
{
    struct rules rules;
    const char *word = NULL, *expected = NULL;
    size_t len = 0;
    if (rules_parse(&rules, text, &word, &len, &expected))
        fail_msg("'%s' parses", text);
    assert_non_null(expected);
    assert_true(word >= text && word + len <= text + strlen(text));
    assert_int_equal(len, strlen(offending));
    assert_memory_equal(word, offending, len);
}

static bool matches(const char *text, enum rules_direction direction, const char *address, uint16_t port)
{
    struct rules rules = parse(text);
    struct sockaddr_storage peer;
    memset(&peer, 0, sizeof peer);
    struct sockaddr_in *in = (struct sockaddr_in *)&peer;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;
    if (strchr(address, ':')) {
        in6->sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
    } else {
        in->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
    }
    return rules_match(&rules, direction, (struct sockaddr *)&peer, port);
}

static bool connects(const char *text, const char *address, uint16_t port)
{
    return matches(text, RULES_CONNECT, address, port);
}

static void test_a_bare_port_matches_both_directions_and_families(void **state)
{
    (void)state;
    assert_true(matches("443", RULES_LISTEN, "192.0.2.1", 443));
    assert_true(matches("443", RULES_CONNECT, "192.0.2.1", 443));
    assert_true(matches("443", RULES_CONNECT, "2001:db8::1", 443));
    assert_false(matches("443", RULES_CONNECT, "192.0.2.1", 444));
}

static void test_a_range_includes_both_ends(void **state)
{
    (void)state;
    assert_false(connects("10-20", "192.0.2.1", 9));
    assert_true(connects("10-20", "192.0.2.1", 10));
    assert_true(connects("10-20", "192.0.2.1", 20));
    assert_false(connects("10-20", "192.0.2.1", 21));
    assert_true(connects("1-65535", "192.0.2.1", 1));
    assert_true(connects("1-65535", "192.0.2.1", 65535));
}

static void test_a_direction_excludes_the_other(void **state)
{
    (void)state;
    assert_true(matches("listen:80", RULES_LISTEN, "192.0.2.1", 80));
    assert_false(matches("listen:80", RULES_CONNECT, "192.0.2.1", 80));
    assert_true(matches("connect:80", RULES_CONNECT, "192.0.2.1", 80));
    assert_false(matches("connect:80", RULES_LISTEN, "192.0.2.1", 80));
}

static void test_an_ipv4_prefix_counts_its_bits(void **state)
{
    (void)state;
    assert_true(connects("127.77.0.0/16:1-65535", "127.77.255.1", 5));
    assert_false(connects("127.77.0.0/16:1-65535", "127.78.0.1", 5));
    assert_true(connects("10.0.0.1:80", "10.0.0.1", 80));
    assert_false(connects("10.0.0.1:80", "10.0.0.2", 80));
    assert_true(connects("10.0.0.128/25:80", "10.0.0.200", 80));
    assert_false(connects("10.0.0.128/25:80", "10.0.0.127", 80));
    assert_true(connects("10.255.255.255/9:80", "10.128.0.1", 80)); /* bits behind the prefix do not count */
    assert_true(connects("0.0.0.0/0:80", "203.0.113.9", 80));
    assert_false(connects("0.0.0.0/0:80", "2001:db8::1", 80));
}

static void test_an_ipv6_prefix_is_written_inside_or_behind_the_brackets(void **state)
{
    (void)state;
    assert_true(connects("[fd77::/16]:80", "fd77:1::1", 80));
    assert_true(connects("[fd77::]/16:80", "fd77:1::1", 80));
    assert_false(connects("[fd77::]/16:80", "fd78::1", 80));
    assert_true(connects("[::1]:80", "::1", 80));
    assert_false(connects("[::1]:80", "::2", 80));
    assert_true(connects("[::]/0:80", "2001:db8::1", 80));
    assert_false(connects("[::]/0:80", "192.0.2.1", 80));
}

static void test_a_mapped_address_counts_as_ipv4(void **state)
{
    (void)state;
    assert_true(connects("192.0.2.0/24:80", "::ffff:192.0.2.7", 80));
    assert_false(connects("[::]/0:80", "::ffff:192.0.2.7", 80));
    assert_true(connects("[::ffff:192.0.2.0]/120:80", "192.0.2.7", 80));
    assert_true(connects("[::ffff:192.0.2.0]/120:80", "::ffff:192.0.2.7", 80));
    assert_false(connects("[::ffff:192.0.2.0]/120:80", "192.0.3.7", 80));
}

static void test_an_exclamation_mark_takes_away_wherever_it_stands(void **state)
{
    (void)state;
    assert_true(connects("1-100,!22", "192.0.2.1", 21));
    assert_false(connects("1-100,!22", "192.0.2.1", 22));
    assert_false(connects("!22,1-100", "192.0.2.1", 22));
    assert_false(connects("80,!127.0.0.0/8:1-65535", "127.0.0.1", 80));
    assert_true(connects("80,!127.0.0.0/8:1-65535", "128.0.0.1", 80));
    assert_true(connects("80,!listen:80", "192.0.2.1", 80));
    assert_false(matches("80,!listen:80", RULES_LISTEN, "192.0.2.1", 80));
    assert_false(connects("80,![::1]:80", "::1", 80));
}

static void test_blanks_around_commas_do_not_matter(void **state)
{
    (void)state;
    assert_true(connects(" 80 ,\t!10.0.0.0/8:80 ", "192.0.2.1", 80));
    assert_int_equal(parse("80 , 81\n,82").count, 3);
}

static void test_what_is_no_rule_is_refused_and_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0",
        "65536",
        "99999999999",
        "-1",
        "80-",
        "-80",
        "90-80",
        "80-90-100",
        "http",
        "080",
        "8o",
        "+80",
        "80 81",
        "*",
        "!",
        "!!80",
        "any:80",
        "listen:",
        "LISTEN:80",
        "connect:listen:80",
        "10.0.0.1",
        "10.0.0.1:",
        "10.0.0:80",
        "10.0.0.1/:80",
        "10.0.0.1/33:80",
        "10.0.0.1/-1:80",
        "10.0.0.256:80",
        "10.0.0.1/8/8:80",
        ":80",
        "fd77::1:80",
        "[fd77::1]80",
        "[fd77::1:80",
        "[]:80",
        "[::1/129]:80",
        "[::1/64]/64:80",
        "[::1]x:80",
        "[10.0.0.1]:80",
        "[fe80::1%lo]:80",
        "host.example:80",
        "80;81",
        "1:2:3:4:5:6:7:8:9:10:80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i], bad[i]);
}

static void test_the_offending_word_of_a_list_is_named(void **state)
{
    (void)state;
    assert_refused("80, 99999 ,81", "99999");
    assert_refused("80,", "");
    assert_refused("80,,81", "");
    assert_refused(",80", "");
    assert_refused(" ", "");
}

static void test_a_list_of_exceptions_alone_is_refused(void **state)
{
    (void)state;
    assert_refused("!80,!81", "!80,!81");
}

static void test_more_rules_than_fit_are_refused(void **state)
{
    (void)state;
    char text[RULES_MAX * 2 + 3] = "";
    for (int i = 0; i < RULES_MAX; i++)
        strcat(text, i ? ",7" : "7");
    assert_int_equal(parse(text).count, RULES_MAX);
    strcat(text, ",8");
    assert_refused(text, "8");
}

static void test_other_address_families_never_match(void **state)
{
    (void)state;
    struct rules rules = parse("1-65535");
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
    assert_false(rules_match(&rules, RULES_CONNECT, (struct sockaddr *)&local, 80));
    assert_false(rules_match(&rules, RULES_CONNECT, &unspecified, 80));
}

static void test_the_quick_look_has_no_false_negative(void **state)
{
    (void)state;
    struct rules rules = parse("listen:80,connect:10.0.0.0/8:81,90-99,!95,!10.0.0.1:96");
    assert_true(rules_may_match(&rules, RULES_LISTEN, 80));
    assert_false(rules_may_match(&rules, RULES_CONNECT, 80));
    assert_true(rules_may_match(&rules, RULES_CONNECT, 81));
    assert_false(rules_may_match(&rules, RULES_CONNECT, 95));
    assert_true(rules_may_match(&rules, RULES_CONNECT, 96));
    assert_false(rules_may_match(&rules, RULES_CONNECT, 100));
}

/* connect(2) makes 127.0.0.1 and ::1 of them. */
static void test_the_unspecified_address_is_this_machine(void **state)
{
    (void)state;
    static const char *const rules[] = {"127.0.0.0/8:80", "connect:127.0.0.1:80"};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        assert_true(connects(rules[i], "0.0.0.0", 80));
        assert_true(connects(rules[i], "::ffff:0.0.0.0", 80));
        assert_false(connects(rules[i], "::", 80));
    }
    assert_true(connects("[::1]:80", "::", 80));
    assert_false(connects("[::1]:80", "0.0.0.0", 80));
    assert_false(connects("80,!127.0.0.0/8:80", "0.0.0.0", 80));
    assert_false(matches("listen:127.0.0.1:80", RULES_LISTEN, "0.0.0.0", 80));
}

/* The sentence for what people write by mistake says what to write instead. */
static void test_what_is_expected_helps(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"http", "a port as a number"},
        {"db.example", "a port as a number"},
        {"db.example:5432", "the peer's address in numbers"},
        {"localhost:80", "the peer's address in numbers"},
        {"*:7000", "the port alone, without '*:'"},
        {":7000", "the port alone, without '*:' or ':'"},
        {"20-10", "the lower one first"},
        {"::1:80", "an IPv6 address in brackets"},
        {"fd77::1:80", "an IPv6 address in brackets"},
        {"10.0.0.1/33:80", "an IPv4 address"},
        {"listen", "a colon and a port"},
        {"connect:", "a port"},
        {"0", "a port from 1 to 65535"},
        {"65536", "a port from 1 to 65535"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules rules;
        const char *word, *expected;
        size_t len;
        assert_false(rules_parse(&rules, cases[i].text, &word, &len, &expected));
        if (!strstr(expected, cases[i].expected))
            fail_msg("'%s': expected %s", cases[i].text, expected);
    }
}

static bool key_counts(const char *text, enum rules_direction direction, const char *address, uint16_t port)
{
    struct rule_peer peer;
    uint8_t bytes[16];
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    struct rule_span rules = {text, strlen(text)};
    assert_int_equal(inet_pton(family, address, bytes), 1);
    assert_true(rule_peer_of(&peer, family, bytes));
    if (rules.len > 0)
        assert_null(rules_of_key_check(rules));
    return rules_of_key_match(rules, direction, &peer, port);
}

static void test_rules_of_a_key(void **state)
{
    (void)state;
    assert_true(key_counts("", RULES_LISTEN, "10.0.0.2", 80));
    assert_true(key_counts("connect", RULES_CONNECT, "10.0.0.2", 80));
    assert_false(key_counts("connect", RULES_LISTEN, "10.0.0.2", 80));
    assert_true(key_counts("connect:10.0.0.2,listen:10.0.0.2", RULES_LISTEN, "10.0.0.2", 80));
    assert_true(key_counts("connect:10.0.0.2, listen:10.0.0.3", RULES_LISTEN, "10.0.0.3", 80));
    assert_false(key_counts("connect:10.0.0.2,listen:10.0.0.3", RULES_LISTEN, "10.0.0.2", 80));
    assert_true(key_counts("10.0.0.0/8", RULES_CONNECT, "::ffff:10.1.2.3", 80));
    assert_true(key_counts("[fd00::]/8", RULES_CONNECT, "fd00::7", 80));
    assert_true(key_counts("[fd00::7]", RULES_CONNECT, "fd00::7", 80));
    assert_false(key_counts("[fd00::7]", RULES_CONNECT, "fd00::8", 80));
    assert_true(key_counts("listen:10.0.0.2:5432", RULES_LISTEN, "10.0.0.2", 5432));
    assert_false(key_counts("listen:10.0.0.2:5432", RULES_LISTEN, "10.0.0.2", 5433));
    assert_true(key_counts("listen:5432-5440", RULES_LISTEN, "10.0.0.2", 5433));
    assert_false(key_counts("10.0.0.0/8,!10.0.0.2", RULES_CONNECT, "10.0.0.2", 80));
    assert_true(key_counts("10.0.0.0/8,!10.0.0.2", RULES_CONNECT, "10.0.0.3", 80));
}

static void test_what_is_no_rule_of_a_key(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "both", "connect:", "connect:b.example", "10.0.0.2,",    "!10.0.0.2", "10.0.0",
        "[::1", "::1",      "listen connect",    "10.0.0.2:http"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!rules_of_key_check((struct rule_span){bad[i], strlen(bad[i])}))
            fail_msg("'%s' is taken for rules", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bare_port_matches_both_directions_and_families),
        cmocka_unit_test(test_a_range_includes_both_ends),
        cmocka_unit_test(test_a_direction_excludes_the_other),
        cmocka_unit_test(test_an_ipv4_prefix_counts_its_bits),
        cmocka_unit_test(test_an_ipv6_prefix_is_written_inside_or_behind_the_brackets),
        cmocka_unit_test(test_a_mapped_address_counts_as_ipv4),
        cmocka_unit_test(test_an_exclamation_mark_takes_away_wherever_it_stands),
        cmocka_unit_test(test_blanks_around_commas_do_not_matter),
        cmocka_unit_test(test_what_is_no_rule_is_refused_and_named),
        cmocka_unit_test(test_the_offending_word_of_a_list_is_named),
        cmocka_unit_test(test_a_list_of_exceptions_alone_is_refused),
        cmocka_unit_test(test_more_rules_than_fit_are_refused),
        cmocka_unit_test(test_other_address_families_never_match),
        cmocka_unit_test(test_the_quick_look_has_no_false_negative),
        cmocka_unit_test(test_the_unspecified_address_is_this_machine),
        cmocka_unit_test(test_what_is_expected_helps),
        cmocka_unit_test(test_rules_of_a_key),
        cmocka_unit_test(test_what_is_no_rule_of_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
