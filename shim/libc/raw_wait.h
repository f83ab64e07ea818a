/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RAW_WAIT_H
#define SOCKSEAL_RAW_WAIT_H

/* Of syscall(2): the calls that wait. The first four exist on x86-64 alone. */

#include "libc/raw.h"

raw_stand_in raw_wait_poll, raw_wait_select, raw_wait_epoll_wait, raw_wait_pause;
raw_stand_in raw_wait_epoll_ctl, raw_wait_epoll_pwait, raw_wait_epoll_pwait2, raw_wait_nanosleep,
    raw_wait_rt_sigsuspend, raw_wait_clock_nanosleep, raw_wait_ppoll, raw_wait_pselect6, raw_wait_child,
    raw_wait_id, raw_wait_rt_sigtimedwait, raw_wait_futex;

#endif
