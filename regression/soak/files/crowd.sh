#!/bin/bash
# SPDX-License-Identifier: MIT
# crowd.sh BUILD COUNT: some read a copy mount's directories while another changes them COUNT times, in both forms.
set -u
B=$1 count=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/pal-crowd.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
"$B/crowd" make "$work" || exit 1
bad=0
for form in view monitor; do
    PAL_RUN_WALLS=$form "$B/pal-run" --cow "$work" "$B/crowd" run "$work" "$count" || { echo "$form: status $?"; bad=1; }
done
[ "$(find "$work" -name 'old*' -size -4c | wc -l)" = 1200 ] && [ "$(cat "$work"/d*/old* | sort -u)" = "$(printf 'abc%.0s' {1..1200})" ] ||
    { echo "the host's files have changed"; bad=1; }
exit $bad
