# dnsd: `make help` lists the targets. V=1 shows the commands.
SHELL := /bin/bash
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
PREFIX ?= /usr/local
VERSION := 0.1.0

OPT ?= -O2 -g
WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Werror
DEFS := -D_GNU_SOURCE -DDNSD_VERSION='"$(VERSION)"'
INC := -Idnsd -Itools -I.
CFLAGS_ALL = -std=c11 $(OPT) $(WARN) $(DEFS) $(INC) -fno-common -fstack-protector-strong -MMD -MP $(SAN) $(CFLAGS)
LDFLAGS_ALL = $(SAN) $(LDFLAGS)
ifneq ($(V),1)
Q := @
endif
# Targets that compile before they do something else use all cores for it, unless `make -jN` says otherwise.
COMPILE := $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# Four archives, split by who links them (docs/design.md).
CORE_SRC  := $(wildcard dnsd/base/*.c dnsd/wire/*.c dnsd/answer/*.c dnsd/snap/*.c)
LOAD_SRC  := $(wildcard zones/*.c zones/pool/*.c geo/*.c dnsd/conf/*.c dnsd/load/*.c dnsd/inspect/*.c dnsd/tls/*.c)
SERVE_SRC := $(wildcard dnsd/loop/*.c dnsd/ctl/*.c dnsd/net/*.c dnsd/worker/*.c dnsd/metrics/*.c dnsd/sandbox/*.c dnsd/service/*.c dnsd/server/*.c)
MON_SRC   := $(filter-out %/main.c,$(wildcard tools/mirrormon/*.c))
LOAD_LIBS  := -lldns -lmaxminddb -lconfig -ljansson -lsodium -lssl -lcrypto
SERVE_LIBS := -luv -lmicrohttpd -lseccomp -lpthread
MON_LIBS   := -lcurl -lsqlite3 -lz -lm

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBS := $(BUILD)/libdnsserve.a $(BUILD)/libdnsload.a $(BUILD)/libdnscore.a
MON_ALL := $(BUILD)/libmirrormon.a $(LIBS)
PROGRAMS := $(addprefix $(BUILD)/bin/,dnsd dnsdctl dnsd-geodb mirrormon)
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/*_test.c)))
REPLAY := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/replay_%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
SOURCES := $(sort $(wildcard dnsd/*.c dnsd/*/*.[ch] zones/*.[ch] zones/*/*.[ch] geo/*.[ch] tools/*/*.[ch] tests/*/*.[ch] tests/unit/*/*.[ch]))

# The map of the status site is drawn where `make map` or `make test` has installed what draws it. Nothing else needs node.
MAP_FOLDER := scripts/worldmap
WORLD := $(shell cmp -s $(MAP_FOLDER)/package.json $(MAP_FOLDER)/node_modules/.installed.json && command -v node >/dev/null && \
	echo $(BUILD)/world.tsv)

.PHONY: all
all: $(PROGRAMS) $(WORLD) ## build the programs into build/bin

.PHONY: run
run: setup-run ## set up, build, and serve the example zone on 127.0.0.1:5300
	+@$(COMPILE) all
	@scripts/geodb.sh var/geo $(BUILD)/bin/dnsd-geodb
	@scripts/run.sh $(BUILD)/bin/dnsd

.PHONY: test test-long
test: setup-test ## set up, build and run every test, most with sanitizers too: what CI runs
	+@$(COMPILE) all unit
	+@$(COMPILE) BUILD=$(BUILD)-asan SAN="$(ASAN)" OPT="-O1 -g1" all unit replay
	@scripts/test.sh $(BUILD) $(BUILD)-asan

test-long: export TESTS := long
test-long: test ## the same with more of everything: questions, kills, mirrors

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

.PHONY: check
check: setup-test ## the quick tests only: unit tests and the replay of the fuzz corpora
	+@$(COMPILE) all unit replay
	@scripts/test.sh --quick $(BUILD)

.PHONY: asan
asan: setup-test ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	+@$(COMPILE) BUILD=$(BUILD)-asan SAN="$(ASAN)" OPT="-O1 -g1" all unit replay
	@scripts/test.sh --all-asan $(BUILD)-asan

.PHONY: unit replay
unit: $(UNIT) $(BUILD)/tests/bench/instructions
replay: $(REPLAY)

.PHONY: fuzz
TIME ?= 600
ENGINE ?= libfuzzer
fuzz: setup-test ## fuzzing, TIME processor seconds in all (default 600), ENGINE=libfuzzer or afl, TARGETS="query conf"
	@scripts/fuzz.sh $(ENGINE) $(TIME) "$(MON_LIBS) $(LOAD_LIBS) $(SERVE_LIBS)" $(TARGETS)

