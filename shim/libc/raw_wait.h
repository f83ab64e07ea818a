/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RAW_WAIT_H
#define SOCKSEAL_RAW_WAIT_H

/* Of syscall(2): the calls that wait. The first four exist on x86-64 alone. */

#include "libc/raw.h"

raw_stand_in raw_poll, raw_select, raw_epoll_wait, raw_pause;
raw_stand_in raw_epoll_ctl, raw_epoll_pwait, raw_epoll_pwait2, raw_nanosleep, raw_rt_sigsuspend,
    raw_clock_nanosleep, raw_ppoll, raw_pselect6, raw_wait4, raw_waitid, raw_rt_sigtimedwait, raw_futex;

#endif
