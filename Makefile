# pgsluice -- `make help` lists the targets. V=1 shows whole commands.
#
# Each variant builds in a folder of its own: release in build/, the others in build/VARIANT/.
# All objects but proxy/main.o form libpgsluice.a, which the program and every test link.
# A target that needs another variant calls make again: $(MAKE) VARIANT=asan ...

VARIANT ?= release
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
PYTHON ?= /usr/bin/python3
FUZZ_SECONDS ?= 30
CFLAGS ?= -O2 -g

MAKEFLAGS += --no-print-directory --no-builtin-rules
Q := $(if $(V),,@)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# ---- variants --------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
SAN_FLAGS := -O1 -g -fno-omit-frame-pointer
ifeq ($(VARIANT),release)
  B := build
  VARIANT_CFLAGS := $(CFLAGS) -fPIE -fstack-protector-strong -fstack-clash-protection \
	-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
  VARIANT_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
else ifeq ($(VARIANT),asan)
  B := build/asan
  VARIANT_CFLAGS := $(SAN_FLAGS) -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(VARIANT),tsan)
  B := build/tsan
  VARIANT_CFLAGS := $(SAN_FLAGS) -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
  B := build/fuzz
  CC := $(firstword $(shell command -v clang-14 clang) clang)
  VARIANT_CFLAGS := $(SAN_FLAGS) -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined
else
  $(error no such VARIANT: $(VARIANT))
endif

# libpq-fe.h lives in a folder of its own on Debian.
ALL_CPPFLAGS := -I. -D_GNU_SOURCE -isystem /usr/include/postgresql $(CPPFLAGS)
ALL_CFLAGS := -std=c11 -pthread $(VARIANT_CFLAGS) \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(CI),-Werror)
ALL_LDFLAGS := $(filter -fsanitize%,$(VARIANT_CFLAGS)) $(VARIANT_LDFLAGS) $(LDFLAGS)
LDLIBS := -lpq -lev -lssl -lcrypto -linih -lcares -lidn -lcurl -lldap -llber -lpam -lpthread -lm

export ASAN_OPTIONS ?= abort_on_error=0:detect_stack_use_after_return=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS ?= second_deadlock_stack=1

# ---- files -----------------------------------------------------------------------------------

