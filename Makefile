# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# make          build/libsockseal.so and build/sockseal
# make demo     installs what is missing, builds, and shows two sealed netcats
# make test     the same set-up, then every test
# make test-apps   installs the servers and clients that people run, and runs them sealed: many minutes
# See README.md; V=1 shows the commands.

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man

# A variant has a directory of its own: make BUILD=build/clang CC=clang, make BUILD=build/asan
# SAN=address,undefined
BUILD ?= build
DEPS := build/deps
SAN ?=
VERSION := 0.1

MAKEFLAGS += --no-builtin-rules
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
CPPFLAGS ?=
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion $(if $(WERROR),-Werror)
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# -fexceptions: a thread cancelled inside a door unwinds through it. initial-exec: a preloaded library has its
# few bytes of thread-local storage in the static block, where touching them neither allocates nor locks.
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -DSOCKSEAL_VERSION='"$(VERSION)"' -Ishim -Iinclude -fPIC -fexceptions \
	-fvisibility=hidden -ftls-model=initial-exec $(WARNINGS) $(SANITIZE) $(CFLAGS)
LIB_LDFLAGS := -shared -nodefaultlibs -Wl,-soname,libsockseal.so -Wl,--exclude-libs,ALL -Wl,-z,now -Wl,-z,relro \
	$(if $(SAN),,-Wl,--no-undefined)
SODIUM := $(DEPS)/sodium

BUILD_PACKAGES := gcc libc6-dev binutils tar gzip xz-utils
TEST_PACKAGES := clang clang-format libcmocka-dev binutils procps valgrind python3 netcat-openbsd \
	netcat-traditional ncat openssl gnutls-bin curl socat iperf3 tcpdump tshark iproute2 util-linux strace
BENCH_PACKAGES := libssl-dev python3 iperf3 curl redis-server redis-tools nginx-light wrk postgresql postgresql-contrib \
	stunnel4 spiped openssh-server openssh-client socat openssl gnuplot-nox valgrind strace
