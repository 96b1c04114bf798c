#!/bin/bash
# SPDX-License-Identifier: MIT
# stressors.sh SECONDS STRESSOR...: two instances of each of stress-ng's stressors for so long, one stressor after another, with verification.
set -u
command -v stress-ng >/dev/null || { echo "stress-ng is not installed"; exit 77; }
seconds=$1
shift
bad=0
for stressor in "$@"; do
    said=$(timeout -k 5 $((seconds + 30)) "${PAL_RUN:-build/pal-run}" --cwd /tmp -- \
        stress-ng --"$stressor" 2 --timeout "$seconds" --verify --temp-path /tmp 2>&1 </dev/null)
    status=$?
    [ $status = 0 ] && ! grep -qE 'fail:|skipp|not implemented' <<<"$said" && continue
    echo "$stressor: status $status"
    tail -20 <<<"$said"
    bad=1
done
exit $bad
