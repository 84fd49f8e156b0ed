# dnsd: `make help` lists the targets. V=1 shows the commands.
SHELL := /bin/bash
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
PREFIX ?= /usr/local
OPT ?= -O2 -g
WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Werror
DEFS := -D_GNU_SOURCE -DDNSD_VERSION='"$(VERSION)"'
VERSION := 0.1.0
INC := -Idnsd -I.
CFLAGS_ALL = -std=c11 $(OPT) $(WARN) $(DEFS) $(INC) -fno-common -fstack-protector-strong -MMD -MP $(SAN) $(CFLAGS)
LDFLAGS_ALL = $(SAN) $(LDFLAGS)
ifneq ($(V),1)
Q := @
endif

# Three archives, split by who links them (docs/design.md).
CORE_SRC  := $(wildcard dnsd/base/*.c dnsd/wire/*.c dnsd/answer/*.c dnsd/snap/*.c)
LOAD_SRC  := $(wildcard zones/*.c zones/pool/*.c geo/*.c dnsd/conf/*.c dnsd/load/*.c)
SERVE_SRC := $(wildcard dnsd/net/*.c dnsd/worker/*.c dnsd/server/*.c)
LOAD_LIBS  := -lldns -lmaxminddb -lconfig -lcrypto
SERVE_LIBS := -luv -lpthread

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBS := $(BUILD)/libdnsserve.a $(BUILD)/libdnsload.a $(BUILD)/libdnscore.a
PROGRAMS := $(BUILD)/bin/dnsd $(BUILD)/bin/dnsdctl $(BUILD)/bin/dnsd-geodb
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*_test.c))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all
all: $(PROGRAMS) ## build the programs into build/bin

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@[ "$(V)" = 1 ] || echo "  CC   $<"
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/libdnscore.a: $(call obj,$(CORE_SRC))
$(BUILD)/libdnsload.a: $(call obj,$(LOAD_SRC))
$(BUILD)/libdnsserve.a: $(call obj,$(SERVE_SRC))
$(BUILD)/%.a:
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/bin/dnsd: $(call obj,dnsd/main.c) $(LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LOAD_LIBS) $(SERVE_LIBS)
$(BUILD)/bin/dnsdctl: $(call obj,$(wildcard tools/dnsdctl/*.c)) $(LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LOAD_LIBS) $(SERVE_LIBS)
$(BUILD)/bin/dnsd-geodb: $(call obj,$(wildcard tools/geodb/*.c)) $(LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LOAD_LIBS)

# A unit test may use the geodb writer, to make its own databases.
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tools/geodb/mmdb_writer.o $(LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LOAD_LIBS) $(SERVE_LIBS)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

.PHONY: clean
clean: ## remove what was built (var/, with the downloaded and built geo data, stays)
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
