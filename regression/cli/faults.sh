# SPDX-License-Identifier: MIT
# The n-th PAL call fails, for each n: nothing hangs, and whoever gives up says why; no libOS or PAL crash.
. regression/cli/lib.sh.inc
for n in $(seq 1 3 240); do
    timeout -k 1 20 "$PAL" --fault "$n" /bin/sh -c 'echo x >/tmp/f; cat /tmp/f | wc -c; ls /usr >/dev/null & wait' >"$work/out" 2>"$work/err" </dev/null
    status=$?
    [ $status != 124 ] || say "call $n: hangs"
    grep -E 'fault in the (libOS|PAL)|refused by the filter' "$work/err" && say "call $n: status $status: $(head -2 "$work/err")"
done
grep -q 'fault injected' "$work/err" || "$PAL" --fault 20 /bin/true 2>&1 | grep -q 'fault injected' || say "no fault was injected"
exit $bad
