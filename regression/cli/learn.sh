# SPDX-License-Identifier: MIT
# learn: a run that changes nothing, the manifest that it needed, the same text each time, and a run by it.
. "$(dirname "$0")/lib.sh.inc"
home=$(mktemp -d /var/tmp/pal-learn.XXXXXX) || exit 1
trap 'rm -rf "$home" "$work"' EXIT
export HOME=$home/user
mkdir -p "$HOME"/{proj/sub,.config/x,.ssh,.cache} "$home"/{state,many,unused}
for i in 1 2 3 4 5 6; do echo "$i" >"$home/many/$i"; done
echo state >"$home/state/one"
echo other >"$home/state/two"
echo conf >"$HOME/.config/x/conf"
echo key >"$HOME/.ssh/id_rsa"
cd "$HOME/proj" || exit 1
cat >job.sh <<JOB
cat $home/state/one $home/many/* ~/.config/x/conf
cat ~/.ssh/id_rsa 2>/dev/null
echo result >sub/out
echo cached >~/.cache/c
JOB
"$PAL" learn -o "$work/m.toml" /bin/sh job.sh >"$work/out" 2>"$work/err" || say "learn: $(cat "$work/err")"
grep -q key "$work/out" && say "learn showed a key"
[ "$(tr '\n' ' ' <"$work/out")" = "state 1 2 3 4 5 6 conf " ] || say "the run while learning: $(cat "$work/out")"
[ -e sub/out ] && say "learn wrote to the host"
[ -e ~/.cache/c ] && say "learn wrote to the home"
grep -q "^pal-run: $work/m.toml lists what the run needed" "$work/err" || say "said: $(cat "$work/err")"
python3 - "$work/m.toml" "$home" <<'PY' || say "the manifest: $(cat "$work/m.toml")"
import sys, tomllib
m = tomllib.load(open(sys.argv[1], "rb"))
home = sys.argv[2]
mounts = {e["at"]: e for e in m["mounts"]}
assert m["cwd"] == home + "/user/proj" and m["args"] == ["job.sh"], m
assert home + "/many" in mounts and home + "/state/one" in mounts, sorted(mounts)
assert home + "/user/proj" not in mounts and home + "/user/proj/job.sh" in mounts, sorted(mounts)
assert mounts[home + "/user/.cache"].get("type") == "tmpfs", sorted(mounts)
assert home + "/state" not in mounts and not any("unused" in at or ".ssh" in at for at in mounts), sorted(mounts)
assert mounts[home + "/user/proj/sub"].get("access") == "rw", sorted(mounts)
assert not any(e.get("access") == "rw" and e["at"] != home + "/user/proj/sub" for e in m["mounts"]), m
PY
grep -q '^# It looked for .*id_rsa, which holds secrets' "$work/m.toml" || say "secrets are not told of"
"$PAL" -m "$work/m.toml" >"$work/again" 2>"$work/err" || say "by the manifest: $(cat "$work/err")"
cmp -s "$work/out" "$work/again" && [ "$(cat sub/out)" = result ] || say "by the manifest: $(cat "$work/again" "$work/err")"
rm sub/out
"$PAL" learn -o "$work/m2.toml" /bin/sh job.sh >/dev/null 2>&1
cmp -s "$work/m.toml" "$work/m2.toml" || say "not the same from run to run: $(diff "$work/m.toml" "$work/m2.toml")"
expect 125 'usage: pal-run learn' "$PAL" learn /bin/true
expect 125 'takes no manifest' "$PAL" learn -o "$work/m" --net host /bin/true
exit $bad
