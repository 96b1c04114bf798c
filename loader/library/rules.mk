# SPDX-License-Identifier: MIT
# libpalrun, for programs that start sandboxes.  Included by the Makefile.
LIBRARY := $(call objects,loader/library)
SONAME := libpalrun.so.0
$(LIBRARY): HOSTED += -fPIC -fvisibility=hidden
$(B)/libpalrun.a: $(LIBRARY) ; rm -f $@ && $(AR) rcs $@ $^
$(B)/$(SONAME): $(LIBRARY) ; $(CC) -shared -Wl,-soname,$(SONAME),-z,relro,-z,now,-z,defs -o $@ $^ -ljansson -lpthread
$(B)/libpalrun.so: $(B)/$(SONAME) ; ln -sf $(SONAME) $@
$(B)/palrun.pc: loader/library/palrun.pc.in FORCE ; @sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

LIBDIR = $(DESTDIR)$(PREFIX)/lib
# Where Debian's python3 looks for /usr; with another PREFIX: PYTHONDIR=, or PYTHONPATH for those that import it.
PYTHONDIR = $(PREFIX)/lib/python3/dist-packages
install-library: $(B)/libpalrun.so $(B)/libpalrun.a $(B)/palrun.pc
	install -d $(LIBDIR)/pkgconfig $(DESTDIR)$(PYTHONDIR) $(DESTDIR)$(PREFIX)/include
	install -m 644 -s $(B)/$(SONAME) $(LIBDIR)/
	ln -sf $(SONAME) $(LIBDIR)/libpalrun.so
	install -m 644 $(B)/libpalrun.a $(LIBDIR)/
	install -m 644 $(B)/palrun.pc $(LIBDIR)/pkgconfig/
	install -m 644 loader/library/palrun.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 loader/library/palrun.py $(DESTDIR)$(PYTHONDIR)/
.PHONY: install-library
