# SPDX-License-Identifier: MIT
# Denials explain themselves: the lines after a failure, --report's kinds, why last, --json, arguments that are not shown.
. "$(dirname "$0")/lib.sh.inc"
home=$(mktemp -d /var/tmp/pal-denials.XXXXXX) || exit 1
trap 'rm -rf "$home" "$work"' EXIT
export HOME=$home PAL_JOB_MODE=fast
says() { grep -qF -- "$1" "$work/err" || say "standard error has no '$1': $(cat "$work/err")"; }
mkdir -p "$home"/proj/app "$home"/proj/shared "$home"/.config/x "$home"/state/x "$home"/tool/bin "$home"/.ssh
echo 'greet() { echo greeted; }' >"$home/proj/shared/lib.sh"
echo conf >"$home/.config/x/conf"
echo state >"$home/state/x/state"
printf '#!/bin/sh\necho tool\n' >"$home/tool/bin/tool"
echo key >"$home/.ssh/id_ed25519"
chmod +x "$home/tool/bin/tool"
cat >"$home/proj/app/job.sh" <<JOB
#!/bin/sh
bad=0
[ -r ../shared/lib.sh ] && . ../shared/lib.sh && greet || bad=1
cat ~/.config/x/conf || bad=1
cat $home/state/x/state || bad=1
$home/tool/bin/tool || bad=1
[ "\$PAL_JOB_MODE" = fast ] || bad=1
echo "\${RESULT:-done}" >out.txt || bad=1
exit \$bad
JOB
chmod +x "$home/proj/app/job.sh"
cd "$home/proj/app" || exit 1

# The first try fails and prints what is missing; the second one works.
"$PAL" ./job.sh >"$work/out" 2>"$work/err"
[ $? = 1 ] || say "the first try did not fail"
says 'pal-run: it failed (status 1) after 6 things that this sandbox does not allow:'
[ "$(grep -c '^pal-run:\|^        ' "$work/err")" = 3 ] || say "not three lines: $(cat "$work/err")"
options=$(sed -n 's/^ *to allow them: //p' "$work/err")
eval "\"$PAL\" $options ./job.sh" >"$work/out" 2>"$work/err" || say "the second try failed with $options: $(cat "$work/err")"
[ "$(tr '\n' ' ' <"$work/out")$(cat out.txt)" = "greeted conf state tool done" ] || say "the second try: $(cat "$work/out")"
[ -s "$work/err" ] && say "a program that succeeds has lines: $(cat "$work/err")"
rm -f out.txt

"$PAL" why last >"$work/out"
for line in 'write +\./out.txt +--rw \.$' 'read +~/proj/shared/lib.sh +--ro ~/proj/shared$' 'read +~/.config/x/conf +--ro ~/.config/x$' \
    'variable PAL_JOB_MODE +--env PAL_JOB_MODE$'; do
    grep -qE -- "$line" "$work/out" || say "why last has no /$line/: $(cat "$work/out")"
done

# Two things: a line each.  What is nowhere on the host, or what the program made later itself, is not told of.
"$PAL" /bin/sh -c "cat $home/proj/shared/lib.sh /no/such; mkdir ~/proj; echo >out.txt" >/dev/null 2>"$work/err"
says "it failed (status 2) after looking for 2 things that exist here but aren't shown:"
grep -qE '^        read     ~/proj/shared/lib.sh  --ro ~/proj/shared$' "$work/err" || say "$(cat "$work/err")"
grep -qE '^        write    \./out.txt +--rw \.$' "$work/err" || say "$(cat "$work/err")"
grep -q '/no/such .*--' "$work/err" && say "a path that the host has not is advised"
"$PAL" /bin/sh -c "[ -e ~/proj/shared ] || mkdir -p ~/proj/shared; exit 3" 2>"$work/err"
[ -s "$work/err" ] && say "told of what the program made itself: $(cat "$work/err")"
"$PAL" /bin/false 2>"$work/err"
[ -s "$work/err" ] && say "a failure without a denial has lines: $(cat "$work/err")"
# Nor does a profile of an earlier run, which answers ahead, keep it from being told.
for turn in 1 2 3; do
    "$PAL" /bin/sh -c '[ -r ../shared/lib.sh ] || exit 1' 2>"$work/err"
    says '~/proj/shared/lib.sh  --ro ~/proj/shared'
