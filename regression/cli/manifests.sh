# SPDX-License-Identifier: MIT
# Limits by options and by manifest; manifests that extend others, name ~ and variables, and lie beside what they name.
. "$(dirname "$0")/lib.sh.inc"
expect 124 'time limit \(1 s\) exceeded' "$PAL" --timeout 1s -- sleep 30
expect 0 "" "$PAL" --timeout=1h -- true
expect 125 "expected seconds, or a time such as 5m" "$PAL" --timeout 0 -- true
expect 125 "expected seconds, or a time such as 5m" "$PAL" --timeout 5x -- true
expect 125 "expected bytes, or a size such as 512M" "$PAL" --memory 12Q -- true
expect 125 "expected a number of at least 1" "$PAL" --pids 0 -- true
# Many times: the picoprocess changes its ids while it is given limits, which a root without CAP_SYS_RESOURCE may not do then.
for _ in $(seq 20); do
    "$PAL" --memory 200M -- /usr/bin/python3 -c 'x = bytearray(1 << 30)' >"$work/out" 2>&1 && say "--memory 200M: 1 GiB was had"
done
grep -q MemoryError "$work/out" || say "--memory: $(tail -1 "$work/out")"
"$PAL" --pids 8 -- sh -c 'i=0; while [ $i -lt 20 ]; do sleep 2 & i=$((i+1)); done; wait' >"$work/out" 2>&1
grep -qi 'fork\|resource' "$work/out" || say "--pids 8: 20 children were made"

mkdir -p "$work/home/data" "$work/project/src"
echo from-home >"$work/home/data/file"
echo from-project >"$work/project/src/file"
cat >"$work/project/base.toml" <<'M'
program = "/bin/cat"
args = ["/src/file"]
pass_env = ["LANG"]
[env]
WHO = "base"
[limits]
timeout = "2m"
processes = 16
[[mounts]]
at = "/usr"
[[mounts]]
at = "/bin"
[[mounts]]
at = "/lib"
[[mounts]]
at = "/lib64"
[[mounts]]
at = "/src"
from = "src"
M
cat >"$work/project/own.toml" <<'M'
extends = "base.toml"
args = ["/home-data/file", "/src/file"]
[env]
WHO = "own"
[limits]
processes = 8
[[mounts]]
at = "/home-data"
from = "~/data"
[[mounts]]
at = "/again"
from = "${HOME}/data"
access = "rw"
M
got=$(cd / && HOME=$work/home "$PAL" -m "$work/project/own.toml" | paste -sd' ')
[ "$got" = "from-home from-project" ] || say "extends: said '$got'"
got=$(cd "$work/project" && HOME=$work/home "$PAL" -m own.toml -- /bin/sh -c 'echo $WHO; echo new >/again/made')
[ "$got" = own ] && [ -e "$work/home/data/made" ] || say "extends: variables or mounts: '$got'"
HOME=$work/home "$PAL" show --json -m "$work/project/own.toml" | python3 -c '
import json, sys
limits = json.load(sys.stdin)["limits"]
assert limits["processes"] == 8 and limits["wall_seconds"] == 120, limits' || say "extends: limits"
echo 'extends = "circle.toml"' >"$work/circle.toml"
expect 125 "extend each other more than 8 deep, perhaps in a circle" "$PAL" -m "$work/circle.toml" true
echo 'extends = "none.toml"' >"$work/lost.toml"
expect 125 "none.toml: can't read the manifest: No such file" "$PAL" -m "$work/lost.toml" true
# shellcheck disable=SC2016
printf '[[mounts]]\nat = "/x"\nfrom = "${NO_SUCH_VARIABLE}/x"\n' >"$work/unset.toml"
expect 125 "unset.toml:3: from: it names a variable that is not set" "$PAL" -m "$work/unset.toml" true
printf '[[mounts]]\nat = "x"\n' >"$work/relative.toml"
expect 125 "relative.toml:2: at: it must be an absolute path" "$PAL" -m "$work/relative.toml" true
exit $bad
