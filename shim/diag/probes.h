/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PROBES_H
#define SOCKSEAL_PROBES_H

/*
 * Static probes (USDT) for bpftrace, perf and SystemTap, where the build has sys/sdt.h: a nop each, and a
 * note in the object that tells where the arguments are. They are in sockseal(7), and stay as they are. A
 * connection's number is the same for as long as the process has it.
 *
 *   handshake(CONNECTION, is_server, suite, group, microseconds)   it is complete
 *   seal(CONNECTION, bytes, records)                               the kernel has taken records
 *   open(CONNECTION, bytes)                                        a record was decrypted
 *   failure(CONNECTION, errno, reason)                             reason: enum statuspage_failure
 *   close(CONNECTION, sent, received, microseconds)                this process has given it up
 */

#if defined __has_include && !defined SOCKSEAL_NO_PROBES
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define PROBES_ARE_THERE 1
#endif
#endif

#ifdef PROBES_ARE_THERE
#define PROBE2(name, a, b)          DTRACE_PROBE2(sockseal, name, a, b)
#define PROBE3(name, a, b, c)       DTRACE_PROBE3(sockseal, name, a, b, c)
#define PROBE4(name, a, b, c, d)    DTRACE_PROBE4(sockseal, name, a, b, c, d)
#define PROBE5(name, a, b, c, d, e) DTRACE_PROBE5(sockseal, name, a, b, c, d, e)
#else
#define PROBE2(name, a, b)          ((void)(a), (void)(b))
#define PROBE3(name, a, b, c)       ((void)(a), (void)(b), (void)(c))
#define PROBE4(name, a, b, c, d)    ((void)(a), (void)(b), (void)(c), (void)(d))
#define PROBE5(name, a, b, c, d, e) ((void)(a), (void)(b), (void)(c), (void)(d), (void)(e))
#endif

#endif