done
# A program that looks for keys has nobody talked into showing them.
"$PAL" /bin/sh -c 'cat ~/.ssh/id_ed25519 /etc/shadow' 2>"$work/err"
says '~/.ssh/id_ed25519  (holds secrets: no option is advised)'
grep -q -- '--ro' "$work/err" && say "keys are advised: $(cat "$work/err")"
# Names are a guest's: none of its bytes reaches the terminal as it is.
mkdir "$home/odd"
odd=$(printf '%s/odd/a\033[2Jb c' "$home")
echo >"$odd"
"$PAL" /bin/sh -c "cat '$odd' >/dev/null 2>&1; exit 1" 2>"$work/err"
grep -q "$(printf '\033')" "$work/err" && say "an escape reached the terminal"
says "--ro ~/odd"
# An argument that is not shown: one line, and not a second time.
cd "$home" || exit 1
echo >notes
expect 1 '.' "$PAL" /bin/sh -c 'cat "$1" 2>/dev/null' sh notes
says "notes exists but isn't shown to the program: add --ro ./notes"
expect 1 "holds secrets" "$PAL" /bin/sh -c 'cat "$1" 2>/dev/null' sh .ssh/id_ed25519

"$PAL" --report=all --report-file "$work/all" /bin/sh -c "cat $home/tool/bin/tool; :" 2>/dev/null
grep -q '^pal-run: not shown: read .*tool/bin/tool' "$work/all" || say "report=all: $(cat "$work/all")"
grep -q '^pal-run: variables not passed on:.* PAL_JOB_MODE' "$work/all" || say "report=all: variables"
"$PAL" --report=json --report-file "$work/json" /bin/sh -c "cat $home/tool/bin/tool; exit 4" 2>/dev/null
python3 - "$work/json" <<'PY' || say "report=json"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["status"] == 4 and "PAL_JOB_MODE" in report["variables_dropped"]
assert any(row["option"] == "--ro ./tool/bin" for row in report["not_shown"]), report
PY
expect 125 "expected denied, all or json" "$PAL" --report=most /bin/true
expect 125 "above 2" "$PAL" --json 2 /bin/true
expect 125 "--json 77: Bad file descriptor" "$PAL" --json 77 /bin/true
# Events: a line each, in order, and no guest can hold pal-run up by a reader that does not read.
mkdir "$home/rw"
"$PAL" --rw "$home/rw" --timeout 2s --json 7 /bin/sh -c "echo >$home/rw/new; cat /opt/none; rm $home/rw/new; sleep 60" \
    7>"$work/events" 2>/dev/null
python3 - "$work/events" "$home" <<'PY' || say "--json: $(cat "$work/events")"
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
told = [(e["event"], e.get("name", e.get("status"))) for e in events]
new = sys.argv[2] + "/rw/new"
assert told[-2:] == [("limit", "wall_seconds"), ("ended", 124)], told
assert told.count(("wrote", new)) == 2 and ("denied", "/opt/none") in told, told
PY
mkfifo "$work/fifo"
sleep 30 <"$work/fifo" & reader=$!
exec 9>"$work/fifo"
timeout 20 "$PAL" --json 9 /bin/sh -c 'i=0; while [ $i -lt 2000 ]; do [ -e /opt/$i ]; i=$((i+1)); done; echo through' >"$work/out"
grep -q through "$work/out" || say "a reader of events that does not read holds the program up"
exec 9>&-
kill $reader
exit $bad