DEMO_PACKAGES := netcat-openbsd openssl python3-minimal tcpdump
# A test of a real program names what it needs in a comment, "# packages: redis-server redis-tools". One with a
# comment "# suite: full" is left to make test-apps.
hash := \#
APP_TESTS := $(wildcard tests/apps/*_test.py)
packages_of = $(if $(strip $(1)),$(sort $(shell sed -n 's/^$(hash) packages: //p' $(1))))
QUICK_PACKAGES = $(call packages_of,$(shell grep -L '^$(hash) suite: full$$' $(APP_TESTS)))
APP_PACKAGES = $(call packages_of,$(APP_TESTS))
# "# unpacked: proftpd-core": not installed, since it excludes another's package.
UNPACKED_PACKAGES = $(sort $(shell sed -n 's/^$(hash) unpacked: //p' $(APP_TESTS)))

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)))
LIB_OBJECTS := $(call objects,shim/libc/*.c shim/conn/*.c shim/tls/*.c shim/crypto/*.c shim/config/*.c shim/diag/*.c \
	shim/sys/*.c)
# Programs have the compiler's runtime; only the library goes without it.
PROGRAM_OBJECTS := $(filter-out %/sys/unwind.o,$(LIB_OBJECTS))
# What the unit tests link: the rooms without the doors, which would take over their own libc calls.
CORE_OBJECTS := $(filter-out $(BUILD)/obj/shim/libc/%,$(PROGRAM_OBJECTS))
CLI_OBJECTS := $(call objects,shim/cli/*.c) $(BUILD)/obj/shim/sys/program.o
TEST_OBJECTS := $(call objects,tests/*/*.c tests/*/support/*.c)
UNIT_SUPPORT := $(call objects,tests/support/*.c)
PRELOAD_SUPPORT := $(call objects,tests/preload/support/*.c)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*_test.c))
TSAN_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/preload/*_tsan_test.c))
PRELOAD_TESTS := $(filter-out $(TSAN_TESTS),$(patsubst %.c,$(BUILD)/%,$(wildcard tests/preload/*_test.c)))
PRELOAD_HELPERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/preload/*_helper.c))
PRELOAD_PLUGINS := $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/preload/*_plugin.c))
# The load programs speak TLS themselves too; the others need libc alone (`micro`: our own crypto).
BENCH_LOADS := $(addprefix $(BUILD)/tests/bench/,echo pingpong connects crowd)
BENCH_PLAIN := $(addprefix $(BUILD)/tests/bench/,pipe spawn ops)
BENCH_SUPPORT := $(call objects,tests/bench/support/*.c)
BENCH_PROGRAMS := $(BENCH_LOADS) $(BENCH_PLAIN) $(BUILD)/tests/bench/micro $(BUILD)/tests/bench/empty.so

ifneq ($(V),1)
Q := @
say = @echo "  $(1)	$(patsubst $(BUILD)/%,%,$@)"
else
say = @:
endif

.PHONY: all deps deps-demo deps-test deps-apps deps-bench demo test test-apps test-cpython bench bench-programs fuzz install \
	uninstall clean distclean tests unit-tests tsan-tests FORCE
.DELETE_ON_ERROR:

all: $(BUILD)/libsockseal.so $(BUILD)/sockseal

$(BUILD)/libsockseal.so: $(LIB_OBJECTS) $(SODIUM)/libs
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LIB_LDFLAGS) -o $@ $(LIB_OBJECTS) @$(SODIUM)/libs -lc -lgcc

$(CLI_OBJECTS): CPPFLAGS += -DSOCKSEAL_MULTIARCH='"$(shell $(CC) -print-multiarch)"'

$(BUILD)/core.a: $(CORE_OBJECTS)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/sockseal: $(CLI_OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Wl,-z,now -Wl,-z,relro -pie -o $@ $(CLI_OBJECTS)

$(BUILD)/obj/%.o: %.c $(SODIUM)/libs
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) @$(SODIUM)/cflags $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(TEST_OBJECTS): CPPFLAGS += -Itests/support -Itests/preload/support -Itests/bench/support

$(UNIT_TESTS): $(BUILD)/%: $(BUILD)/obj/%.o $(UNIT_SUPPORT) $(BUILD)/core.a $(SODIUM)/libs
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) -lcmocka -lpthread @$(SODIUM)/libs

$(PRELOAD_TESTS): $(BUILD)/%: $(BUILD)/obj/%.o $(PRELOAD_SUPPORT)
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Wl,-rpath,'$$ORIGIN' -o $@ $(filter %.o,$^) -lcmocka -lpthread

# Linked with the doors themselves: a preloaded library would come before the sanitizer's runtime.
$(TSAN_TESTS): $(BUILD)/%: $(BUILD)/obj/%.o $(PRELOAD_SUPPORT) $(PROGRAM_OBJECTS) $(SODIUM)/libs
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -lcmocka -lpthread @$(SODIUM)/libs

$(PRELOAD_HELPERS): $(BUILD)/%: $(BUILD)/obj/%.o
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -lpthread

$(BENCH_LOADS): $(BUILD)/%: $(BUILD)/obj/%.o $(BENCH_SUPPORT)
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lssl -lcrypto -lpthread

$(BENCH_PLAIN): $(BUILD)/%: $(BUILD)/obj/%.o
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/tests/bench/micro: $(BUILD)/obj/tests/bench/micro.o $(BUILD)/core.a $(SODIUM)/libs
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) @$(SODIUM)/libs

$(BUILD)/tests/bench/empty.so: $(BUILD)/obj/tests/bench/empty.o
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -o $@ $<

# What a test loads.
$(PRELOAD_PLUGINS): $(BUILD)/%.so: %.c
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -o $@ $<

bench-programs: $(BENCH_PROGRAMS)
unit-tests: $(UNIT_TESTS)
tsan-tests: $(TSAN_TESTS)
tests: all $(UNIT_TESTS) $(PRELOAD_TESTS) $(PRELOAD_HELPERS) $(PRELOAD_PLUGINS) $(BENCH_PLAIN)

# Installs the packages among $(1) that are not there; without root it says which. What a package brings as a service
# is not started (policy-rc.d: 101 is "action not allowed"), since the tests run servers of their own.
install_packages = missing=; \
	command -v dpkg-query >/dev/null || { echo "not a Debian system: install the equivalents of: $(1)"; exit 0; }; \
	for package in $(1); do \
		dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
			|| missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	[ "$$(id -u)" = 0 ] || { echo "missing packages; as root: apt-get install$$missing" >&2; exit 1; }; \
	echo "installing:$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; policy=/usr/sbin/policy-rc.d; \
	[ -e $$policy ] || { trap "rm -f $$policy" EXIT; trap 'exit 1' HUP INT TERM; \
		printf '\043!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; }; \
	install="apt-get install -qq -y --no-install-recommends -o Dpkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0"; \
	$$install $$missing >$(DEPS)/apt.log 2>&1 \
		|| { apt-get update -qq && $$install $$missing; } >>$(DEPS)/apt.log 2>&1 \
		|| { tail -n 20 $(DEPS)/apt.log >&2; exit 1; }

$(DEPS)/build-packages:
	@mkdir -p $(DEPS)
	@echo '#include <stdio.h>' | $(CC) -E -o /dev/null - 2>/dev/null && command -v tar xz ar >/dev/null \
		|| { $(call install_packages,$(BUILD_PACKAGES)); }
	@touch $@

# SODIUM_PREFIX= or SODIUM_TARBALL= choose another one than what was found before.
$(SODIUM)/libs: $(if $(SODIUM_PREFIX)$(SODIUM_TARBALL),FORCE) | $(DEPS)/build-packages
	@CC="$(CC)" SODIUM_PREFIX="$(SODIUM_PREFIX)" SODIUM_TARBALL="$(SODIUM_TARBALL)" shim/crypto/build-libsodium.sh $(SODIUM)

deps: $(SODIUM)/libs
	@mkdir -p $(DEPS); $(call install_packages,$(BUILD_PACKAGES))

deps-demo:
	@mkdir -p $(DEPS); $(call install_packages,$(DEMO_PACKAGES))

deps-test:
	@mkdir -p $(DEPS); $(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(QUICK_PACKAGES))

deps-apps:
	@mkdir -p $(DEPS); $(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(APP_PACKAGES))
	@mkdir -p $(DEPS)/unpacked; cd $(DEPS)/unpacked; for package in $(UNPACKED_PACKAGES); do \
		[ -d $$package ] || { echo "unpacking: $$package"; \
			apt-get download -qq -o APT::Sandbox::User=root $$package && dpkg -x $${package}_*.deb $$package.part \
			&& rm $${package}_*.deb && mv $$package.part $$package || exit 1; }; done

deps-bench:
	@mkdir -p $(DEPS); $(call install_packages,$(BUILD_PACKAGES) $(BENCH_PACKAGES))

demo: deps-demo
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@examples/demo.sh $(BUILD)

# The packages first: the tests cannot be compiled before.
test: deps-test
	@tests/support/run-all $(BUILD)

# Every program of tests/apps with its whole workload. Ends with a table of what passed.
test-apps: deps-apps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tests/support/run-tests --build $(BUILD) --jobs $(or $(JOBS),2) --apps

# CPython's network tests whole, about 15 minutes; the script that runs them is no part of this project. Fails on a lost
# test that tests/apps/cpython-lost.txt does not name.
CPYTHON_SUITE ?= ../shared/suites/cpython-network.py
test-cpython:
	@[ -f "$(CPYTHON_SUITE)" ] || { echo "make test-cpython: $(CPYTHON_SUITE) is missing;" \
		"name the script that runs the suite with CPYTHON_SUITE=" >&2; exit 2; }
	@mkdir -p $(DEPS); $(call install_packages,$(BUILD_PACKAGES) libpython3.11-testsuite)
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@"$(CPYTHON_SUITE)" --preload $(BUILD)/libsockseal.so 2>&1 | tee $(BUILD)/cpython.log; \
	grep -q '^kept [1-9]' $(BUILD)/cpython.log || { echo "the suite did not end" >&2; exit 1; }; \
	sed -n 's/^ *lost \(.*\): .*/\1/p' $(BUILD)/cpython.log \
		| awk 'NR == FNR { known[$$1]; next } !($$1 in known) { print "not to be lost: " $$1; bad = 1 } \
			END { exit bad }' tests/apps/cpython-lost.txt -

# BENCH=latency,bulk: some parts; BENCH=quick: all, short; ROUNDS=9; UPDATE=1: rewrites the table of counts.
bench: deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) all bench-programs
	@tests/bench/run --build $(BUILD) --parts "$(BENCH)" $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(UPDATE),--update)

