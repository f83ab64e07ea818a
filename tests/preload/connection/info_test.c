/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a program can ask the library about its connection (SOCKSEAL_INFO). */

#include "suite.h"

#include "net.h"
#include "sockseal.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void what_a_program_can_ask(void)
{
    int pair[2], plain[2];
    struct sockseal_info info;
    socklen_t len = sizeof info;
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    net_pair(&net_plain, plain);
    assert_int_equal(getsockopt(pair[0], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(len, sizeof info);
    assert_int_equal(info.sealed, 1);
    assert_int_equal(info.state, SOCKSEAL_ESTABLISHED);
    assert_int_equal(info.server, 0);
    assert_true(info.identity_len > 0);
    assert_true(info.suite == SOCKSEAL_SUITE_AEGIS_128L || info.suite == SOCKSEAL_SUITE_AEGIS_128X2 ||
                info.suite == SOCKSEAL_SUITE_AEGIS_128X4 || info.suite == SOCKSEAL_SUITE_CHACHA20_POLY1305);
    len = 4;
    assert_int_equal(getsockopt(pair[1], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(len, 4);
    assert_int_equal(info.server, 1);
    len = sizeof info;
    assert_int_equal(getsockopt(plain[0], SOCKSEAL_SOL, SOCKSEAL_INFO, &info, &len), 0);
    assert_int_equal(info.sealed, 0);
    close(pair[0]), close(pair[1]), close(plain[0]), close(plain[1]);
}

static const struct suite_test tests[] = {
    {.name = "what a program can ask", .run = what_a_program_can_ask},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
