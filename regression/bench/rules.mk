# SPDX-License-Identifier: MIT
$(B)/bench/%: regression/bench/%.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror $< -o $@ -lpthread
$(B)/bench/true-static: regression/bench/true.c ; @mkdir -p $(@D); $(CC) -O2 -static $< -o $@
$(B)/bench/calls-go: regression/bench/calls.go ; @mkdir -p $(@D); GOCACHE=$(abspath $(B))/gocache GO111MODULE=off go build -o $@ $<
bench-programs: $(B)/bench/micro $(B)/bench/starts $(B)/bench/true-static $(B)/bench/calls-go
.PHONY: bench-programs
