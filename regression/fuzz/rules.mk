# SPDX-License-Identifier: MIT
# The rewriter against a disassembler (libcapstone-dev), and at work without a libOS.
REWRITER := $(addprefix $(B)/fuzz/,decode.o trampoline.o plan.o trampoline_pool.o patch.o site_table.o install.o rewrite.o)
FUZZ := $(B)/fuzz-decode $(B)/site-survey $(B)/site-test

$(B)/fuzz/%.o: shim/rewrite/%.c ; @mkdir -p $(@D); $(CC) $(HOSTED) -c $< -o $@
$(B)/fuzz-decode: regression/fuzz/decode.c $(REWRITER)
	$(CC) $(HOSTED) -MF $@.d $(filter %.c %.o,$^) -lcapstone -o $@
$(B)/site-survey: regression/fuzz/survey.c $(REWRITER)
	$(CC) $(HOSTED) -MF $@.d $(filter %.c %.o,$^) -lcapstone -o $@
$(B)/site-test: regression/fuzz/site.c regression/fuzz/snippets.S $(REWRITER)
	$(CC) $(HOSTED) $(filter %.c %.S %.o,$^) -lpthread -o $@
# What parses hostile bytes in pal-run, by libFuzzer under sanitizers: FUZZ_SECONDS each.
FUZZERS := $(B)/fuzz-request $(B)/fuzz-elf
FUZZ_SECONDS ?= 300
SANITIZED := clang -std=gnu17 -O1 -g -I. -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
$(B)/fuzz-request: regression/fuzz/request.c loader/monitor/decode.c ; @mkdir -p $(@D); $(SANITIZED) $^ -o $@
$(B)/fuzz-elf: regression/fuzz/elf.c loader/launch/elf.c ; @mkdir -p $(@D); $(SANITIZED) $^ -o $@ -lelf -lz
fuzz: setup-check $(FUZZERS)
	for fuzzer in $(FUZZERS); do $$fuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=20000 -artifact_prefix=$(B)/ || exit 1; done
FUZZ += $(FUZZERS)
.PHONY: fuzz
