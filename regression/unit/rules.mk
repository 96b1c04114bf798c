# SPDX-License-Identifier: MIT
# pal-run's own parts, tested without a picoprocess: Criterion.
UNIT := $(patsubst %.c,$(B)/%.o,$(wildcard regression/unit/*.c))
$(B)/regression/unit/%.o: regression/unit/%.c ; @mkdir -p $(@D); $(CC) $(HOSTED) -Wno-missing-prototypes -c $< -o $@
$(B)/unit-tests: $(UNIT) $(filter-out %/main.o,$(LOADER)) $(LIBRARY)
	$(CXX) -o $@ $^ -Wl,--wrap=fstat -lcriterion -lcares -lseccomp -luv -ldw -lelf -ljansson $(patsubst -l:libarchive.a,-larchive,$(DISKS)) -lbz2 -lz
