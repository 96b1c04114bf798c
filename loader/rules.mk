# SPDX-License-Identifier: MIT
# The boundary filter is compiled from the table of host calls when pal-run is built.  Included by the Makefile.
$(B)/filter-gen: loader/gen/filter.c pal/linux/hostcalls.def ; @mkdir -p $(@D); $(CC) $(HOSTED) $< -o $@ -lseccomp
$(B)/include/loader/filter.inc: $(B)/filter-gen ; @mkdir -p $(@D); $< > $@.new && mv $@.new $@
$(B)/loader/filter.o: HOSTED += -I$(B)/include
$(B)/loader/filter.o: $(B)/include/loader/filter.inc
