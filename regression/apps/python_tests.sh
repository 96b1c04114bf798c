#!/bin/bash
# SPDX-License-Identifier: MIT
# python_tests.sh TEST...: Python's own tests, natively and under pal-run: the tests that fail must be the same, and none
# skipped that runs natively.  Excused are those to whom the built-in policy refuses a network socket, and those that want
# trusted attributes, which nobody gets in a sandbox.
set -u
python=/usr/bin/python3
$python -c 'import test.test_signal' 2>/dev/null || { echo "libpython3-testsuite is not installed"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/python.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
names() { sed 's/ (\(.*\))$/ \1/' | sort -u; }
failures() { grep -aE '^(FAIL|ERROR): |^test .* (failed|crashed)|^Timeout \(' "$1" | names; }
skipped() { grep -aE '^test.* \.\.\. skipped ' "$1" | sed 's/ \.\.\. skipped .*/: skipped/' | grep -vE 'xattr|ExtendedAttribute' | sort -u; }
excused() { # the last lines of their traces tell; asyncio, refused its sockets, makes a server without any
    awk -v RS='======+\n' '/_socket\.socket\.__init__[^\n]*\nPermissionError/ || /server\.sockets\[0\]|TestRemoteManager/ {
        sub(/\n.*/, "")
        print
    }' "$1" | names
}
bad=0
for test in "$@"; do
    left_out=()
    # Refused its socket it leaves a child that waits for ever: natively, too, where there is no network.
    [ "$test" = test_multiprocessing_fork ] && left_out=(-i test_pickling)
    (cd "$work" && exec env -i PATH="$PATH" HOME=/tmp LC_ALL=C.UTF-8 $python -m test -v --timeout=200 "${left_out[@]}" "$test") >"$work/native" 2>&1 </dev/null
    "${PAL_RUN:-build/pal-run}" --cwd /tmp --env LC_ALL=C.UTF-8 -- $python -m test -v --timeout=200 "${left_out[@]}" "$test" >"$work/pal" 2>&1 </dev/null
    grep -aqE '^Tests result:|^Result:|== Tests result' "$work/pal" || { echo "$test: no end"; tail -5 "$work/pal"; bad=1; }
    excused "$work/pal" >"$work/excused"
    new=$(comm -13 <(failures "$work/native") <(failures "$work/pal") | grep -vxFf "$work/excused"
        comm -13 <(skipped "$work/native") <(skipped "$work/pal"))
    [ -s "$work/excused" ] && new=$(grep -v "^test $test failed" <<<"$new")
    [ -z "$new" ] && continue
    echo "$test: fails under pal-run only:"
    echo "$new"
    bad=1
done
exit $bad
