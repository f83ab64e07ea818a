/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Libraries that a program loads use sealed sockets through the doors, however they are loaded. */

#include "suite.h"

#include "net.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Found through this program's DT_RUNPATH, which holds only for a call that comes from this program. */
#define PLUGIN "loading_plugin.so"

#if defined __x86_64__
#define MULTIARCH "x86_64-linux-gnu"
#else
#define MULTIARCH "aarch64-linux-gnu"
#endif

/* In the clear, the peer's record layer would refuse what the library's function writes. */
static void expect_sealed_by(const struct net *net, void *library, const char *function)
{
    int pair[2];
    char got[8] = "";
    if (!library)
        fail_msg("%s", dlerror());
    ssize_t (*put)(int, const void *, size_t) = NULL;
    void *symbol = dlsym(library, function);
    assert_non_null(symbol);
    memcpy(&put, &symbol, sizeof put);
    net_warm_pair(net, pair);
    assert_int_equal(put(pair[0], "plugged", 7), 7);
    assert_int_equal(net_read_all(pair[1], got, 7), 7);
    assert_memory_equal(got, "plugged", 7);
    close(pair[0]), close(pair[1]);
    assert_int_equal(dlclose(library), 0);
}

static void expect_sealed(const struct net *net, void *library)
{
    expect_sealed_by(net, library, "plugin_write");
}

static void an_ordinary_library(const struct net *net)
{
    expect_sealed(net, dlopen(PLUGIN, RTLD_NOW));
}

static void a_library_that_is_bound_deeply(const struct net *net)
{
    expect_sealed(net, dlopen(PLUGIN, RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND));
}

static void a_library_in_the_base_namespace(const struct net *net)
{
    expect_sealed(net, dlmopen(LM_ID_BASE, PLUGIN, RTLD_NOW | RTLD_DEEPBIND));
}

static void a_library_that_is_missing(const struct net *net)
{
    (void)net;
    assert_null(dlopen("/nowhere/" PLUGIN, RTLD_NOW | RTLD_DEEPBIND));
    assert_non_null(strstr(dlerror(), "/nowhere/" PLUGIN));
    assert_non_null(dlopen(NULL, RTLD_NOW));
}

/* As torsocks, ctypes and other foreign function interfaces look functions up. */
static void libc_by_its_name(const struct net *net)
{
    const char *path = "/lib/" MULTIARCH "/" LIBC_SO;
    expect_sealed_by(net, dlopen(LIBC_SO, RTLD_LAZY), "write");
    expect_sealed_by(net, dlopen(LIBC_SO, RTLD_NOW | RTLD_NOLOAD), "write");
    expect_sealed_by(net, dlmopen(LM_ID_BASE, LIBC_SO, RTLD_NOW), "write");
    if (access(path, F_OK) == 0)
        expect_sealed_by(net, dlopen(path, RTLD_LAZY | RTLD_GLOBAL), "write");

    void *library = dlopen(LIBC_SO, RTLD_LAZY);
    assert_ptr_equal(dlsym(library, "qsort"), dlsym(RTLD_DEFAULT, "qsort"));
    assert_null(dlsym(library, "no_such_function"));
    assert_int_equal(dlclose(library), 0);
}

/* It would have a libc of its own, whose calls pass no door. */
static void a_namespace_of_its_own_is_refused(void)
{
    if (!suite_has_library())
        skip();
    assert_null(dlmopen(LM_ID_NEWLM, PLUGIN, RTLD_NOW));
    assert_non_null(strstr(dlerror(), "sockseal"));
}

static const struct suite_case cases[] = {
    {.name = "an ordinary library", .run = an_ordinary_library},
    {.name = "RTLD_DEEPBIND", .run = a_library_that_is_bound_deeply},
    {.name = "dlmopen into the base namespace", .run = a_library_in_the_base_namespace},
    {.name = "libc by its name", .run = libc_by_its_name},
    {.name = "a library that is missing", .run = a_library_that_is_missing},
};

static const struct suite_test tests[] = {
    {.name = "dlmopen into a namespace of its own", .run = a_namespace_of_its_own_is_refused},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
