/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RO_AFTER_INIT_H
#define SOCKSEAL_RO_AFTER_INIT_H

/*
 * Variables that are written while the library starts and never again: pointers to code, above all. The
 * linker (sys/ro_after_init.ld) puts them into pages of their own, which become read-only, so that a write to
 * a wrong address cannot say what the process executes. Where that script is not used, as in test programs,
 * they are ordinary variables.
 */

#define RO_AFTER_INIT __attribute__((section(".data.ro_after_init")))

/* Makes them read-only. Called once, by the last of what sets them. */
void ro_after_init_protect(void);

/* The same for libsodium's variables, which sodium_init() sets. */
void ro_after_init_protect_sodium(void);

#endif
