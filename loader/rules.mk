# SPDX-License-Identifier: MIT
# Included by the Makefile.
# The boundary filter is compiled from the table of host calls when pal-run is built.
$(B)/filter-gen: loader/launch/gen/filter.c pal/linux/hostcalls.def ; @mkdir -p $(@D); $(CC) $(HOSTED) $< -o $@ -lseccomp
$(B)/include/loader/filter.inc: $(B)/filter-gen ; @mkdir -p $(@D); $< > $@.new && mv $@.new $@
$(B)/loader/launch/filter.o: HOSTED += -I$(B)/include
$(B)/loader/launch/filter.o: $(B)/include/loader/filter.inc
docs/hostcalls.md: $(B)/filter-gen ; $< table > $@
# Runs before libc's own start: no TLS, no libc functions.
$(B)/loader/launch/picoprocess.o $(B)/loader/launch/libc_start.o $(B)/loader/launch/walls.o $(B)/loader/launch/caller_limits.o $(B)/loader/launch/filter.o $(B)/loader/supervise/supervisor.o $(B)/loader/supervise/client.o $(B)/loader/supervise/remove.o: HOSTED += -ffreestanding -fno-stack-protector $(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns) -mgeneral-regs-only -U_FORTIFY_SOURCE
$(B)/loader/%.o: loader/%.S ; @mkdir -p $(@D); $(CC) $(HOSTED) -c $< -o $@
