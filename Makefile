# SPDX-License-Identifier: MIT
# make | run | check [T=name] | check-big | bench | lint | fuzz | install | deb | dist | clean
VERSION := 0.2.0
CC ?= gcc
CXX ?= g++
B := build
W := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
COMMON := -std=gnu17 -O2 -g -I. $(W) -MMD -MP
# libOS, shim and PAL link nothing; libOS and shim leave vector state alone.
FREE := $(COMMON) -ffreestanding -fno-builtin -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
        -mgeneral-regs-only -fpie -fvisibility=hidden -fdata-sections -fno-jump-tables -U_FORTIFY_SOURCE \
        -include pal/hidden.h $(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)
# Large objects of pal-run's lie apart from the many small ones, which then share a few pages at each start: gen/embed.
APART := $(if $(findstring clang,$(CC)),,-mcmodel=medium -mlarge-data-threshold=2048)
HOSTED := $(COMMON) -D_GNU_SOURCE -fstack-protector-strong -D_FORTIFY_SOURCE=2

# The objects of every room below a folder, sorted: images are the same bytes on every machine.  Files in gen/ make sources.
objects = $(patsubst %,$(B)/%.o,$(basename $(sort $(shell find $1 -name gen -prune -o -name '*.[cS]' -print))))
IMAGE := $(call objects,libos shim)
# What reads disk images; by their archives, whatever they are linked into.
DISKS := -l:libsquashfuse.a -l:libsquashfs.a -l:libext2fs.a -l:libcom_err.a -l:libblkid.a -l:libmd.a -l:libarchive.a -llzma -lzstd -llz4
PAL := $(filter-out %/image.o,$(call objects,pal/linux))
LOADER := $(filter-out $(B)/loader/library/%,$(call objects,loader)) $(B)/loader/policy/toml.o

all: $(B)/pal-run $(B)/picoprocess $(B)/pal/null/null.o $(B)/libpalrun.so $(B)/libpalrun.a
-include pal/windows/rules.mk loader/library/rules.mk regression/rules.mk loader/rules.mk loader/install.mk

$(B)/libos/%.o: libos/%.c ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/libos/%.o: libos/%.S ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/shim/%.o: shim/%.c   ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/shim/%.o: shim/%.S   ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/pal/%.o: pal/%.c     ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/pal/%.o: pal/%.S     ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/loader/%.o: loader/%.c  ; @mkdir -p $(@D); $(CC) $(HOSTED) $(APART) -c $< -o $@
$(B)/loader/%.o: loader/%.cc ; @mkdir -p $(@D); $(CXX) -std=c++17 -O2 -g -I. -Wall -Wextra -Werror -MMD -MP -c $< -o $@

# An image is linked at its fixed addresses and cut into the two pieces that a host maps: X.text and X.data.
$(B)/libos.elf: $(IMAGE) shim/image.ld
	$(LD) -T shim/image.ld -o $@ $(IMAGE)
%.text %.data: %.elf
	objcopy -O binary -j .text $< $*.text
	objcopy -O binary -j .data $< $*.data

# A picoprocess's first program: the PAL's host half around an image.
$(B)/picoprocess: $(PAL) pal/linux/image.S pal/linux/host.ld $(B)/libos.text $(B)/libos.data
	$(CC) $(FREE) -DIMAGE='"$(B)/libos"' -c pal/linux/image.S -o $(B)/pal/linux/image.o
	$(LD) -T pal/linux/host.ld -o $@ $(PAL) $(B)/pal/linux/image.o

# One file: the picoprocess's segments lie in pal-run, at their own addresses (see loader/launch/entry.S).  Both are mapped by each
# exec of it, so there are few: code and constants are one.
$(B)/embed.S: $(B)/picoprocess loader/launch/gen/embed ; loader/launch/gen/embed $< $(B)/embed
$(B)/embed.o: $(B)/embed.S ; $(CC) -c $< -o $@
$(B)/pal-run: $(LOADER) $(B)/embed.o
	$(CXX) -static -o $@ $^ -Wl,-T,$(B)/embed.ld,--gc-sections,-z,noseparate-code,-e,launch_entry,-u,cache_size,-u,no_features,-u,no_more_features,--wrap=fstat -luv_a -lcares -lseccomp -ldw -lelf -ljansson $(DISKS) -lbz2 -lz -lpthread -ldl
	loader/launch/gen/redirect $@ cache_size handle_amd handle_intel
	loader/launch/gen/redirect $@ no_features get_common_indices
	loader/launch/gen/redirect $@ no_more_features get_extended_indices update_active
	$@ --version >$(B)/version || { rm -f $@; exit 1; } # did libc start?
	objcopy -N _dl_debug_state $@ # gdb would set a breakpoint there, in picoprocesses too
	cp $@ $@.new && mv $@.new $@ # written in one go, it lies in the page cache in larger pieces: fewer page faults at each start

clean: ; rm -rf $(B)
.PHONY: all clean
.SECONDARY:
-include $(shell [ -d $(B) ] && find $(B) -name deb -prune -o -type f -name '*.d' -print)
docs/coverage.md: libos/syscalls.def docs/coverage.awk ; awk -f docs/coverage.awk $< > $@
