# Stoker: one Makefile; folders are wildcards, one archive per floor.
#   make            build everything into build/
#   make run        a private instance under ./var in the foreground (PORT=9000 make run for another port)
#   make up, down, status    the same in the background
#   make deps       install what a fresh Debian 12 lacks (root)
#   make check      every test;  make check-asan  the same under ASan and UBSan
#   make check-wire the part of it that is about IronWorker's API, with its time
#   make fuzz       a million inputs, or ten minutes, for each parser of foreign bytes
#   make mutants    takes each wall of the product out of a copy: somebody must notice
#   make storm      all failing calls, a minute of overload, ten of faults over a thousand schedules, twenty large storms over whole instances
#   make lint       floors, rooms, calls we do not use, warnings of the static checkers
#   make oracle     cron expressions and time zones against other hands
#   make bench      ratios against physical limits and peers, side by side

.DEFAULT_GOAL := all
O        ?= build
ifeq ($(origin CC),default)
CC       := gcc
endif
PREFIX   ?= /usr/local
VERSION  := $(shell sed -n 's/^\#define STOKER_VERSION "\(.*\)"/\1/p' lib/base/version.h)
VAR      ?= $(CURDIR)/var
PORT     ?= 8080
export VAR PORT O

# --- flags -------------------------------------------------------------------------------------
PKGS     := jansson libxml-2.0 libcurl libcrypto zlib libutf8proc inih libzip
CPPFLAGS += -D_GNU_SOURCE -Ilib -I. -MMD -MP $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(shell mariadb_config --include 2>/dev/null)
WARN     := -std=gnu17 -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 \
            -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN   := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
            -fcf-protection=full -ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks \
            -fno-strict-overflow -fno-strict-aliasing
ifneq ($(findstring clang,$(CC)),)
# clang 14 wants to hear that it is known to be an experiment; gcc does not know the flag
HARDEN += -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang
endif
# a test build, whose named points can kill it (lib/base/fault_point.h): make FAULTS=1 O=build-faults
ifneq ($(FAULTS),)
FAULT_FLAGS := -DSTOKER_FAULT_POINTS='"/var/opt/points"'
CPPFLAGS += $(FAULT_FLAGS)
# the system calls of the worker's programs that can be made to fail (tests/faults/nth_call.c)
NTH_CALLS := open openat write pwrite fsync ftruncate rename renameat mkdir mkdirat fork socket socketpair pipe2 memfd_create \
             eventfd epoll_ctl send sendto sendmsg pthread_create
NTH_CALL_C := tests/faults/nth_call.c
NTH_CALL_O := $O/tests/faults/nth_call.o
WRAP      := $(NTH_CALLS:%=-Wl,--wrap=%)
endif
SANITIZE ?=
ifeq ($(SANITIZE),)
CFLAGS   ?= -O2 -g
ALLFLAGS  = $(WARN) $(CFLAGS) $(HARDEN) -fPIE -pthread
LDALL     = $(LDFLAGS) -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed
else
CFLAGS   ?= -O1 -g -fno-omit-frame-pointer
ALLFLAGS  = $(WARN) $(CFLAGS) -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -pthread
LDALL     = $(LDFLAGS) -fsanitize=$(SANITIZE) -pthread
endif
LIBS_BASE  := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm
LIBS_STORE := $(shell mariadb_config --libs 2>/dev/null)
LIBS_TLS   := $(shell pkg-config --libs libssl 2>/dev/null)
# the privileged half and what runs beside a job link as little as they can
LIBS_UNPACK := $(shell pkg-config --libs libzip libcrypto zlib libutf8proc 2>/dev/null)
LIBS_LAUNCHER := $(shell pkg-config --libs jansson libseccomp libcrypto zlib libutf8proc 2>/dev/null)

