# SPDX-License-Identifier: MIT
# pal-run's commands: show, why, ps, kill, doctor, shell; and a program of such a name by `--`.
. "$(dirname "$0")/lib.sh.inc"
has() { # PATTERN COMMAND...
    local pattern=$1
    shift
    timeout 20 "$@" </dev/null >"$work/out" 2>"$work/err" || say "$*: status $?: $(head -2 "$work/err")"
    grep -qE -- "$pattern" "$work/out" || say "$*: no line like /$pattern/: $(head -5 "$work/out")"
}
mkdir "$work/granted" "$work/hidden"
echo content >"$work/granted/file"
cd "$work/granted" || exit 1
has 'read-write +'"$work/granted" "$PAL" show --rw "$work/granted" /bin/true
has 'read-only +/data  \(the host.s '"$work/hidden"'\)' "$PAL" show --ro "/data=$work/hidden" /bin/true
has '^program: /bin/true' "$PAL" show /bin/true
"$PAL" show --json --rw "$work/granted" --env SECRET=1 /bin/true | python3 -c '
import json, sys
policy = json.load(sys.stdin)
assert any(m["access"] == "read-write" for m in policy["mounts"]), policy
assert "SECRET" in policy["variables"] and policy["limits"]["memory"] is None' || say "show --json"
has 'to show the host.s: --ro '"$work/hidden" "$PAL" why "$work/hidden"
has 'not shown .*' "$PAL" why /opt/no-such
has 'refused: the mount /etc' "$PAL" why /etc/shadow
has 'the sandbox.s own' "$PAL" why /proc/1/mem
has 'private: empty' "$PAL" why /tmp/x
has 'may be read and written' "$PAL" why --rw "$work/granted" "$work/granted/file"
# What why says is what a run does.
[ "$("$PAL" --ro "$work/hidden" /bin/sh -c "ls -d $work/hidden")" = "$work/hidden" ] || say "why's advice does not help"
has 'pal-run works here' "$PAL" doctor
"$PAL" doctor --json | python3 -c 'import json, sys; assert any(c["needed"] and c["found"] for c in json.load(sys.stdin))' || say "doctor --json"
"$PAL" /bin/sleep 60 &
sandbox=$!
for _ in $(seq 100); do "$PAL" ps | grep -q "^ *$sandbox .*sleep 60" && break; sleep 0.05; done
has "^ *$sandbox +[1-9].*/bin/sleep 60" "$PAL" ps
"$PAL" ps --json | python3 -c "import json, sys; assert any(s['pid'] == $sandbox and s['processes'] > 0 for s in json.load(sys.stdin))" || say "ps --json"
expect 1 "kill: $$ is not a sandbox" "$PAL" kill $$
expect 125 "'NONSENSE' is not a signal" "$PAL" kill -NONSENSE $sandbox
expect 0 "" "$PAL" kill $sandbox
wait $sandbox
[ $? = 143 ] || say "the sandbox did not end by SIGTERM"
expect 1 "is not a sandbox" "$PAL" kill $sandbox
has '^ +PID +PROCS' "$PAL" ps
# Not the commands: a program by such a name.
ln -s /bin/echo "$work/granted/doctor"
[ "$(PATH=$work/granted:$PATH "$PAL" -- doctor ran)" = ran ] || say "a program named doctor does not run"
[ "$(echo 'echo in-shell' | SHELL=/bin/sh "$PAL" shell)" = in-shell ] || say "shell"
# A private directory to start in is not made only to be shown.
cat >"$work/private.toml" <<TOML
program = "/bin/true"
cwd = "/work"
mounts = [{at = "/usr"}, {at = "/bin"}, {at = "/lib"}, {at = "/lib64"}, {at = "/work", type = "tmpfs"}]
TOML
"$PAL" show -m "$work/private.toml" >"$work/out" 2>&1 && grep -q 'started in /work$' "$work/out" || say "show: a tmpfs cwd: $(cat "$work/out")"
exit $bad