SRCS := $(filter-out proxy/main.c,$(wildcard proxy/*.c proxy/*/*.c auth/*.c auth/*/*.c pool/*.c))
UNIT := $(sort $(shell find tests/unit -name '*_test.c' 2>/dev/null))
SCENARIO := $(sort $(wildcard tests/scenario/*_test.c))
# What scenarios share (fake loop, fake server): linked before the archive, so fakes win.
FAKES := $(filter-out $(SCENARIO),$(wildcard tests/scenario/*.c tests/fake/*.c))
FUZZ := $(filter-out tests/fuzz/replay_main.c,$(sort $(wildcard tests/fuzz/*.c)))

objects = $(patsubst %.c,$(B)/%.o,$(1))
programs = $(patsubst %.c,$(B)/%,$(1))
C_TESTS := $(call programs,$(UNIT) $(SCENARIO))
REPLAYS := $(patsubst %.c,build/asan/%,$(FUZZ))

# ---- packages: order-only, one dpkg-query when all is there ------------------------------------

.PHONY: deps-build deps-test deps-run deps-bench deps-lint deps-fuzz deps-compdb
deps-build deps-test deps-run deps-bench deps-lint deps-fuzz deps-compdb:
	@packaging/deps.sh $(@:deps-%=%)

# ---- building --------------------------------------------------------------------------------

.PHONY: all c-tests replays FORCE
all: $(B)/pgsluice
c-tests: $(C_TESTS)
replays: $(call programs,$(FUZZ))

# Rewritten only when their text changes: other flags rebuild everything, a source file that is
# gone leaves the archive.
$(B)/.flags: FORCE | deps-build
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' >$@
$(B)/.sources: FORCE
	@mkdir -p $(@D)
	@echo '$(SRCS)' | cmp -s - $@ || echo '$(SRCS)' >$@

$(B)/%.o: %.c $(B)/.flags
	@mkdir -p $(@D)
	@echo "CC $<"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/libpgsluice.a: $(call objects,$(SRCS)) $(B)/.sources
	@echo "AR $@"
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(B)/pgsluice: $(B)/proxy/main.o $(B)/libpgsluice.a
	@echo "LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(call programs,$(UNIT)): $(B)/%: $(B)/%.o $(B)/libpgsluice.a
	@echo "LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(call programs,$(SCENARIO)): $(B)/%: $(B)/%.o $(call objects,$(FAKES)) $(B)/libpgsluice.a
	@echo "LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# With clang a harness is a fuzzer; with gcc it replays its corpus.
FUZZ_MAIN := $(if $(filter fuzz,$(VARIANT)),,$(B)/tests/fuzz/replay_main.o)
FUZZ_LDFLAGS := $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer)
$(call programs,$(FUZZ)): $(B)/%: $(B)/%.o $(FUZZ_MAIN) $(B)/libpgsluice.a
	@echo "LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(FUZZ_LDFLAGS) -o $@ $^ $(LDLIBS)

-include $(patsubst %.c,$(B)/%.d,$(SRCS) proxy/main.c $(UNIT) $(SCENARIO) $(FAKES) $(FUZZ) \
	tests/fuzz/replay_main.c)

# The test programs' sources need cmocka.h before they compile.
$(call objects,$(UNIT) $(SCENARIO) $(FAKES)): | deps-test

# ---- tests -----------------------------------------------------------------------------------

.PHONY: test check check-asan check-tsan check-variant check-generated check-it soak fuzz bench
PYTEST := PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -p no:cacheprovider

# Everything is built first; then all parts run, even after one failed.
test check: | deps-test
	@$(MAKE) all c-tests
	@$(MAKE) VARIANT=asan replays
	@rc=0; \
	tests/run_c.sh $(C_TESTS) $(REPLAYS) || rc=1; \
	$(MAKE) check-generated || rc=1; \
	$(MAKE) check-it || rc=1; \
	exit $$rc

check-asan: | deps-test
	@$(MAKE) VARIANT=asan check-variant

# gcc 12's TSan dies at start where the kernel randomises addresses widely: setarch -R where allowed.
check-tsan: | deps-test
	@RUNNER="$$(setarch -R true 2>/dev/null && echo setarch -R)" $(MAKE) VARIANT=tsan check-variant IT_ARGS='-m "not slow and not soak"'

check-variant:
	@$(MAKE) all c-tests
	@rc=0; \
	tests/run_c.sh $(C_TESTS) || rc=1; \
	$(MAKE) check-it || rc=1; \
	exit $$rc

# The sample and the man page's options are printed by the program from its table of options.
check-generated: $(B)/pgsluice
	@if ! grep -qs -- print-sample proxy/main.c; then echo "generated files: not printed yet"; \
	else rc=0; \
	$(B)/pgsluice --print-sample | diff -u etc/pgsluice.ini - || rc=1; \
	$(B)/pgsluice --print-man-options | diff -u packaging/options.man - || rc=1; \
	[ $$rc = 0 ] && echo "generated files: current" || \
		echo "generated files differ: make generated" >&2; \
	exit $$rc; fi

.PHONY: generated
generated: $(B)/pgsluice
	$(Q)$(B)/pgsluice --print-sample >$(B)/sample && cp $(B)/sample etc/pgsluice.ini
	$(Q)$(B)/pgsluice --print-man-options >$(B)/options && cp $(B)/options packaging/options.man
	$(Q)sed -i -e '/^\.\\" BEGIN OPTIONS/,/^\.\\" END OPTIONS/{//!d}' \
		-e '/^\.\\" BEGIN OPTIONS/r packaging/options.man' packaging/pgsluice.ini.5

# IT_ARGS: more arguments for pytest, e.g. make check-it IT_ARGS='-k tls'
check-it: $(B)/pgsluice $(if $(wildcard tests/it/package.json),tests/it/node_modules) | deps-test
	@PGSLUICE=$(abspath $(B)/pgsluice) $(RUNNER) $(PYTEST) $(IT_ARGS) tests/it

soak:
	@$(MAKE) check-it IT_ARGS='-m soak'

tests/it/node_modules: tests/it/package.json | deps-test
	@echo "NPM $@"
	$(Q)cd tests/it && npm $(if $(wildcard tests/it/package-lock.json),ci,install) \
		--no-audit --no-fund --loglevel=error
	$(Q)touch $@

# New inputs are kept in build/; copy what is worth it to tests/fuzz/corpus.
fuzz: | deps-fuzz
	@$(MAKE) VARIANT=fuzz replays
	@rc=0; for f in $(notdir $(FUZZ:.c=)); do \
	echo "FUZZ $$f, $(FUZZ_SECONDS) s"; \
	mkdir -p build/fuzz/found/$$f tests/fuzz/corpus/$$f; \
	build/fuzz/tests/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix=build/fuzz/$$f- -print_final_stats=0 -verbosity=0 \
		build/fuzz/found/$$f tests/fuzz/corpus/$$f || \
		{ rc=1; echo "FUZZ $$f failed; its input is build/fuzz/$$f-*"; }; \
	done; exit $$rc

bench: all | deps-bench
	$(Q)PGSLUICE=$(abspath $(B)/pgsluice) $(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

# ---- looking at the code ---------------------------------------------------------------------

.PHONY: lint fmt compdb
lint: | deps-lint
	@tests/lint/lint.sh

fmt: | deps-lint
	$(Q)clang-format -i $$(tests/lint/lint.sh --list-c)

compdb: | deps-compdb deps-test
	$(Q)bear --output compile_commands.json -- $(MAKE) --always-make all c-tests

# ---- using it --------------------------------------------------------------------------------

.PHONY: run install clean help
run: all | deps-run
	@exec etc/run.sh $(B)/pgsluice

INSTALL := install -D
install: all
	$(INSTALL) -m 755 $(B)/pgsluice $(DESTDIR)$(PREFIX)/bin/pgsluice
	$(INSTALL) -m 644 packaging/pgsluice.1 $(DESTDIR)$(PREFIX)/share/man/man1/pgsluice.1
	$(INSTALL) -m 644 packaging/pgsluice.ini.5 $(DESTDIR)$(PREFIX)/share/man/man5/pgsluice.ini.5
	$(INSTALL) -m 644 etc/pgsluice.ini $(DESTDIR)$(PREFIX)/share/doc/pgsluice/pgsluice.ini
	$(INSTALL) -m 644 packaging/pgsluice.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/pgsluice.conf
	sed 's,@BINDIR@,$(PREFIX)/bin,' packaging/pgsluice.service >$(B)/pgsluice.service
	$(INSTALL) -m 644 $(B)/pgsluice.service $(DESTDIR)$(PREFIX)/lib/systemd/system/pgsluice.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/pgsluice/pgsluice.ini ] || $(INSTALL) -m 640 etc/pgsluice.ini \
		$(DESTDIR)$(SYSCONFDIR)/pgsluice/pgsluice.ini

clean:
	rm -rf build compile_commands.json

help:
	@echo "make               build/pgsluice, hardened; CI=1 makes warnings errors"
	@echo "make test          unit, scenario, corpus replay, generated files, integration"
	@echo "make check-it      integration only; IT_ARGS='-k name' chooses"
	@echo "make check-asan    unit, scenario, integration with ASan and UBSan"
	@echo "make check-tsan    unit, scenario, quick integration with TSan"
	@echo "make soak          the long integration tests"
	@echo "make fuzz          libFuzzer on every codec, FUZZ_SECONDS=$(FUZZ_SECONDS) each"
	@echo "make bench         latency and throughput beside PgBouncer and HAProxy; BENCH_ARGS"
	@echo "make run           try it: throw-away PostgreSQL (or PGHOST, DATABASE_URL) + pgsluice"
	@echo "make lint | fmt    rules of HACKING.md | clang-format"
	@echo "make generated     write etc/pgsluice.ini and packaging/options.man anew"
	@echo "make compdb        compile_commands.json"
	@echo "make install       PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR="
	@echo "make clean"
