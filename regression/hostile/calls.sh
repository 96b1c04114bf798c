# SPDX-License-Identifier: MIT
# Host calls out of reach: with dispatch and, where the host denies it, with traps by seccomp; as root and as a user.
set -u
"$B/pal-run" "$B/hostile/calls" || exit 1
[ "$(id -u)" != 0 ] || setpriv --reuid 65534 --regid 65534 --clear-groups "$B/pal-run" "$B/hostile/calls" || exit 1
"$B/pal-run" --trap=seccomp "$B/hostile/calls" 2>/dev/null
