/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A library with nothing in it: what preloading by itself costs. */

extern const char bench_empty[];
const char bench_empty[] = "";
