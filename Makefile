# switchtap. `make demo` and `make check` install what is missing, build, and run.

ifeq ($(origin CC),default)
CC       := gcc
endif
BUILD    ?= build
PROGRAM  ?= switchtap
VERSION  := 0.1.0

PACKAGES := libpcap libndpi sqlite3 zlib libxxhash libcrypto libnghttp2 libseccomp libcap-ng
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wcast-align -Wformat=2 -fno-common -Werror
OPTIMISE ?= -O2 -g
HARDEN   ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
HARDEN_LD ?= -pie -Wl,-z,relro,-z,now
CPPFLAGS += -D_GNU_SOURCE -DSWITCHTAP_VERSION='"$(VERSION)"'
CFLAGS   += -std=c11 $(WARNINGS) $(OPTIMISE) $(HARDEN) $(SANITIZE)
LDFLAGS  += $(HARDEN_LD) $(SANITIZE)

# pkg-config is asked when a rule needs it, not before `make deps` could install it; the headers of
# packages are system headers, so that our warnings stay ours.
PACKAGE_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) | sed 's/-I/-isystem /g')
PACKAGE_LIBS   = $(shell pkg-config --libs $(PACKAGES)) -lpthread -lm

SOURCES := $(wildcard analyzer/*.c dissectors/*.c schema/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/schema_sql.o
LIBRARY := $(filter-out $(BUILD)/analyzer/main.o,$(OBJECTS))
SQL     := $(wildcard schema/*.sql schema/queries/*.sql)

UNITS        := $(wildcard tests/unit/test_*.c)
UNIT_HELPERS := $(filter-out $(UNITS),$(wildcard tests/unit/*.c))
UNIT_OBJECTS := $(UNITS:%.c=$(BUILD)/%.o) $(UNIT_HELPERS:%.c=$(BUILD)/%.o) $(BUILD)/suites.o

FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
FUZZ_WRAPS   := malloc calloc realloc strdup strndup registry_successor
FUZZ_LD      := $(FUZZ_WRAPS:%=-Wl,--wrap=%)

.PHONY: all deps demo check check-quick check-deps check-style \
        check-limits bench bench-check bench-live soak fuzz fuzz-long fuzz-cover clean

all: $(PROGRAM)

$(PROGRAM): $(OBJECTS)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(PACKAGE_LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(PACKAGE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/schema_sql.c: schema/embed.sh $(SQL)
	@mkdir -p $(@D)
	sh schema/embed.sh > $@.new && mv $@.new $@

$(BUILD)/%.o: $(BUILD)/%.c
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -Ianalyzer -Itests/unit $(PACKAGE_CFLAGS) -MMD -MP -c -o $@ $<

# --- what is needed and missing, from the distribution's packages ---

deps:
	@sh tests/deps.sh

demo: deps
	@$(MAKE) --no-print-directory all
	@sh tests/demo.sh

# --- tests ---

$(BUILD)/suites.c: $(UNITS) tests/suites.sh
	@mkdir -p $(@D)
	sh tests/suites.sh $(UNITS) > $@

$(BUILD)/unit: $(LIBRARY) $(UNIT_OBJECTS)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(PACKAGE_LIBS) $$(pkg-config --libs check)

# The fuzz targets without libFuzzer, to run them over files.
$(BUILD)/replay: $(LIBRARY) $(FUZZ_OBJECTS) $(BUILD)/tests/fuzz/replay.o
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) $(FUZZ_LD) -o $@ $^ $(PACKAGE_LIBS)

# With it; made by tests/fuzz/fuzz.sh.
$(BUILD)/fuzzer: $(LIBRARY) $(FUZZ_OBJECTS)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer $(FUZZ_LD) -o $@ $^ $(PACKAGE_LIBS)

check: deps
	@$(MAKE) --no-print-directory check-quick

check-quick: all check-deps $(BUILD)/unit $(BUILD)/replay
	@BUILD=$(BUILD) PROGRAM=./$(PROGRAM) sh tests/check.sh

check-deps:
	@sh tests/check_deps.sh

check-style:
	@sh tests/check_style.sh

# --- measuring: BENCH_SCALE=0.1 and PROFILES="chat bulk" for a quick look ---

BENCH_TOOLS := $(BUILD)/bench/generate $(BUILD)/bench/bare_pcap $(BUILD)/bench/bare_sqlite

$(BUILD)/bench/generate: $(BUILD)/tests/bench/generate.o $(BUILD)/tests/bench/seal.o
$(BUILD)/bench/bare_pcap: $(BUILD)/tests/bench/bare_pcap.o
$(BUILD)/bench/bare_sqlite: $(BUILD)/tests/bench/bare_sqlite.o $(LIBRARY)
$(BENCH_TOOLS):
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(PACKAGE_LIBS)

bench: deps
	@$(MAKE) --no-print-directory all $(BENCH_TOOLS)
	@BUILD=$(BUILD) sh tests/bench/bench.sh $(PROFILES)

# Instructions, by callgrind; UPDATE=--update writes them down.
bench-check: all $(BENCH_TOOLS)
	@CC=$(CC) python3 tests/bench/instructions.py $(BUILD) ./$(PROGRAM) $(UPDATE) $(PROFILES)

# Live, over a veth pair, beside tcpdump (root; tcpreplay, tcpdump).
bench-live: all $(BENCH_TOOLS)
	@python3 tests/bench/live.py $(BUILD)/bench/generate ./$(PROGRAM)

# What takes too long for every day: a hundred kills, millions of packets, instructions counted.
check-limits: all
	python3 tests/robust.py --long
	python3 tests/limits.py

# Ten minutes of live capture under a steady load.
soak: all
	python3 tests/soak.py

fuzz:
	@BUILD=$(BUILD) sh tests/fuzz/fuzz.sh

fuzz-long:
	@BUILD=$(BUILD) FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} sh tests/fuzz/fuzz.sh

fuzz-cover:
	@BUILD=$(BUILD) sh tests/fuzz/cover.sh

clean:
	rm -rf $(BUILD) $(PROGRAM)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
