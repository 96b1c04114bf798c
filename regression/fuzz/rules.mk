# SPDX-License-Identifier: MIT
# The rewriter against a disassembler (libcapstone-dev), and at work without a libOS.
REWRITER := $(addprefix $(B)/fuzz/,decode.o trampoline.o plan.o trampoline_pool.o scan.o ahead.o patch.o site_table.o install.o rewrite.o)
FUZZ := $(B)/fuzz-decode $(B)/site-survey $(B)/site-test

$(B)/fuzz/%.o: shim/rewrite/%.c ; @mkdir -p $(@D); $(CC) $(HOSTED) -c $< -o $@
$(B)/fuzz-decode: regression/fuzz/decode.c $(REWRITER)
	$(CC) $(HOSTED) -MF $@.d $(filter %.c %.o,$^) -lcapstone -o $@
$(B)/site-survey: regression/fuzz/survey.c $(REWRITER)
	$(CC) $(HOSTED) -MF $@.d $(filter %.c %.o,$^) -lcapstone -o $@
$(B)/site-test: regression/fuzz/site.c regression/fuzz/snippets.S $(REWRITER)
	$(CC) $(HOSTED) $(filter %.c %.S %.o,$^) -lpthread -o $@
# What parses hostile bytes in pal-run, by libFuzzer under sanitizers: FUZZ_SECONDS each.
FUZZERS := $(addprefix $(B)/fuzz-,request serve elf manifest dns image proof)
FUZZ_SECONDS ?= 300
SANITIZERS := -g -I. -I$(B)/include -D_GNU_SOURCE -fno-sanitize-recover=all -fsanitize=address,undefined
SANITIZED := $(patsubst $(B)/%,$(B)/sanitized/%,$(filter-out %/main.o,$(LOADER)))
$(B)/sanitized/%.o: %.c | $(B)/include/loader/filter.inc $(B)/include/loader/version.inc ; @mkdir -p $(@D); clang -std=gnu17 -O1 -MMD -MP $(SANITIZERS) -fsanitize=fuzzer-no-link -c $< -o $@
$(B)/sanitized/%.o: %.S ; @mkdir -p $(@D); clang -c -I. $< -o $@
$(B)/sanitized/%.o: %.cc ; @mkdir -p $(@D); clang++ -std=c++17 -O1 -MMD -MP $(SANITIZERS) -fsanitize=fuzzer-no-link -c $< -o $@
$(FUZZERS): $(B)/fuzz-%: $(B)/sanitized/regression/fuzz/%.o $(SANITIZED)
	clang++ $(SANITIZERS) -fsanitize=fuzzer $^ -Wl,--wrap=fstat -lcares -lseccomp -luv -ldw -lelf -ljansson $(patsubst -l:libarchive.a,-larchive,$(DISKS)) -lbz2 -lz -o $@
fuzz: setup-check $(FUZZERS) ; regression/fuzz/together $(B) $(FUZZ_SECONDS)
FUZZ += $(FUZZERS)
.PHONY: fuzz
