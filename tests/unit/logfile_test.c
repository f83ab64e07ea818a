/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Log and key log files: which are written to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag/logfile.h"

static char directory[64], file[96], other[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/logfile-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(file, sizeof file, "%s/log", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    return 0;
}

static int empty_directory(void **state)
{
    (void)state;
    unlink(file);
    unlink(other);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void make_file(const char *name, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* Both calls say so. */
static void assert_refused(enum logfile_kind kind, int error, const char *part)
{
    const char *opened, *checked;
    assert_int_equal(logfile_open(file, kind, &opened), -error);
    assert_int_equal(logfile_check(file, kind, &checked), -error);
    if (!part)
        return;
    assert_non_null(opened);
    assert_non_null(checked);
    assert_non_null(strstr(opened, part));
    assert_non_null(strstr(checked, part));
}

static void assert_taken(const char *name, enum logfile_kind kind)
{
    const char *reason;
    assert_int_equal(logfile_check(name, kind, &reason), 0);
    int fd = logfile_open(name, kind, &reason);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_APPEND);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void test_a_new_file_is_made_by_opening_and_not_by_checking(void **state)
{
    (void)state;
    const char *reason;
    struct stat st;
    assert_int_equal(logfile_check(file, LOGFILE_SECRET, &reason), 0);
    assert_int_equal(access(file, F_OK), -1);
    mode_t mask = umask(0);
    assert_taken(file, LOGFILE_SECRET);
    umask(mask);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_a_symbolic_link_is_not_followed(void **state)
{
    (void)state;
    make_file(other, 0600);
    assert_int_equal(symlink(other, file), 0);
    assert_refused(LOGFILE_LOG, ELOOP, "symbolic link");
    unlink(other);
    assert_refused(LOGFILE_LOG, ELOOP, "symbolic link"); /* nor is its target made */
    assert_int_equal(access(other, F_OK), -1);
}

static void test_a_hard_link_is_not_written_to(void **state)
{
    (void)state;
    make_file(other, 0600);
    assert_int_equal(link(other, file), 0);
    assert_refused(LOGFILE_LOG, EPERM, "hard link");
}

static void test_a_file_that_everybody_may_write_to(void **state)
{
    (void)state;
    make_file(file, 0646);
    assert_refused(LOGFILE_LOG, EPERM, "everybody may write");
}

static void test_a_secret_file_that_others_may_read(void **state)
{
    (void)state;
    make_file(file, 0640);
    assert_taken(file, LOGFILE_LOG);
    assert_refused(LOGFILE_SECRET, EPERM, "others may read");
}

/* Nothing of root's goes into another user's file, and root's files take what is allowed to write there. */
static void test_a_file_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_file(file, 0666 & ~02);
    assert_int_equal(chown(file, 12345, (gid_t)-1), 0);
    assert_refused(LOGFILE_LOG, EPERM, "belongs to another user, and this program is root's");
    assert_int_equal(chown(file, 0, 12345), 0);
    assert_int_equal(chmod(file, 0660), 0);
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(setegid(12345), 0);
    assert_int_equal(seteuid(12345), 0);
    assert_taken(file, LOGFILE_LOG);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
}

static void test_pipes_and_devices(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_refused(LOGFILE_LOG, ENXIO, NULL); /* nobody reads it: an error, not a wait */
    int reader = open(file, O_RDONLY | O_NONBLOCK);
    assert_taken(file, LOGFILE_LOG);
    close(reader);
    assert_taken("/dev/null", LOGFILE_LOG);
    assert_taken("/dev/stderr", LOGFILE_LOG);
}

static void test_where_no_file_can_be(void **state)
{
    (void)state;
    const char *reason;
    assert_int_equal(logfile_check("/nonexistent/log", LOGFILE_LOG, &reason), -ENOENT);
    assert_string_equal(reason, "its directory is not there");
    assert_int_equal(logfile_check(directory, LOGFILE_LOG, &reason), -EISDIR);
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(directory, 0700), 0);
    assert_int_equal(seteuid(12345), 0);
    assert_int_equal(logfile_check(file, LOGFILE_LOG, &reason), -EACCES);
    assert_int_equal(seteuid(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_new_file_is_made_by_opening_and_not_by_checking, empty_directory),
        cmocka_unit_test_teardown(test_a_symbolic_link_is_not_followed, empty_directory),
        cmocka_unit_test_teardown(test_a_hard_link_is_not_written_to, empty_directory),
        cmocka_unit_test_teardown(test_a_file_that_everybody_may_write_to, empty_directory),
        cmocka_unit_test_teardown(test_a_secret_file_that_others_may_read, empty_directory),
        cmocka_unit_test_teardown(test_a_file_of_another_user, empty_directory),
        cmocka_unit_test_teardown(test_pipes_and_devices, empty_directory),
        cmocka_unit_test_teardown(test_where_no_file_can_be, empty_directory),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
