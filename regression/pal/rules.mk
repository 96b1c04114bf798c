# SPDX-License-Identifier: MIT
# The PAL's conformance suite: an image of its own, inside the same host half as the libOS.
CONFORMANCE := $(filter-out %/launch.o,$(call objects,regression/pal))

$(B)/regression/pal/launch: regression/pal/launch.c ; @mkdir -p $(@D); $(CC) $(HOSTED) $< -o $@
$(B)/regression/pal/%.o: regression/pal/%.c ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@
$(B)/regression/pal/%.o: regression/pal/%.S ; @mkdir -p $(@D); $(CC) $(FREE) -c $< -o $@

$(B)/conformance.elf: $(CONFORMANCE) shim/image.ld
	$(LD) -T shim/image.ld -o $@ $(CONFORMANCE)
$(B)/pal-conformance: $(PAL) pal/linux/image.S pal/linux/host.ld $(B)/conformance.text $(B)/conformance.data
	$(CC) $(FREE) -DIMAGE='"$(B)/conformance"' -c pal/linux/image.S -o $(B)/pal/linux/image-conformance.o
	$(LD) -T pal/linux/host.ld -o $@ $(PAL) $(B)/pal/linux/image-conformance.o

.PHONY: check-pal
check-pal: $(B)/pal-conformance $(B)/regression/pal/launch
	timeout 60 $(B)/regression/pal/launch $(B)/pal-conformance
	timeout 60 $(B)/regression/pal/launch $(B)/pal-conformance seccomp
