# MBUS. `make run` sets everything up and starts it; `make test` sets everything up and tests it; `make help` lists the rest.
#
# BUILD=DIR    where objects and programs go          SAN=address,undefined | thread   sanitizers (own build folder)
# STATE=DIR    where `make run` keeps its state       PORT_OFFSET=N                    shifts every port of `make run`
# V=1          shows the commands

SHELL      := /bin/bash
CC         ?= gcc
ifeq ($(origin CC),default)
CC         := gcc
endif
SAN        ?=
comma      := ,
BUILD      ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(filter clang%,$(CC)),-clang)
STATE      ?= .state
PORT_OFFSET ?= 0
VERSION    := 0.1.0
Q          := $(if $(V),,@)

PKGS       := libssl libcrypto libcurl jansson libwebsockets sqlite3
WARN       := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith -Wundef -Wformat=2 $(if $(WERROR),-Werror)
HARDEN     := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero
STRICT     := -fno-strict-aliasing -fno-delete-null-pointer-checks -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion \
              -Werror=format-security
# The hot path crosses files: link-time optimisation of the programs is 11-14 % of the CPU of a message. Objects carry code for both kinds of
# linking, so that unit tests, linked by the dozen, go without (NO_LTO: gcc would do it unasked, 5 s each). Sanitizers and clang go without too.
LTO        := $(if $(SAN)$(filter clang%,$(CC)),,-flto=auto)
NO_LTO     := $(if $(LTO),-fno-lto)
CFLAGS_ALL := $(if $(LTO),$(LTO) -ffat-lto-objects) -std=gnu11 -g -O2 -fPIE -pthread -I. -D_GNU_SOURCE -DMBUS_VERSION='"$(VERSION)"' $(WARN) $(STRICT) \
              $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer,$(HARDEN)) \
              $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LDFLAGS_ALL := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
LIBS_URCU  := -lurcu-qsbr -lurcu-cds -lurcu-common
LIBS_BASE  := -lcrypto -ljansson $(LIBS_URCU) -lm

