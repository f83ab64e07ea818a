# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# What runs for as long as one likes, by name; `make test` runs each in short form. Part of the Makefile; see
# tests/README.md.

.PHONY: fuzz faults deaths shortages soak random lint

# FUZZ_SECONDS=600 for all harnesses together; FUZZ="server wire": these alone.
fuzz: deps-test
	@tests/fuzz/run $(BUILD)

# FAULTS_CASES=50000 from FAULTS_FIRST on: a wire that lies between two sealed programs.
faults: all $(BUILD)/tests/faults/faults
	@tests/faults/run $(BUILD) $(or $(FAULTS_CASES),5000) $(or $(FAULTS_FIRST),0)

# DEATHS=1000: the same wire, and one of the programs is killed at some byte.
deaths: all $(BUILD)/tests/faults/faults
	@FAULTS_DEATHS=1 tests/faults/run $(BUILD) $(or $(DEATHS),1000) $(or $(FAULTS_FIRST),0)

# SHORTAGES=2000: the same wire, and one of the programs gets no descriptors, memory, threads or files for a while.
shortages: all $(BUILD)/tests/faults/faults
	@FAULTS_SHORTAGES=1 tests/faults/run $(BUILD) $(or $(SHORTAGES),2000) $(or $(FAULTS_FIRST),0)

# SOAK_SECONDS=3600: its cases for so long; memory and descriptors of the programs must be what they were.
soak: all $(BUILD)/tests/faults/faults
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),60) SOCKSEAL_HANDSHAKE_TIMEOUT=5 tests/faults/run $(BUILD) 100000000 1000000

# SEEDS=100 from FIRST_SEED on: random calls from several threads, with signals, timers and forks.
random: all $(BUILD)/tests/random/random
	@tests/random/run $(BUILD) $(or $(SEEDS),20) $(or $(FIRST_SEED),1) $(or $(CALLS),4000)

# cppcheck and gcc -fanalyzer over shim/; exceptions are argued in tests/analysis/cppcheck.txt and gcc.txt.
lint: deps-test $(SODIUM)/libs
	@tests/analysis/lint
	@tests/analysis/gcc
