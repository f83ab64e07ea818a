/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYMBOLS_H
#define SOCKSEAL_SYMBOLS_H

/* From the constructor: what is loaded from now on was loaded by dlopen(3). */
void symbols_begin(void);

#endif
