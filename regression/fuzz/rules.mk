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