objs  = $(patsubst %.c,$O/%.o,$(wildcard $(addsuffix /*.c,$(1))))
tests = $(patsubst %.c,$O/%,$(wildcard tests/$(1)/test_*.c))

BASE_A  := $O/base.a
MODEL_A := $O/model.a
STORE_A := $O/store.a
BINS    := $(addprefix $O/bin/,stoker-api stoker-tail stoker-worker stoker-launcher stoker-monitor stoker-init stoker-unpack stoker-layers stoker)

.PHONY: all
all: $(BINS)

$(BASE_A):  $(call objs,lib/base)
$(MODEL_A): $(call objs,lib/model)
$(STORE_A): $(call objs,lib/store)
$O/%.a:
	@rm -f $@ && $(AR) rcs $@ $^

$O/%.o: %.c
	@mkdir -p $(@D); echo "cc $<"; $(CC) $(CPPFLAGS) $(ALLFLAGS) -c $< -o $@

# who adds a route says in the authorisation matrix who may ask for it: without, nothing is built
$O/fcgi/routes.o: $O/fcgi/routes.lawful
$O/fcgi/routes.lawful: tests/fcgi/test_matrix.c fcgi/routes.c tests/fcgi/matrix.awk
	@mkdir -p $(@D); awk -f tests/fcgi/matrix.awk tests/fcgi/test_matrix.c fcgi/routes.c && touch $@

LINK = @mkdir -p $(@D); echo "link $@"; $(CC) $(ALLFLAGS) $^ -o $@ $(LDALL)

# --- programs: they never include each other and meet only in tables -------------------------------
$O/bin/stoker-api: $(call objs,fcgi fcgi/api fcgi/page) $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) -lfcgi $(LIBS_STORE) $(LIBS_BASE)
$O/bin/stoker-tail: $(filter-out $(addprefix $O/fcgi/,main.o cgi.o fastcgi.o supervisor.o),$(call objs,fcgi fcgi/api fcgi/page fcgi/tail)) \
		$(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) $(LIBS_STORE) $(LIBS_BASE)
# The store of images (worker/image) is shared: the runner looks images up; `stoker image`, run by an
# operator, also imports them, so that libarchive is in no program that meets jobs or the network.
IMPORT_O := $(addprefix $O/worker/image/,image_import.o image_unpack.o layer_write.o)
$O/bin/stoker-worker: $(filter-out $(IMPORT_O),$(call objs,worker worker/runner worker/scheduler worker/courier worker/export worker/image worker/package worker/engine)) \
		$O/worker/monitor/exit_file.o $(NTH_CALL_O) $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) $(WRAP) $(LIBS_STORE) $(LIBS_TLS) $(LIBS_BASE)
$O/bin/stoker: $(call objs,cli cli/admin worker/image) $O/worker/launcher/userns.o $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) -larchive $(LIBS_STORE) $(LIBS_BASE)
$O/bin/stoker-launcher: $(call objs,worker/launcher) $(addprefix $O/worker/monitor/,cgroup.o engine_http.o exit_file.o) $(NTH_CALL_O) $(BASE_A)
	$(LINK) $(WRAP) $(LIBS_LAUNCHER)
$O/bin/stoker-layers: $(call objs,worker/layers) $(IMPORT_O) $(addprefix $O/worker/image/,image_store.o image_cache.o) \
		$O/worker/launcher/userns.o $(MODEL_A) $(BASE_A)
	$(LINK) -larchive $(LIBS_BASE)
$O/bin/stoker-unpack: $(call objs,worker/unpack) $(BASE_A)
	$(LINK) $(LIBS_UNPACK)

# static, and without the sanitizers' runtimes: they run where nothing of ours may be assumed
STATIC_FLAGS := $(FAULT_FLAGS) $(WARN) -O2 -g $(HARDEN) -fno-pie
INIT_C := $(wildcard worker/monitor/init*.c)
MONITOR_C := $(filter-out $(INIT_C),$(wildcard worker/monitor/*.c))
INIT_C += $(addprefix worker/monitor/,cgroup.c swarm_frame.c)
$O/bin/stoker-monitor: $(MONITOR_C) $(wildcard worker/monitor/*.h worker/launcher/launch_request.h) $(NTH_CALL_C)
	@mkdir -p $(@D); echo "link $@"; $(CC) -D_GNU_SOURCE -Ilib -I. $(STATIC_FLAGS) -static $(MONITOR_C) $(NTH_CALL_C) $(WRAP) -o $@
$O/bin/stoker-init: $(INIT_C) $(wildcard worker/monitor/*.h worker/launcher/launch_request.h)
	@mkdir -p $(@D); echo "link $@"; $(CC) -D_GNU_SOURCE -I. $(STATIC_FLAGS) -static $(INIT_C) -o $@

# --- tests --------------------------------------------------------------------------------------
SUPPORT_O := $(call objs,tests/support)
.SECONDARY:
$O/tests/unit/%: $O/tests/unit/%.o $(MODEL_A) $(BASE_A)
	$(LINK) -lcheck -lsubunit -lrt -lm $(LIBS_BASE)
$O/tests/store/%: $O/tests/store/%.o $(SUPPORT_O) $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) -lcheck -lsubunit -lrt -lm $(LIBS_STORE) $(LIBS_BASE)
$O/tests/fcgi/%: $O/tests/fcgi/%.o $(filter-out $O/fcgi/main.o $O/fcgi/tail/main.o,$(call objs,fcgi fcgi/api fcgi/page fcgi/tail)) $(SUPPORT_O) $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) -lfcgi -lcheck -lsubunit -lrt -lm $(LIBS_STORE) $(LIBS_BASE)
$O/tests/worker/%: $O/tests/worker/%.o $(filter-out $O/worker/main.o,$(call objs,worker worker/runner worker/scheduler worker/courier worker/export worker/image worker/package worker/engine)) $O/worker/monitor/exit_file.o $(addprefix $O/worker/monitor/,spool_write.o swarm_frame.o init_ring.o engine_json.o) $O/worker/launcher/userns.o $(SUPPORT_O) $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) -larchive -lcheck -lsubunit -lrt -lm $(LIBS_STORE) $(LIBS_TLS) $(LIBS_BASE)
# a hostile job, static as it must run in an image without anything
$O/tests/escape/hostile: $(wildcard tests/escape/*.[ch])
	@mkdir -p $(@D); echo "link $@"; $(CC) -D_GNU_SOURCE -I. $(STATIC_FLAGS) -static $(filter %.c,$^) -o $@
$O/tests/bench/%: $O/tests/bench/%.o $O/tests/bench/rounds.o $O/tests/support/throwaway_db.o $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) -lm $(LIBS_STORE) $(LIBS_BASE)

# --- what libFuzzer and the soak run: clang, with the sanitizers, in a folder of their own -------------
FUZZ_O := build-fuzz
FCGI_A := $O/fcgi.a
$(FCGI_A): $(filter-out $O/fcgi/main.o,$(call objs,fcgi fcgi/api fcgi/page))
$O/tests/fuzz/%: $O/tests/fuzz/%.o $(FCGI_A) $(STORE_A) $(MODEL_A) $(BASE_A)
	@mkdir -p $(@D); echo "link $@"; $(CC) $(ALLFLAGS) -fsanitize=fuzzer $^ -o $@ $(LDALL) -lfcgi $(LIBS_STORE) $(LIBS_BASE)
FUZZ_C := $(patsubst %.c,$O/%,$(wildcard tests/fuzz/fuzz_*.c))
.PHONY: fuzz fuzz-built fuzz-programs
fuzz-programs: $(FUZZ_C) $(addprefix $O/bin/,stoker-api stoker-tail stoker-worker stoker-launcher)
fuzz-built:
	@$(MAKE) --no-print-directory O=$(FUZZ_O) CC=clang SANITIZE=address,undefined,fuzzer-no-link fuzz-programs
fuzz:
	@conf/deps.sh build test && $(MAKE) --no-print-directory $(JOBS) fuzz-built && tests/fuzz/fuzz.sh

# test equipment: it stands in the place of crun (see there)
EVIDENCE := $O/tests/faults/evidence_runtime
$(EVIDENCE): tests/faults/evidence_runtime.c
	@mkdir -p $(@D); echo "link $@"; $(CC) -D_GNU_SOURCE $(STATIC_FLAGS) -static $< -o $@

GHOST := $O/tests/faults/ghost
$(GHOST): $O/tests/faults/ghost.o $(STORE_A) $(MODEL_A) $(BASE_A)
	$(LINK) $(LIBS_STORE) $(LIBS_BASE)

$O/tests/oracle/cron_times: $O/tests/oracle/cron_times.o $(MODEL_A) $(BASE_A)
	$(LINK) -lm $(LIBS_BASE)

TESTS_C := $(EVIDENCE) $(GHOST) $(call tests,unit) $(call tests,store) $(call tests,fcgi) $(call tests,worker)

# as many compilers as cores, unless the caller has said how many
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
.PHONY: deps run up down status check check-asan lint bench clean
deps:
	@conf/deps.sh build run test
run:
	@conf/deps.sh build run && $(MAKE) --no-print-directory all && exec conf/instance.sh run
up:
	@conf/deps.sh build run && $(MAKE) --no-print-directory all && exec conf/instance.sh up
down status:
	@exec conf/instance.sh $@
check:
	@conf/deps.sh build run test && $(MAKE) --no-print-directory $(JOBS) all tests-built fuzz-built && tests/run.sh
# words of the names of test programs (tests/run.sh)
WIRE := fcgi/test_ $(addprefix flow/test_,api clients keys limits packages rules soak stacks uploads wait web) \
        $(addprefix fuzz_,envelope headers ids json multipart query request times unzip urlencoded zip)
.PHONY: check-wire
check-wire:
	@conf/deps.sh build run test && $(MAKE) --no-print-directory $(JOBS) all tests-built fuzz-built && tests/run.sh $(WIRE)
.PHONY: tests-built
tests-built: $(TESTS_C) $O/tests/escape/hostile $O/tests/oracle/cron_times faults-built
# beside it the same programs with their fault points
.PHONY: faults-built
faults-built:
	@$(MAKE) --no-print-directory FAULTS=1 O=$O-faults all $O-faults/tests/faults/evidence_runtime $O-faults/tests/faults/ghost
.PHONY: oracle
# cron and time zones against croner, cron-parser and GNU date: every distinct zone (a part of it is in check)
oracle:
	@conf/deps.sh build test && $(MAKE) --no-print-directory $O/tests/oracle/cron_times
	@cd tests/oracle && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error && node oracle.js $(CURDIR)/$O/tests/oracle/cron_times all
check-asan:
	@$(MAKE) --no-print-directory O=build-asan SANITIZE=address,undefined check
.PHONY: mutants
mutants:
	@conf/deps.sh build run test && tests/faults/mutants.py
.PHONY: storm
storm:
	@conf/deps.sh build run test && $(MAKE) --no-print-directory all $(EVIDENCE) $(GHOST) $O/tests/store/test_nth_call faults-built && \
		STOKER_NTH_CALL_ALL=yes $O/tests/store/test_nth_call && STOKER_OVERLOAD_S=60 tests/faults/test_overload.py && \
		tests/faults/points.py && tests/faults/schedule_storm.py --seconds 600 && \
		tests/faults/storm.py --jobs 10000 --faults 200 --seeds 20 && \
		tests/faults/galera_storm.py --seeds 3 && tests/faults/galera_storm.py --seeds 3 --spread
lint:
	@tests/lint/lint.sh
BENCH_BINS := $(patsubst %.c,$O/%,$(wildcard tests/bench/bench_*.c))
bench:
	@conf/deps.sh build run test && $(MAKE) --no-print-directory all $(BENCH_BINS) $O/tests/escape/hostile && tests/bench/bench.py
clean:
	rm -rf build build-asan $(FUZZ_O)

-include $(shell find $O -name '*.d' 2>/dev/null)