fuzz:
	@if [ -x tests/fuzz/run ]; then $(MAKE) --no-print-directory all && tests/fuzz/run $(BUILD); \
	else echo "make fuzz: there are no fuzz targets yet" >&2; exit 2; fi

install: all
	install -D -m 0755 $(BUILD)/sockseal "$(DESTDIR)$(BINDIR)/sockseal"
	install -D -m 0755 $(BUILD)/libsockseal.so "$(DESTDIR)$(LIBDIR)/libsockseal.so"
	install -D -m 0644 include/sockseal.h "$(DESTDIR)$(INCLUDEDIR)/sockseal.h"
	install -D -m 0644 shim/cli/sockseal.1 "$(DESTDIR)$(MANDIR)/man1/sockseal.1"
	install -D -m 0644 shim/cli/sockseal.7 "$(DESTDIR)$(MANDIR)/man7/sockseal.7"

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/sockseal" "$(DESTDIR)$(LIBDIR)/libsockseal.so" "$(DESTDIR)$(INCLUDEDIR)/sockseal.h" \
		"$(DESTDIR)$(MANDIR)/man1/sockseal.1" "$(DESTDIR)$(MANDIR)/man7/sockseal.7"

# Keeps libsodium, which takes a network to get; distclean does not.
clean:
	@for entry in $(BUILD)/*; do [ "$$entry" = $(DEPS) ] || rm -rf "$$entry"; done

distclean:
	rm -rf build

-include $(LIB_OBJECTS:.o=.d) $(CLI_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d)
