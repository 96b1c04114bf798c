# SPDX-License-Identifier: MIT
# Host calls out of reach: with dispatch and, where the host denies it, with traps by seccomp; as root and as a user; with a
# view, where there can be one, and without.
set -u
form=$("$B/pal-run" --report "$B/hostile/calls" 2>&1 >/dev/null | grep -q 'names: by the view' || echo strict)
as_user() { [ "$(id -u)" = 0 ] && set -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; "$@"; }
"$B/pal-run" "$B/hostile/calls" $form || exit 1
as_user "$B/pal-run" "$B/hostile/calls" $form || exit 1
"$B/pal-run" --trap=seccomp "$B/hostile/calls" $form 2>/dev/null || exit 1
"$B/pal-run" --walls=monitor "$B/hostile/calls" strict || exit 1
as_user "$B/pal-run" --walls=monitor "$B/hostile/calls" strict || exit 1
"$B/pal-run" --walls=monitor --trap=seccomp "$B/hostile/calls" strict 2>/dev/null
