/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_CALLS_H
#define PRELOAD_CALLS_H

/*
 * The calls of a scenario: each is made at one end, in the process where that end lives, and told in the
 * trace with its result, with errno if it failed, and with the bytes that it gave. "(errno touched)" is added
 * to a call that succeeded and changed errno all the same.
 */

#include "scene.h"

struct reader_door;
struct writer_door;
struct waiter_door;

/* Any call at all, not told; errno is in *error. Pointers must lie in scene->in or scene->out. */
long t_run(struct scene *scene, enum end end, long (*run)(const long *arg), const long *arg, int *error);

/* Tells a result: "A name = 5". */
void t_tell_result(struct scene *scene, enum end end, const char *name, long result, int error);

/* Writing text or bytes. */
long t_write(struct scene *scene, enum end end, const char *text);
long t_send(struct scene *scene, enum end end, const void *data, size_t len, int flags);
long t_put(struct scene *scene, enum end end, const struct writer_door *door, const void *data, size_t len);

/* Reading at most `len` bytes with one call; told with its bytes. */
long t_read(struct scene *scene, enum end end, size_t len);
long t_recv(struct scene *scene, enum end end, size_t len, int flags);
long t_get(struct scene *scene, enum end end, const struct reader_door *door, size_t len);

/* Bulk of a pattern, blocking: t_give writes `len` bytes, t_take reads and checks them; only totals are told.
 */
void t_give(struct scene *scene, enum end end, size_t len);
void t_take(struct scene *scene, enum end end, size_t len);

/* One send() of the next `len` pattern bytes. */
long t_next(struct scene *scene, enum end end, size_t len, int flags);

/* The same; told is only that it could not move all of it (a short count or EAGAIN), or that it could. */
void t_try(struct scene *scene, enum end end, size_t len, int flags);

/* Moves `total` pattern bytes from one end to the other with non-blocking calls of at most the given sizes.
 * Told as a total: how much a non-blocking bulk call moves depends on the kernel's buffers, which hold fewer
 * sealed bytes. */
void t_pump(struct scene *scene, enum end from, size_t total, size_t write_size, size_t read_size);

/* Non-blocking writes of this size until EAGAIN; tells the errno alone, since the number depends on the
 * buffers. */
void t_fill(struct scene *scene, enum end end, size_t write_size);

/* Reads all that t_fill and t_give wrote at the other end, and checks it. The writer comes back now and then
 * with another byte, as one that met EAGAIN does: a sealed record that went out in part is completed by that
 * call. */
void t_drain(struct scene *scene, enum end end, size_t read_size);

/* Waits with poll() for the events and tells what is there; t_ready: without waiting. */
int t_wait(struct scene *scene, enum end end, short events, int timeout_ms);
int t_ready(struct scene *scene, enum end end);
int t_wait_by(struct scene *scene, enum end end, const struct waiter_door *door, short events,
              int timeout_ms);

/* Waits, untold, until `len` bytes can be peeked at: what was written before has arrived. */
void t_settle(struct scene *scene, enum end end, size_t len);

/* The same by FIONREAD, which leaves the bytes alone. */
void t_settle_count(struct scene *scene, enum end end, size_t len);

/* Descriptor and options. */
long t_close(struct scene *scene, enum end end);
long t_shutdown(struct scene *scene, enum end end, int how);
long t_fionread(struct scene *scene, enum end end);
long t_so_error(struct scene *scene, enum end end);
void t_nonblock(struct scene *scene, enum end end, bool on);
void t_set_option(struct scene *scene, enum end end, int level, int option, int value);
void t_linger_zero(struct scene *scene, enum end end); /* close() then sends a reset */
void t_set_timeout(struct scene *scene, enum end end, int option, unsigned ms);

/* Tells whether the time since `start` is `expected_ms`, give or take what a loaded machine needs. */
void t_took(struct scene *scene, int64_t start_ms, unsigned expected_ms);

/* SIGPIPE at this end from here on: counted; t_sigpipes tells how many there were. */
void t_count_sigpipe(struct scene *scene, enum end end);
void t_sigpipes(struct scene *scene, enum end end);

/* Runs `action` on A's end in another thread after a pause, while the script blocks at B. Its calls are not
 * told. */
struct t_later;
struct t_later *t_after(unsigned ms, void (*action)(int fd), int fd);
void t_until_blocked(struct t_later *later); /* in its action */
void t_join(struct t_later *later);

#endif
