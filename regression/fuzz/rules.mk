# SPDX-License-Identifier: MIT
# The rewriter against a disassembler (libcapstone-dev), and at work without a libOS.
REWRITER := $(addprefix $(B)/fuzz/,decode.o relocate.o plan.o area.o patch.o record.o install.o site.o)
FUZZ := $(B)/fuzz-decode $(B)/site-survey $(B)/site-test

$(B)/fuzz/%.o: shim/%.c ; @mkdir -p $(@D); $(CC) $(HOSTED) -c $< -o $@
$(B)/fuzz-decode: regression/fuzz/decode.c $(REWRITER)
	$(CC) $(HOSTED) -MF $@.d $^ -lcapstone -o $@
$(B)/site-survey: regression/fuzz/survey.c $(REWRITER)
	$(CC) $(HOSTED) -MF $@.d $^ -lcapstone -o $@
$(B)/site-test: regression/fuzz/site.c regression/fuzz/snippets.S $(REWRITER)
	$(CC) $(HOSTED) $^ -lpthread -o $@

FUZZ_FILES = $(wildcard $(realpath /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libstdc++.so.6 \
    /lib/x86_64-linux-gnu/libcrypto.so.3 /lib64/ld-linux-x86-64.so.2 /lib/ld-musl-x86_64.so.1 /usr/bin/python3 \
    /usr/bin/node /usr/lib/go/bin/go))

fuzz: $(FUZZ)
	$(B)/fuzz-decode $(FUZZ_FILES)
	$(B)/fuzz-decode -r 2000 1
	$(B)/site-survey $(FUZZ_FILES)
	$(B)/site-test -t 8 -n 1000 -r 100
.PHONY: fuzz
