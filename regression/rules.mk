# SPDX-License-Identifier: MIT
# Tests, benchmarks, lint.  Included by the Makefile.
-include regression/pal/rules.mk regression/unit/rules.mk regression/fuzz/rules.mk regression/bench/rules.mk

GUESTS := $(patsubst regression/guests/%.c,$(B)/guests/%,$(wildcard regression/guests/*.c))
HOSTILE := $(patsubst regression/hostile/%.c,$(B)/hostile/%,$(wildcard regression/hostile/*.c))
APPS := $(B)/random $(B)/hello_musl $(B)/hello_go $(B)/panic_go $(B)/preempt_go $(B)/unwind

$(B)/guests/%: regression/guests/%.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -MF $@.d $< -o $@ -lpthread -lm
$(B)/hostile/%: regression/hostile/%.c pal/linux/hostcalls.def ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -I. -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -MF $@.d -static $< -o $@
$(B)/hello_musl: regression/apps/hello_musl.c ; musl-gcc -static -O1 $< -o $@
$(B)/%_go: regression/apps/%_go.go ; GOCACHE=$(abspath $(B))/gocache GO111MODULE=off go build -o $@ $<
$(B)/unwind: regression/apps/unwind.cc ; $(CXX) -O1 -g -Wall -Wextra -Werror -fnon-call-exceptions -fasynchronous-unwind-tables $< -o $@ -lpthread
$(B)/random: $(wildcard regression/soak/random/*) ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror $(filter %.c,$^) -o $@ -lpthread -lrt
$(B)/runner: regression/runner.c ; @mkdir -p $(@D); $(CC) $(COMMON) -D_GNU_SOURCE $< -o $@
$(B)/tests.list: regression/list $(wildcard regression/cli/*.sh) $(GUESTS) $(HOSTILE) ; regression/list $(B) > $@

setup-%: ; @regression/setup $*
tests: all $(FUZZ) $(GUESTS) $(HOSTILE) $(APPS) $(B)/runner $(B)/unit-tests $(B)/pal-conformance $(B)/tests.list
check: setup-check ; @$(MAKE) --no-print-directory -j2 tests && $(B)/runner -t '$(T)' $(B)/tests.list
run: setup-run ; @$(MAKE) --no-print-directory -j2 all && regression/demo $(B)
lint: setup-check ; regression/lint/all
soak: setup-check ; @$(MAKE) --no-print-directory -j2 all $(B)/random && regression/soak/run $(B)
bench: setup-bench ; @$(MAKE) --no-print-directory -j2 all bench-programs && regression/bench/run $(B)
.PHONY: check run lint soak bench tests setup-%