.PHONY: cov
cov: setup-test ## line coverage of unit tests, fuzz corpora and network tests, by folder; what the packet code lacks
	+@$(COMPILE) CC=gcc BUILD=$(BUILD)-cov OPT="-O0 -g" CFLAGS=-w SAN="--coverage -fprofile-update=atomic" all unit replay
	@scripts/cov.sh $(BUILD)-cov

.PHONY: bench bench-quick
BENCHES := $(addprefix $(BUILD)/tests/bench/,echo flood load tcp_new geo_bench)
bench: setup-test ## dnsd against gdnsd, Knot, NSD and the limit of the kernel's sockets, in six minutes; a quiet machine with two cores
	+@$(COMPILE) all $(BENCHES)
	@scripts/geodb.sh var/geo $(BUILD)/bin/dnsd-geodb
	@scripts/peers.sh var/peers
	@scripts/bench_site.py var/bench --geodb $(BUILD)/bin/dnsd-geodb
	@scripts/bench.sh $(BUILD)
	@$(BUILD)/tests/bench/geo_bench var/geo/country.mmdb
	@$(BUILD)/tests/bench/geo_bench var/bench/country.mmdb 10000000

bench-quick: setup-test ## dnsd against the limit only, in five seconds
	+@$(COMPILE) all $(BENCHES)
	@scripts/bench_site.py var/bench --geodb $(BUILD)/bin/dnsd-geodb
	@scripts/bench.sh --quick $(BUILD)

.PHONY: bench-growth bench-scaling bench-changes bench-reloads bench-geo soak
SOAK_TIME ?= 3600
bench-growth: ## start, memory and the cost of an answer by the number of mirrors and of records
bench-scaling: ## two workers against one
bench-changes: ## a saturated server under 1,000 feeds and 100 reloads
bench-reloads: ## 1,000 reloads at half of what the server can do
bench-geo: ## from a new geo database to its use
soak: ## four fifths of what can be asked for SOAK_TIME seconds (default 3600), with feeds and reloads
bench-growth bench-scaling bench-changes bench-reloads bench-geo soak: setup-test
	+@$(COMPILE) all $(BENCHES)
	@scripts/geodb.sh var/geo $(BUILD)/bin/dnsd-geodb
	@BUILD=$(BUILD) scripts/bench_more.py $(@:bench-%=%) $(if $(filter soak,$@),$(SOAK_TIME))

.PHONY: lint
lint: setup-test ## formatting, clang-tidy, folder arrows, a build with gcc and with clang without a warning
	@scripts/lint.sh $(SOURCES)
	+@$(COMPILE) CC=gcc BUILD=$(BUILD)-gcc all unit replay
	+@$(COMPILE) CC=clang BUILD=$(BUILD)-clang all unit replay
	@echo "lint: clean"

.PHONY: fmt
fmt: ## format the sources in place
	clang-format -i $(SOURCES)

.PHONY: setup setup-run setup-test
setup: ## install what building needs (Debian packages)
	@scripts/setup.sh build
setup-run:
	@scripts/setup.sh run
setup-test:
	@scripts/setup.sh test

.PHONY: map
map: ## set up node packages, and draw the world map of the status site
	@scripts/setup.sh map
	@$(MAKE) --no-print-directory $(BUILD)/world.tsv

.PHONY: geodb
geodb: all ## rebuild the country database from a fresh download
	@scripts/geodb.sh --refresh var/geo $(BUILD)/bin/dnsd-geodb

