# SPDX-License-Identifier: MIT
# make install [PREFIX=/usr/local] [DESTDIR=], make deb, make dist.  Included by the Makefile.
PREFIX ?= /usr/local
SHARE := $(DESTDIR)$(PREFIX)/share
DIST := pal-run-$(VERSION)-x86_64
MANPAGES := $(B)/man/pal-run.1 $(B)/man/pal-manifest.5

# --version's commit is that of the tree it was built from; a change of it builds one file anew.
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo release)
$(B)/include/loader/version.inc: FORCE
	@mkdir -p $(@D); printf '#define VERSION "%s"\n#define COMMIT "%s"\n' '$(VERSION)' '$(COMMIT)' | cmp -s - $@ || \
	printf '#define VERSION "%s"\n#define COMMIT "%s"\n' '$(VERSION)' '$(COMMIT)' > $@
$(B)/loader/cli/help.o: HOSTED += -I$(B)/include
$(B)/loader/cli/help.o: $(B)/include/loader/version.inc
FORCE:

# The list of options in the manual page is printed by the program itself.
$(B)/man/pal-run.1: docs/man/pal-run.1.scd $(B)/pal-run
	@mkdir -p $(@D); $(B)/pal-run completion scdoc > $@.options; $(B)/pal-run completion scdoc-commands > $@.commands
	sed -e '/^@OPTIONS@$$/{r $@.options' -e 'd}' -e '/^@COMMANDS@$$/{r $@.commands' -e 'd}' $< | scdoc > $@
$(B)/man/%: docs/man/%.scd ; @mkdir -p $(@D); scdoc < $< > $@

install: setup-install ; @$(MAKE) --no-print-directory install-files
install-files: all install-library $(MANPAGES)
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/pal-run/manifests \
	    $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	install -m 755 -s $(B)/pal-run $(DESTDIR)$(PREFIX)/bin/pal-run
	ln -sf pal-run $(DESTDIR)$(PREFIX)/bin/pal-oci
	install -m 644 $(B)/man/pal-run.1 $(SHARE)/man/man1/
	install -m 644 $(B)/man/pal-manifest.5 $(SHARE)/man/man5/
	install -m 644 manifests/*.toml $(SHARE)/pal-run/manifests/
	sed 's|@PREFIX@|$(PREFIX)|' loader/apparmor.profile > $(SHARE)/pal-run/apparmor.profile
	chmod 644 $(SHARE)/pal-run/apparmor.profile
	$(B)/pal-run completion bash > $(SHARE)/bash-completion/completions/pal-run
	$(B)/pal-run completion zsh > $(SHARE)/zsh/site-functions/_pal-run
	$(B)/pal-run completion fish > $(SHARE)/fish/vendor_completions.d/pal-run.fish

# A package for this distribution, and a tarball for any.  Both are built from what git tracks.
deb: setup-deb
	rm -rf $(B)/deb && mkdir -p $(B)/deb/pal-run
	git ls-files -z | tar --null -T - -cf - | tar -xf - -C $(B)/deb/pal-run
	cd $(B)/deb/pal-run && dpkg-buildpackage -b -us -uc
	@ls -1 $(B)/deb/*.deb
dist: setup-install ; @$(MAKE) --no-print-directory install-files DESTDIR=$(B)/$(DIST) PREFIX=
	install -m 644 README.md LICENSE CHANGES.md $(B)/$(DIST)
	tar -C $(B) --sort=name --owner=0 --group=0 --numeric-owner --mtime='@$(or $(SOURCE_DATE_EPOCH),0)' -cJf $(B)/$(DIST).tar.xz $(DIST)
	@ls -1 $(B)/$(DIST).tar.xz
.PHONY: install install-files deb dist FORCE
