/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* dlsym and dlvsym give the doors, whatever they are asked through, and nothing else is changed. */

#include "suite.h"

#include "net.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnu/lib-names.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLUGIN "symbols_plugin.so"

#if defined __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#else
#define FIRST_VERSION "GLIBC_2.17"
#endif

static const char *const doors[] = {"connect", "accept", "read",   "write",   "send", "recv",
                                    "poll",    "close",  "execve", "syscall", "dup2", "setsockopt"};

static const void *door(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

static void expect_doors(void *library)
{
    if (!library)
        fail_msg("%s", dlerror());
    for (size_t i = 0; i < suite_count(doors); i++) {
        assert_ptr_equal(dlsym(library, doors[i]), door(doors[i]));
        assert_ptr_equal(dlvsym(library, doors[i], FIRST_VERSION), door(doors[i]));
    }
    dlclose(library);
}

static void through_other_libraries(void)
{
    if (!suite_has_library())
        skip();
    expect_doors(dlopen(LIBM_SO, RTLD_NOW));
    expect_doors(dlopen(LIBPTHREAD_SO, RTLD_NOW));
    expect_doors(dlopen(NULL, RTLD_NOW));
}

static void in_the_global_order(void)
{
    if (!suite_has_library())
        skip();
    for (size_t i = 0; i < suite_count(doors); i++) {
        assert_ptr_equal(dlsym(RTLD_NEXT, doors[i]), door(doors[i]));
        assert_ptr_equal(dlvsym(RTLD_NEXT, doors[i], FIRST_VERSION), door(doors[i]));
        assert_ptr_equal(dlvsym(RTLD_DEFAULT, doors[i], FIRST_VERSION), door(doors[i]));
    }
}

static void through_a_link(void)
{
    Dl_info libc;
    char path[64];
    const void *known = door("getpid");
    if (!suite_has_library())
        skip();
    assert_int_not_equal(dladdr(known, &libc), 0);
    snprintf(path, sizeof path, "/tmp/sockseal-link-%d.so", (int)getpid());
    assert_int_equal(symlink(libc.dli_fname, path), 0);
    void *library = dlopen(path, RTLD_NOW);
    unlink(path);
    expect_doors(library);
}

typedef void *next_function(const char *, const char *);

static void behind_a_library(void)
{
    void *library = dlopen(PLUGIN, RTLD_NOW), *symbol = library ? dlsym(library, "plugin_next") : NULL;
    next_function *next = NULL;
    if (!suite_has_library())
        skip();
    assert_non_null(symbol);
    memcpy(&next, &symbol, sizeof next);
    for (size_t i = 0; i < suite_count(doors); i++) {
        assert_ptr_equal(next(doors[i], NULL), door(doors[i]));
        assert_ptr_equal(next(doors[i], FIRST_VERSION), door(doors[i]));
    }
    assert_ptr_equal(next("getpid", NULL), door("getpid"));
    dlclose(library);
}

static void anything_else(void)
{
    void *library = dlopen(LIBM_SO, RTLD_NOW), *plugin = dlopen(PLUGIN, RTLD_NOW);
    assert_non_null(dlsym(library, "cos"));
    assert_ptr_equal(dlsym(library, "getpid"), door("getpid"));
    assert_null(dlsym(library, "sockseal_has_no_such_function"));
    assert_non_null(strstr(dlerror(), "sockseal_has_no_such_function"));
    assert_null(dlvsym(library, "cos", "GLIBC_99"));
    assert_non_null(dlerror());
    assert_null(dlsym(library, "io_uring_queue_init"));
    assert_non_null(dlerror());
    assert_ptr_not_equal(dlsym(plugin, "send"), door("send")); /* its own */
    assert_null(dlerror());
    dlclose(library), dlclose(plugin);
}

/* In a process where the plugin is preloaded behind the library: door, wrapper, libc, each once. */
static int wrapped_role(int argc, char **argv)
{
    int pair[2];
    char got[8] = "";
    const int *calls = dlsym(RTLD_DEFAULT, "plugin_calls");
    (void)argc, (void)argv;
    net_warm_pair(&net_sealed, pair);
    if (!calls || send(pair[0], "wrapped", 7, 0) != 7 || net_read_all(pair[1], got, 7) != 7 ||
        strcmp(got, "wrapped") != 0)
        return 1;
    int fds[2], before = *calls;
    socketpair(AF_UNIX, SOCK_STREAM, 0, fds); /* not sealed: passed on */
    return send(fds[0], "plain", 5, 0) != 5 || *calls != before + 1;
}

static void wrapped_by_another_library(void)
{
    char preload[2048];
    const char *none[] = {NULL}, *changes[] = {preload, NULL};
    void *plugin = dlopen(PLUGIN, RTLD_NOW), *symbol = dlsym(plugin, "plugin_next");
    Dl_info info;
    if (!suite_has_library())
        skip();
    assert_int_not_equal(dladdr(symbol, &info), 0);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s:%s", getenv("LD_PRELOAD"), info.dli_fname);
    assert_int_equal(suite_wait(suite_spawn("wrapped", none, changes, -1, -1)), 0);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s:%s", info.dli_fname, getenv("LD_PRELOAD"));
    assert_int_equal(suite_wait(suite_spawn("wrapped", none, changes, -1, -1)), 0);
}

/* liburing makes its system calls inline; whichever way its functions are found, there are no rings. */
static void liburing(void)
{
    static const char *const names[] = {"io_uring_queue_init", "io_uring_queue_init_params",
                                        "io_uring_setup"};
    char ring[4096] = "", parameters[4096] = "";
    void *library = dlopen("liburing.so.2", RTLD_NOW);
    if (!suite_has_library() || !library)
        skip();
    for (size_t i = 0; i < suite_count(names); i++) {
        int (*init)(unsigned, void *, void *) = NULL;
        void *symbol = dlsym(library, names[i]);
        if (!symbol)
            continue; /* of a later version */
        memcpy(&init, &symbol, sizeof init);
        assert_int_equal(init(8, i == 2 ? parameters : ring, i == 1 ? parameters : NULL), -ENOSYS);
    }
    assert_non_null(dlsym(library, "io_uring_queue_init"));
    void *(*probe)(void) = NULL, *symbol = dlsym(library, "io_uring_get_probe");
    memcpy(&probe, &symbol, sizeof probe);
    assert_null(probe());
}

static const struct suite_test tests[] = {
    {.name = "through other libraries", .run = through_other_libraries},
    {.name = "in the global order", .run = in_the_global_order},
    {.name = "through a link", .run = through_a_link},
    {.name = "behind a library that was loaded later", .run = behind_a_library},
    {.name = "anything else", .run = anything_else},
    {.name = "wrapped by another preloaded library", .run = wrapped_by_another_library},
    {.name = "liburing", .run = liburing},
};

static const struct suite_role test_roles[] = {{"wrapped", wrapped_role}};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