.PHONY: install
install: all ## install programs, examples and the map if there is one below PREFIX (/usr/local); honours DESTDIR
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/dnsd/examples
	install -m 755 $(BUILD)/bin/dnsd $(BUILD)/bin/mirrormon $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/bin/dnsdctl $(BUILD)/bin/dnsd-geodb $(DESTDIR)$(PREFIX)/bin/
	cp -r contrib/clamav.net contrib/prometheus $(DESTDIR)$(PREFIX)/share/doc/dnsd/examples/
	install -m 644 docs/*.md docs/*.svg $(DESTDIR)$(PREFIX)/share/doc/dnsd/
	install -d $(DESTDIR)$(PREFIX)/lib/nagios/plugins
	install -m 755 contrib/nagios/check_dnsd_fleet $(DESTDIR)$(PREFIX)/lib/nagios/plugins/
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 644 contrib/bash-completion/dnsdctl $(DESTDIR)$(PREFIX)/share/bash-completion/completions/
	install -d $(DESTDIR)$(PREFIX)/share/dnsd
	@if [ -f $(BUILD)/world.tsv ]; then \
		(set -x; install -m 644 $(BUILD)/world.tsv $(DESTDIR)$(PREFIX)/share/dnsd/); \
	else \
		echo "no world map: the status site goes without; to have one, make map"; \
	fi
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	install -m 644 contrib/dnsd.service contrib/dnsd.socket contrib/mirrormon.service $(DESTDIR)$(PREFIX)/lib/systemd/system/
	sed -i 's,/usr/local,$(PREFIX),g' $(DESTDIR)$(PREFIX)/lib/systemd/system/{dnsd,mirrormon}.service
	install -m 644 contrib/sysusers.d/dnsd.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/
	install -m 644 contrib/tmpfiles.d/dnsd.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/

.PHONY: help
help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: clean
clean: ## remove what was built; var/ with geo data, and the packages that draw the map, stay
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-gcc $(BUILD)-clang $(BUILD)-fuzz $(BUILD)-afl $(BUILD)-cov

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@[ "$(V)" = 1 ] || echo "  CC   $<"
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/libdnscore.a: $(call obj,$(CORE_SRC))
$(BUILD)/libdnsload.a: $(call obj,$(LOAD_SRC))
$(BUILD)/libdnsserve.a: $(call obj,$(SERVE_SRC))
$(BUILD)/libmirrormon.a: $(call obj,$(MON_SRC))
$(BUILD)/%.a:
	@rm -f $@
	$(Q)ar rcs $@ $^

link = @mkdir -p $(@D); [ "$(V)" = 1 ] || echo "  LD   $@"; $(CC) $(LDFLAGS_ALL) -o $@ $^

$(BUILD)/bin/dnsd: $(call obj,dnsd/main.c) $(LIBS)
	$(link) $(LOAD_LIBS) $(SERVE_LIBS)
$(BUILD)/bin/dnsdctl: $(call obj,$(wildcard tools/dnsdctl/*.c)) $(BUILD)/libdnsload.a $(BUILD)/libdnscore.a
	$(link) $(LOAD_LIBS)
$(BUILD)/bin/dnsd-geodb: $(call obj,$(wildcard tools/geodb/*.c)) $(BUILD)/libdnscore.a
	$(link)

$(BUILD)/world.tsv: scripts/worldmap.mjs $(MAP_FOLDER)/package.json
	@mkdir -p $(@D)
	@[ "$(V)" = 1 ] || echo "  MAP  $@"
	$(Q)node scripts/worldmap.mjs $@

$(BUILD)/bin/mirrormon: $(call obj,tools/mirrormon/main.c) $(MON_ALL)
	$(link) $(MON_LIBS) $(LOAD_LIBS) $(SERVE_LIBS)

# Helpers of the unit tests are linked to each: the geodb writer, for databases of their own, among them.
TEST_OBJ := $(call obj,tools/geodb/mmdb_writer.c $(wildcard tests/unit/support/*.c))
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(TEST_OBJ) $(MON_ALL)
	$(link) -lcmocka $(MON_LIBS) $(LOAD_LIBS) $(SERVE_LIBS)

# With memory that runs out when the test wants it.
WRAPPED := malloc calloc realloc aligned_alloc strdup asprintf vasprintf
MEMORY_TESTS := $(filter %memory_test,$(UNIT))
$(MEMORY_TESTS): LDFLAGS += $(WRAPPED:%=-Wl,--wrap=%)
$(MEMORY_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/unit/failing/failing.o $(TEST_OBJ) $(MON_ALL)
	$(link) -lcmocka $(MON_LIBS) $(LOAD_LIBS) $(SERVE_LIBS)

# A fuzz target with a main() that replays files: no fuzzer needed.
$(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/%.o $(call obj,tests/fuzz/replay.c) $(TEST_OBJ) $(MON_ALL)
	$(link) -lcmocka $(MON_LIBS) $(LOAD_LIBS) $(SERVE_LIBS)

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/tests/bench/queries.o $(BUILD)/libdnsload.a $(BUILD)/libdnscore.a
	$(link) $(LOAD_LIBS)

# Answers from the zone of the unit tests.
$(BUILD)/tests/bench/instructions: $(BUILD)/tests/bench/instructions.o $(TEST_OBJ) $(MON_ALL)
	$(link) -lcmocka $(MON_LIBS) $(LOAD_LIBS) $(SERVE_LIBS)

# Keep the objects that only pattern rules mention.
.SECONDARY:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
