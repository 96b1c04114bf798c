# SPDX-License-Identifier: MIT
# Tests, benchmarks, lint.  Included by the Makefile.
-include regression/pal/rules.mk regression/unit/rules.mk regression/fuzz/rules.mk regression/bench/rules.mk

GUESTS := $(patsubst regression/guests/%.c,$(B)/guests/%,$(wildcard regression/guests/*.c))
HOSTILE := $(patsubst regression/hostile/%.c,$(B)/hostile/%,$(wildcard regression/hostile/*.c))
APPS := $(B)/random $(B)/compare $(B)/crowd $(B)/paths $(B)/hello_musl $(B)/hello_go $(B)/panic_go $(B)/preempt_go $(B)/unwind

$(B)/guests/%: regression/guests/%.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -MF $@.d $< -o $@ -lpthread -lm
$(B)/hostile/%: regression/hostile/%.c pal/linux/hostcalls.def ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -I. -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -MF $@.d -static $< -o $@
$(B)/hello_musl: regression/apps/hello_musl.c ; musl-gcc -static -O1 $< -o $@
$(B)/%_go: regression/apps/%_go.go ; GOCACHE=$(abspath $(B))/gocache GO111MODULE=off go build -o $@ $<
$(B)/unwind: regression/apps/unwind.cc ; $(CXX) -O1 -g -Wall -Wextra -Werror -fnon-call-exceptions -fasynchronous-unwind-tables $< -o $@ -lpthread
$(B)/random: $(wildcard regression/soak/random/*) ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror $(filter %.c,$^) -o $@ -lpthread -lrt
$(B)/crowd: regression/soak/files/crowd.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror -pthread $< -o $@
$(B)/compare: regression/soak/files/compare.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror $< -o $@
$(B)/paths: regression/soak/paths.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror $< -o $@
$(B)/runner: regression/runner.c ; @mkdir -p $(@D); $(CC) $(COMMON) -D_GNU_SOURCE $< -o $@
$(B)/tests.list: regression/list $(wildcard regression/cli/*.sh regression/hostile/*.sh) $(GUESTS) $(HOSTILE) ; regression/list $(B) > $@

setup-%: ; @regression/setup $*
tests: all $(FUZZ) $(GUESTS) $(HOSTILE) $(APPS) $(B)/runner $(B)/unit-tests $(B)/pal-conformance $(B)/tests.list windows-tests
check: setup-check ; @$(MAKE) --no-print-directory -j2 tests && $(B)/runner -t '$(T)' $(B)/tests.list
check-big: setup-big ; @$(MAKE) --no-print-directory -j2 tests && regression/list $(B) big > $(B)/big.list && $(B)/runner -t '$(T)' $(B)/big.list
run: setup-run
	@mkdir -p $(B); printf 'Building pal-run (about 10 s on two cores) ... '
	@$(MAKE) --no-print-directory -s -j2 all >$(B)/run.log 2>&1 && echo done || { echo; cat $(B)/run.log; false; }
	@regression/demo $(B)
help:
	@echo "make           build build/pal-run: one static file"
	@echo "make run       build it, and see in a dozen real checks what it does"
	@echo "make check     run all tests; T='pal/*' only some; check-big: also the long ones"
	@echo "make bench     ratios to native and to bubblewrap, measured in one run"
	@echo "make lint      layering, shellcheck, cppcheck, clang, clang-tidy"
	@echo "make windows    the Windows host, by mingw; check-windows, bench-windows: under Wine"
	@echo "make fuzz      fuzz what parses hostile bytes"
	@echo "make install   PREFIX=/usr/local, DESTDIR=; deb: a Debian package; dist: a tarball"
	@echo "make clean     remove build/"
lint: setup-check ; regression/lint/all
soak: setup-check ; @$(MAKE) --no-print-directory -j2 all $(B)/random && regression/soak/run $(B)
bench: setup-bench ; @$(MAKE) --no-print-directory -j2 all bench-programs && regression/bench/run $(B)
.PHONY: check check-big run help lint soak bench tests setup-%
