# SPDX-License-Identifier: MIT
# Exit statuses: the program's; 128+N by signal N; 125, 126, 127.
. regression/cli/lib.sh.inc
expect 0 "" "$PAL" /bin/true
expect 1 "" "$PAL" /bin/false
expect 7 "" "$PAL" -- /bin/sh -c 'exit 7'
expect 143 "" "$PAL" /bin/sh -c 'kill -TERM $$'
expect 137 "" "$PAL" /bin/sh -c 'kill -KILL $$'
expect 139 "" "$PAL" --no-crash-report /bin/sh -c 'kill -SEGV $$'
expect 127 'not found' "$PAL" no-such-program
expect 127 'not found' "$PAL" /no/such/program
expect 126 'directory' "$PAL" /usr
expect 126 'executable' "$PAL" /etc/os-release
expect 125 'unknown option|unrecognized|option' "$PAL" --no-such-option /bin/true
expect 125 'PROGRAM|usage' "$PAL"
[ "$("$PAL" /bin/echo -- -m x)" = "-- -m x" ] || say "the program's own options are not left alone"
[ "$(echo in | "$PAL" /bin/cat)" = in ] || say "standard input is not passed through"
as=
[ "$(id -u)" != 0 ] || as="setpriv --reuid 65534 --regid 65534 --clear-groups"
# shellcheck disable=SC2086
[ "$($as sh -c 'echo in | "$0" --ro / /bin/cat | cat' "$PAL" 2>&1)" = in ] || say "pipes are not passed on where all of the host is shown"
[ "$(SECRET=1 LANG=C "$PAL" /usr/bin/env | grep -cE '^(SECRET|LANG)=')" = 1 ] || say "the environment is not reduced"
"$PAL" /bin/sh -c 'kill -USR1 $$; exit 3' 2>/dev/null
[ $? = 138 ] || say "a signal of the default disposition is not fatal"
(trap '' USR1; "$PAL" /bin/sh -c 'kill -USR1 $$; exit 3')
[ $? = 3 ] || say "an ignored signal does not stay ignored"
env --block-signal=USR1 "$PAL" /bin/sh -c 'kill -USR1 $$; exit 3'
[ $? = 3 ] || say "a blocked signal does not stay blocked"
# Whose is it?
own=$(mktemp) || exit 1
for status in 0 3 124 125 126 127; do
    "$PAL" --report-file "$own" /bin/sh -c "exit $status" 2>/dev/null
    grep -q "ended with status $status, the program's own" "$own" || say "a program's status $status is not told for its own"
    : >"$own"
done
"$PAL" --report-file "$own" --timeout 1 /bin/sleep 9 2>/dev/null
grep -q "ended with status 124, pal-run's" "$own" || say "the time limit's status is not told for pal-run's: $(cat "$own")"
: >"$own"
"$PAL" --report-file "$own" no-such-program 2>/dev/null
! grep -q 'ended with' "$own" || say "what was not started has ended"
rm -f "$own"
exit $bad
