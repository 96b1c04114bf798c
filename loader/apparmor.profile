# SPDX-License-Identifier: MIT
# For hosts where AppArmor keeps ordinary users' programs from user namespaces (kernel.apparmor_restrict_unprivileged_userns: Ubuntu
# 23.10 and later).  pal-run runs there without it as well, but then its monitor looks up all names, 3 to 6 times slower.  This
# profile allows them to pal-run, and restricts nothing: what pal-run runs is confined by pal-run.  It takes AppArmor 4.
abi <abi/4.0>,
include <tunables/global>

profile pal-run @PREFIX@/bin/pal-run flags=(unconfined) {
  userns,
  include if exists <local/pal-run>
}