src         = $(sort $(wildcard $(1)/*.c))
obj         = $(patsubst %.c,$(BUILD)/%.o,$(1))
BASE_O     := $(call obj,$(call src,base) $(call src,wire) $(call src,acl))
CORE_O     := $(call obj,$(filter-out core/main.c,$(call src,core)))
PROXY_O    := $(call obj,$(filter-out proxy/main.c,$(call src,proxy)))
ADMIN_O    := $(call obj,$(filter-out admin/main.c,$(call src,admin)))
CTL_O      := $(call obj,$(call src,admin/ctl))
KIT_O      := $(call obj,$(call src,tests/kit))
BENCH_O    := $(call obj,$(call src,tests/bench))
UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(call src,tests/unit))
FUZZ       := $(patsubst tests/fuzz/%.c,%,$(call src,tests/fuzz))
PROGRAMS   := $(addprefix $(BUILD)/,mbus-core mbus-proxy mbus-admin mbusctl)

.PHONY: all programs help run test unit flow attack lint fuzz bench clean deps deps-test bench-tool unit-programs fuzz-programs flow-programs
.SECONDARY:
all: programs

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18
	@sed -n '3,5s/^# /  /p' Makefile

run: ## install what is missing, build, start mbus-core, mbus-admin and mbus-proxy on embedded defaults
	@scripts/deps run
	@$(MAKE) --no-print-directory -j$$(nproc) programs
	@exec scripts/stack --build "$(BUILD)" --state "$(STATE)" --port-offset "$(PORT_OFFSET)"

test: ## install what the tests need, build, run unit, flow and attack tests
	@scripts/deps test
	@$(MAKE) --no-print-directory -j$$(nproc) programs unit-programs fuzz-programs-replay bench-tool flow-programs
	@scripts/test --build "$(BUILD)" $(if $(SAN),--san "$(SAN)")

programs: $(PROGRAMS)
unit-programs: $(UNIT)
flow-programs: $(BUILD)/tests/paho-client
bench-tool: $(if $(BENCH_O),$(BUILD)/mbus-bench)

$(BUILD)/mbus-core: $(BUILD)/core/main.o $(CORE_O) $(BASE_O)
$(BUILD)/mbus-proxy: $(BUILD)/proxy/main.o $(PROXY_O) $(BASE_O)
$(BUILD)/mbus-admin: $(BUILD)/admin/main.o $(ADMIN_O) $(BASE_O)
$(BUILD)/mbusctl: $(CTL_O) $(BASE_O)
$(BUILD)/mbus-bench: $(BENCH_O) $(BASE_O)
$(BUILD)/mbus-core: LIBS = $(LIBS_BASE)
$(BUILD)/mbus-bench: LIBS = -lssl -lm $(LIBS_BASE)
$(BUILD)/mbus-proxy: LIBS = -lssl -lcurl $(LIBS_BASE)
$(BUILD)/mbus-admin: LIBS = -lwebsockets -lsqlite3 -lssl $(LIBS_BASE)
$(BUILD)/mbusctl: LIBS = -lcurl $(LIBS_BASE)
$(PROGRAMS) $(BUILD)/mbus-bench:
	@echo "  LD    $@"
	$(Q)$(CC) $(if $(LTO),$(filter-out $(WARN),$(CFLAGS_ALL))) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBS)

# A client that nobody here wrote, driven by the flow tests: no code of ours, so no sanitizer's either.
$(BUILD)/tests/paho-client: tests/flow/paho_client.c
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) -o $@ $< -lpaho-mqtt3as -ljansson

# What has no customers: its own code is compiled in half the time with -O1 (the code under test is what the programs have), and linked by gold, where
# binutils brings it, in half of ld's.
TEST_LD    := $(if $(shell command -v ld.gold),-fuse-ld=gold)
$(BUILD)/tests/unit/%.o: CFLAGS_ALL += $(NO_LTO) -O1
# A unit test links its own room, and the rooms below: tests/unit/core_*.c gets core/, and so on.
unit_room   = $(if $(filter core_%,$(1)),$(CORE_O),$(if $(filter proxy_%,$(1)),$(PROXY_O),$(if $(filter admin_%,$(1)),$(ADMIN_O))))
unit_libs   = $(if $(filter proxy_%,$(1)),-lssl -lcurl,$(if $(filter admin_%,$(1)),-lwebsockets -lsqlite3 -lssl))
.SECONDEXPANSION:
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(KIT_O) $$(call unit_room,$$*) $(BASE_O)
	@echo "  LD    $@"
	$(Q)$(CC) $(NO_LTO) $(TEST_LD) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -lcmocka $(call unit_libs,$*) $(LIBS_BASE)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# ---- Fuzzing: the same sources, built by clang with libFuzzer; in `make test` the corpora are replayed by the plain compiler ----
FUZZ_BUILD  := build-fuzz
FUZZ_SRC    := $(call src,base) $(call src,wire) $(call src,acl) $(filter-out proxy/main.c,$(call src,proxy)) $(filter-out admin/main.c,$(call src,admin))
FUZZ_FLAGS  := -std=gnu11 -g -O1 -pthread -I. -D_GNU_SOURCE -DMBUS_VERSION='"$(VERSION)"' -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_O      := $(patsubst %.c,$(FUZZ_BUILD)/%.o,$(FUZZ_SRC))
# core_*.c of tests/fuzz gets the core: an archive of its own, for core and proxy have names in common, and are never in one program.
fuzz_core    = $(if $(filter core_%,$(1)),$(2))
FUZZ_CORE_O := $(patsubst %.c,$(FUZZ_BUILD)/%.o,$(filter-out core/main.c,$(call src,core)))
FUZZ_LIBS   := -lssl -lcurl -lwebsockets -lsqlite3 $(LIBS_BASE)
$(FUZZ_BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(shell pkg-config --cflags $(PKGS) 2>/dev/null) -MMD -MP -c -o $@ $<
$(FUZZ_BUILD)/libfuzzed.a: $(FUZZ_O)
	$(Q)rm -f $@; ar rcs $@ $^
$(FUZZ_BUILD)/libcore.a: $(FUZZ_CORE_O)
	$(Q)rm -f $@; ar rcs $@ $^
$(FUZZ_BUILD)/fuzz-%: $(FUZZ_BUILD)/tests/fuzz/%.o $$(call fuzz_core,$$*,$(FUZZ_BUILD)/libcore.a) $(FUZZ_BUILD)/libfuzzed.a
	@echo "  LD    $@"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(FUZZ_LIBS)
fuzz-programs: $(addprefix $(FUZZ_BUILD)/fuzz-,$(FUZZ))

$(BUILD)/replay.a: $(BASE_O) $(PROXY_O) $(ADMIN_O)
	$(Q)rm -f $@; ar rcs $@ $^
$(BUILD)/replay-core.a: $(CORE_O)
	$(Q)rm -f $@; ar rcs $@ $^
$(BUILD)/tests/replay-%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/kit/replay/replay.o $$(call fuzz_core,$$*,$(BUILD)/replay-core.a) $(BUILD)/replay.a
	@echo "  LD    $@"
	$(Q)$(CC) $(NO_LTO) $(TEST_LD) $(LDFLAGS_ALL) -o $@ $^ $(FUZZ_LIBS)
.PHONY: fuzz-programs-replay
fuzz-programs-replay: $(addprefix $(BUILD)/tests/replay-,$(FUZZ))

fuzz: ## every fuzz target for FUZZ_SECONDS (60) each
	@scripts/deps test
	@$(MAKE) --no-print-directory -j$$(nproc) fuzz-programs
	@scripts/fuzz $(FUZZ_BUILD) $(FUZZ)
	@$(MAKE) --no-print-directory SAN=address,undefined build-address-undefined/mbus-admin
	@/usr/bin/python3 tests/fuzz/admin_http.py --build build-address-undefined --seconds $${FUZZ_SECONDS:-60}

lint: ## format, static analysis, include directions
	@scripts/deps lint
	@scripts/lint

bench: ## load scenarios against mosquitto in the same run; writes docs/performance.md
	@scripts/deps bench
	@$(MAKE) --no-print-directory -j$$(nproc) programs bench-tool
	@tests/bench/run --build "$(BUILD)" $(BENCH_ARGS)
	@tests/bench/doors --build "$(BUILD)" $(DOORS_ARGS)
	@tests/bench/neighbours --build "$(BUILD)" $(NEIGHBOURS_ARGS)

deps: ## install what building and running need
	@scripts/deps run
clean: ## remove everything that was built (state is kept)
	$(Q)rm -rf build build-*

-include $(shell find $(BUILD) $(FUZZ_BUILD) -name '*.d' 2>/dev/null)
