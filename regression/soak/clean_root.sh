#!/bin/bash
# SPDX-License-Identifier: MIT
# regression/soak/clean_root.sh: make deb, then the package in a Debian 12 that debootstrap has just made: it installs with nothing
# else, runs as root and as a user, and goes without a trace.  In a directory of its own under TMPDIR; mounts are of this process alone.
set -u
[ "$(id -u)" = 0 ] || { echo "only root can make a root directory"; exit 77; }
command -v debootstrap >/dev/null || { echo "debootstrap is not installed"; exit 77; }
if [ -z "${CLEAN_ROOT:-}" ]; then
    CLEAN_ROOT=$(mktemp -d "${TMPDIR:-/tmp}/pal-clean.XXXXXX") || exit 1
    chmod 755 "$CLEAN_ROOT"
    export CLEAN_ROOT
    trap 'rm -rf --one-file-system "$CLEAN_ROOT"' EXIT
    make --no-print-directory deb >"$CLEAN_ROOT.log" 2>&1 || { tail -20 "$CLEAN_ROOT.log"; rm -f "$CLEAN_ROOT.log"; exit 1; }
    rm -f "$CLEAN_ROOT.log"
    debootstrap --variant=minbase bookworm "$CLEAN_ROOT" ${MIRROR:-} >"$CLEAN_ROOT/log" 2>&1 ||
        { tail -3 "$CLEAN_ROOT/log"; echo "no clean root can be had here"; exit 77; }
    unshare --mount --propagation private "$0"
    exit
fi
root=$CLEAN_ROOT bad=0
say() { echo "$*"; bad=1; }
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp "$@"; }
user() { chroot --userspec=1000:1000 "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp "$@"; }
list() { (cd "$root" && find . -xdev -path ./proc -prune -o -path ./dev -prune -o -path ./var -prune -o -path ./tmp -prune -o -print | sort); }
mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" || { echo "nothing can be mounted here"; exit 77; }
cp build/deb/pal-run_*_amd64.deb "$root/tmp/pal-run.deb" || exit 1
list >"$root/tmp/before"
inside dpkg -i /tmp/pal-run.deb >"$root/tmp/log" 2>&1 || say "it does not install: $(tail -5 "$root/tmp/log")"
[ ! -e "$root/etc/apparmor.d" ] || say "a profile for an AppArmor that is not there"
for as in inside user; do
    [ "$($as pal-run /bin/echo works)" = works ] || say "$as: it does not run"
    [ "$($as pal-run sh -c 'ls / | wc -l; cat /etc/shadow' 2>/dev/null | wc -l)" = 1 ] || say "$as: /etc/shadow is shown"
    $as pal-run sh -c 'kill -SEGV $$' 2>&1 | grep -q '^    #0  kill  (libc\.so' || say "$as: no backtrace"
    $as pal-run doctor | tail -1 | grep -q '^pal-run works here$' || say "$as: doctor: $($as pal-run doctor)"
done
for page in man1/pal-run.1.gz man5/pal-manifest.5.gz; do [ -s "$root/usr/share/man/$page" ] || say "no $page"; done
inside dpkg -r pal-run >"$root/tmp/log" 2>&1 || say "it does not go: $(tail -5 "$root/tmp/log")"
list >"$root/tmp/after"
diff "$root/tmp/before" "$root/tmp/after" >"$root/tmp/left" || say "it leaves or takes with it: $(cat "$root/tmp/left")"

# With an AppArmor that knows the profile (here one that takes anything), and with an older one.
mkdir "$root/etc/apparmor.d"
for knows in true false; do
    ln -sf "/bin/$knows" "$root/usr/sbin/apparmor_parser"
    inside dpkg -i /tmp/pal-run.deb >"$root/tmp/log" 2>&1 || say "with AppArmor: $(tail -5 "$root/tmp/log")"
    if $knows; then
        grep -q '^profile pal-run /usr/bin/pal-run ' "$root/etc/apparmor.d/pal-run" || say "no profile"
    else
        [ ! -e "$root/etc/apparmor.d/pal-run" ] || say "a profile that nothing knows"
    fi
    inside dpkg -P pal-run >/dev/null 2>&1 || say "it does not go with AppArmor"
    [ ! -e "$root/etc/apparmor.d/pal-run" ] || say "the profile is left"
done
exit $bad
