# SPDX-License-Identifier: MIT
# The Windows host: the same image in a Win32 program, by mingw.  Included by the Makefile.
MINGW ?= x86_64-w64-mingw32-gcc
WIN := $(B)/windows
WINDOWS := $(patsubst pal/windows/%.c,$(WIN)/%.o,$(sort $(wildcard pal/windows/*.c))) $(WIN)/entry.o
WIN_FLAGS := $(COMMON) -ffreestanding -fno-builtin -fno-stack-protector -fcf-protection=none -mno-red-zone -fno-tree-loop-distribute-patterns

# No C library: what it links to are kernel32's and advapi32's documented functions, and the compiler's helper for large frames.
# Its place lies between the guest's range and what pal.h fixes.
WIN_LINK := -nostdlib -nostartfiles -Wl,-e,windows_start,--image-base,0x7fefe0000000,--disable-dynamicbase,--disable-high-entropy-va,--subsystem,console

$(WIN)/%.o: pal/windows/%.c ; @mkdir -p $(@D); $(MINGW) $(WIN_FLAGS) -c $< -o $@
$(WIN)/%.o: pal/windows/%.S ; @mkdir -p $(@D); $(MINGW) $(WIN_FLAGS) -c $< -o $@
$(WIN)/libos.o: pal/windows/image.S $(B)/libos.text $(B)/libos.data
	@mkdir -p $(@D); $(MINGW) $(WIN_FLAGS) -DIMAGE='"$(B)/libos"' -c $< -o $@
$(WIN)/conformance-image.o: pal/windows/image.S $(B)/conformance.text $(B)/conformance.data
	@mkdir -p $(@D); $(MINGW) $(WIN_FLAGS) -DIMAGE='"$(B)/conformance"' -c $< -o $@
$(WIN)/conformance.exe: $(WINDOWS) $(WIN)/conformance-image.o ; $(MINGW) $(WIN_LINK) -o $@ $^ -lkernel32 -ladvapi32 -lgcc
$(WIN)/picoprocess.exe: $(WINDOWS) $(WIN)/libos.o ; $(MINGW) $(WIN_LINK) -o $@ $^ -lkernel32 -ladvapi32 -lgcc

.PHONY: windows windows-tests check-windows bench-windows
ifneq ($(shell command -v $(MINGW)),)
windows: $(WIN)/picoprocess.exe
else
windows: ; @echo "no Windows host: $(MINGW) is not here (apt-get install gcc-mingw-w64-x86-64-posix)"; false
endif

# Under Wine.  wine.so is Linux's: see regression/windows/wine.c.
$(WIN)/wine.so: regression/windows/wine.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O2 $(W) -fPIC -shared $< -o $@ -ldl -lpthread
$(WIN)/hold: regression/windows/hold.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g $(W) $< -o $@
windows-tests: windows $(WIN)/wine.so $(WIN)/hold $(WIN)/conformance.exe
check-windows: setup-windows ; @$(MAKE) --no-print-directory -s -j2 all windows-tests $(GUESTS) && regression/windows/check $(B)
$(WIN)/bench: regression/windows/bench.c ; @mkdir -p $(@D); $(CC) -std=gnu17 -O1 -g $(W) $< -o $@ -lpthread
bench-windows: setup-windows ; @$(MAKE) --no-print-directory -s -j2 all windows-tests $(WIN)/bench && regression/windows/check $(B) bench
