/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Asynchronous reading and writing (POSIX aio, io_submit) is refused on a sealed descriptor. */

#include "suite.h"

#include "net.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void posix_aio_is_refused(void)
{
    int pair[2];
    char text[8] = "leaked?";
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    struct aiocb block = {.aio_fildes = pair[0], .aio_buf = text, .aio_nbytes = 7};
    struct aiocb *list[] = {NULL, &block};
    errno = 0;
    assert_int_equal(aio_write(&block), -1);
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_int_equal(aio_read(&block), -1);
    assert_int_equal(errno, EINVAL);
    for (int opcode = LIO_READ; opcode <= LIO_WRITE; opcode++) {
        block.aio_lio_opcode = opcode;
        errno = 0;
        assert_int_equal(lio_listio(LIO_WAIT, list, 2, NULL), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(net_wait(pair[1], POLLIN, 50), 0);
    close(pair[0]), close(pair[1]);
}

static void io_submit_is_refused(void)
{
    int pair[2], plain[2];
    aio_context_t context = 0;
    if (!suite_has_library())
        skip();
    if (syscall(SYS_io_setup, 4, &context) < 0)
        skip();
    net_warm_pair(&net_sealed, pair);
    net_pair(&net_plain, plain);
    struct iocb sealed = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                          .aio_fildes = (uint32_t)pair[0],
                          .aio_buf = (uintptr_t) "leaked?",
                          .aio_nbytes = 7};
    struct iocb open = sealed, *list[] = {&open, &sealed};
    open.aio_fildes = (uint32_t)plain[0];
    assert_int_equal(syscall(SYS_io_submit, context, 2, list), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(syscall(SYS_io_submit, context, 1L << 32 | 2, list), -1);
    assert_int_equal(syscall(SYS_io_submit, context, 1, list), 1); /* it is the descriptor that matters */
    net_expect_text(plain[1], "leaked?");
    assert_int_equal(net_wait(pair[1], POLLIN, 50), 0);
    assert_int_equal(syscall(SYS_io_destroy, context), 0);
    close(pair[0]), close(pair[1]), close(plain[0]), close(plain[1]);
}

/* libaio makes the call inline. It gives -errno, and leaves errno alone. */
static void libaio_is_refused(void)
{
    int pair[2], (*submit)(aio_context_t, long, struct iocb **);
    void *found = dlsym(RTLD_DEFAULT, "io_submit");
    if (!suite_has_library())
        skip();
    assert_non_null(found);
    memcpy(&submit, &found, sizeof submit);
    net_warm_pair(&net_sealed, pair);
    struct iocb sealed = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)pair[0]};
    struct iocb *list[] = {&sealed};
    errno = 0;
    assert_int_equal(submit(0, 1, list), -EINVAL);
    assert_int_equal(errno, 0);
    close(pair[0]), close(pair[1]);
}

static void large_file_aio(void)
{
    int pair[2];
    char bytes[4] = "abc";
    if (!suite_has_library())
        skip();
    net_warm_pair(&net_sealed, pair);
    struct aiocb64 block = {.aio_fildes = pair[0], .aio_buf = bytes, .aio_nbytes = 3};
    struct aiocb64 *list[] = {&block};
    block.aio_lio_opcode = LIO_WRITE;
    assert_int_equal(aio_read64(&block), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(aio_write64(&block), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(lio_listio64(LIO_WAIT, list, 1, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(net_wait(pair[1], POLLIN, 20), 0);
    close(pair[0]), close(pair[1]);
}

static const struct suite_test tests[] = {
    {.name = "POSIX aio is refused", .run = posix_aio_is_refused},
    {.name = "io_submit is refused", .run = io_submit_is_refused},
    {.name = "libaio is refused", .run = libaio_is_refused},
    {.name = "aio for large files is refused", .run = large_file_aio},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
