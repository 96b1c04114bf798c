#!/bin/bash
# SPDX-License-Identifier: MIT
# python_tests.sh TEST...: Python's own tests, natively and under pal-run: the tests that fail must be the same, and none
# skipped that runs natively.  Left out are those that open a network socket, which the built-in policy denies, and the one
# that asks for F_NOTIFY, which is not implemented.
set -u
python=/usr/bin/python3
$python -c 'import test.test_signal' 2>/dev/null || { echo "libpython3-testsuite is not installed"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/python.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures() { grep -aE '^(FAIL|ERROR): |^test .* (failed|crashed)|Timeout' "$1" | sed 's/ (\(.*\))$/ \1/' | sort -u; }
skipped() { grep -aE '^test.* \.\.\. skipped ' "$1" | sed 's/ \.\.\. skipped .*/: skipped/' | sort -u; }
known='test_fcntl_64_bit|test_epoll\.TestEPoll|test_os\.TestSendfile|WakeupFDTests\.test_invalid_socket|test_set_wakeup_fd_socket_result'
bad=0
for test in "$@"; do
    (cd "$work" && exec env -i PATH="$PATH" HOME=/tmp LC_ALL=C.UTF-8 $python -m test -v --timeout=200 "$test") >"$work/native" 2>&1 </dev/null
    "${PAL_RUN:-build/pal-run}" --cwd /tmp --env LC_ALL=C.UTF-8 -- $python -m test -v --timeout=200 "$test" >"$work/pal" 2>&1 </dev/null
    grep -aqE '^Tests result:|^Result:|== Tests result' "$work/pal" || { echo "$test: no end"; tail -5 "$work/pal"; bad=1; }
    new=$(comm -13 <(failures "$work/native") <(failures "$work/pal") | grep -vE "$known"
        comm -13 <(skipped "$work/native") <(skipped "$work/pal"))
    known_count=$(failures "$work/pal" | grep -cE "$known")
    [ "$known_count" = 0 ] || new=$(grep -v "^test $test failed" <<<"$new")
    [ -z "$new" ] && continue
    echo "$test: fails under pal-run only:"
    echo "$new"
    bad=1
done
exit $bad
