# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# How the programs of tests/ are built; part of the Makefile. A new test needs no line here.

TEST_OBJECTS := $(call objects,tests/*/*.c tests/*/*/*.c)
test_programs = $(patsubst %.c,$(BUILD)/tests/%,$(patsubst tests/%,%,$(wildcard $(addprefix tests/,$(1)))))
UNIT_TESTS := $(call test_programs,unit/*_test.c)
TSAN_TESTS := $(call test_programs,preload/*/*_tsan_test.c)
PRELOAD_TESTS := $(filter-out $(TSAN_TESTS),$(call test_programs,preload/*/*_test.c))
PRELOAD_PLUGINS := $(addsuffix .so,$(call test_programs,preload/*/*_plugin.c))
# The load programs speak TLS themselves too; the others need libc alone (`micro`: our own crypto).
BENCH_LOADS := $(call test_programs,bench/echo.c bench/pingpong.c bench/connects.c bench/crowd.c)
BENCH_PLAIN := $(call test_programs,bench/pipe.c bench/spawn.c bench/ops.c)
BENCH_MICRO := $(call test_programs,bench/micro.c)
# Programs that a test of their folder runs: tests/NAME/NAME of all sources there.
INSTRUMENTS := $(call test_programs,faults/faults.c random/random.c)
FUZZ_HARNESSES := $(call test_programs,fuzz/*_fuzz.c)
BENCH_EMPTY := $(addsuffix .so,$(call test_programs,bench/empty.c))

.PHONY: tests unit-tests tsan-tests fuzz-harnesses bench-programs
unit-tests: $(UNIT_TESTS)
tsan-tests: $(TSAN_TESTS)
fuzz-harnesses: $(FUZZ_HARNESSES)
tests: all $(UNIT_TESTS) $(PRELOAD_TESTS) $(PRELOAD_PLUGINS) $(BENCH_PLAIN) $(INSTRUMENTS)
bench-programs: $(BENCH_LOADS) $(BENCH_PLAIN) $(BENCH_MICRO) $(BENCH_EMPTY)

$(TEST_OBJECTS): override CPPFLAGS += -Itests/support -Itests/preload/support -Itests/bench/support -Itests/fuzz/support
# cmocka for another machine: tests/support/install-packages arm64
FOREIGN := $(if $(CROSS),build/deps/$(patsubst aarch64,arm64,$(CROSS))/usr)
$(TEST_OBJECTS): override CPPFLAGS += $(addprefix -isystem ,$(FOREIGN:=/include))

# What each kind is linked with besides its own object.
LIBS :=
$(UNIT_TESTS): $(call objects,tests/support/*.c) $(BUILD)/core.a
$(PRELOAD_TESTS) $(TSAN_TESTS): $(call objects,tests/preload/support/*.c)
# With the doors themselves: a preloaded library would come before the sanitizer's runtime.
$(TSAN_TESTS): $(PROGRAM_OBJECTS)
# A harness has libFuzzer's main program where the build is for it (tests/fuzz/run), else the one of fuzz/support.
FUZZ_MAIN := $(if $(findstring fuzzer,$(SAN)),%/driver.o)
$(FUZZ_HARNESSES): $(filter-out $(FUZZ_MAIN),$(call objects,tests/fuzz/support/*.c)) \
	$(call objects,tests/support/*.c) $(BUILD)/core.a
$(BUILD)/tests/fuzz/config_fuzz: $(call objects,shim/cli/configuration.c)
$(BUILD)/tests/faults/faults: $(call objects,tests/faults/*.c)
$(BUILD)/tests/random/random: $(call objects,tests/random/*.c)
$(BENCH_LOADS): $(call objects,tests/bench/support/*.c)
$(BENCH_MICRO): $(BUILD)/core.a
$(UNIT_TESTS) $(PRELOAD_TESTS) $(TSAN_TESTS) $(FUZZ_HARNESSES): private LIBS := $(FOREIGN:%=-L%/lib/$(CROSS)-linux-gnu) -lcmocka -lpthread
$(BENCH_LOADS): private LIBS := -lssl -lcrypto -lpthread
$(UNIT_TESTS) $(TSAN_TESTS) $(FUZZ_HARNESSES) $(BENCH_MICRO): private LIBS += @$(SODIUM)/libs
$(FUZZ_HARNESSES): private LIBS += $(if $(FUZZ_MAIN),-fsanitize=fuzzer)
$(INSTRUMENTS): private LIBS := -lpthread
$(PRELOAD_TESTS): private LIBS += -Wl,-rpath,'$$ORIGIN'

$(UNIT_TESTS) $(PRELOAD_TESTS) $(TSAN_TESTS) $(FUZZ_HARNESSES) $(INSTRUMENTS) $(BENCH_LOADS) $(BENCH_PLAIN) \
	$(BENCH_MICRO): $(BUILD)/%: $(BUILD)/obj/%.o
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

$(PRELOAD_PLUGINS) $(BENCH_EMPTY): $(BUILD)/%.so: $(BUILD)/obj/%.o
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -o $@ $<

-include $(TEST_OBJECTS:.o=.d)
