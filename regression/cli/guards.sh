# SPDX-License-Identifier: MIT
# Patterns: git works where hooks and settings are kept, show and why tell of them, manifests have them, and they can be lifted.
. "$(dirname "$0")/lib.sh.inc"
home=$(mktemp -d /var/tmp/pal-guards.XXXXXX) || exit 1
trap 'rm -rf "$home" "$work"' EXIT
export HOME=$home GIT_CONFIG_NOSYSTEM=1
mkdir "$home/proj" && cd "$home/proj" || exit 1
cat >git.sh <<'GIT'
set -e
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q repo
cd repo
git config user.name "A B"
echo one >f && git add f && git commit -qm one
git worktree add -q ../tree
(cd ../tree && echo two >g && git add g && git commit -qm two)
git remote add origin https://example.org/x.git
git checkout -q -b topic --track master 2>/dev/null || git checkout -q -b topic
git merge -q tree 2>/dev/null
git branch -d tree -q 2>/dev/null || :
git gc -q
git log --oneline | wc -l
! git config core.fsmonitor 'touch x' 2>/dev/null
! git config alias.st '!touch x' 2>/dev/null
! git remote set-url origin https://evil.example/x.git 2>/dev/null
! (echo x >.git/hooks/pre-commit) 2>/dev/null
GIT
got=$("$PAL" --rw . --env GIT_CONFIG_NOSYSTEM /bin/sh git.sh 2>"$work/err") || say "git does not work: $(cat "$work/err")"
[ "$got" = 2 ] || say "git log has $got lines"
git -C repo config --list --local >"$work/config"
grep -q 'remote.origin.url=https://example.org/x.git' "$work/config" && grep -q 'remote.origin.fetch' "$work/config" || say "remote: $(cat "$work/config")"
grep -q 'core.filemode=true' "$work/config" || say "git took modes not to be kept"
grep -qE 'fsmonitor|alias|evil' "$work/config" && say "settings that run programs: $(cat "$work/config")"
git -C repo fsck --no-progress >/dev/null 2>&1 || say "fsck"
"$PAL" --rw . --allow-repo-config --env GIT_CONFIG_NOSYSTEM /bin/sh -c 'cd repo && git config alias.st status && echo x >.git/hooks/post-commit' ||
    say "--allow-repo-config does not lift them"
[ "$(git -C repo config alias.st)" = status ] || say "--allow-repo-config: no alias"
echo secret | tee .env repo/.env >/dev/null
"$PAL" show --rw . --hide '**/.env' --deny-write '*.lock' /bin/true >"$work/out"
grep -q '^never shown: \*\*/.env$' "$work/out" && grep -q '^never written: \*\.lock, .git/hooks/\*' "$work/out" || say "show: $(cat "$work/out")"
"$PAL" show --json --rw . --hide '**/.env' /bin/true | python3 -c '
import json, sys
rules = json.load(sys.stdin)["patterns"]
assert rules[0] == {"rule": "hide", "pattern": "**/.env"} and any(r["pattern"] == ".mcp.json" for r in rules)' || say "show --json"
"$PAL" why --rw . --hide '**/.env' .env | grep -q 'never shown' || say "why: hidden"
"$PAL" why --rw . .git/config | grep -q 'allow-repo-config' || say "why: kept"
cat >m.toml <<'TOML'
hide = ["**/.env"]
deny_write = ["notes/**"]
[[mounts]]
at = "/usr"
[[mounts]]
at = "/lib"
[[mounts]]
at = "/lib64"
[[mounts]]
at = "/work"
from = "${PWD}"
access = "rw"
TOML
mkdir notes
"$PAL" -m m.toml -- /usr/bin/sh -c '/usr/bin/cat /work/repo/.env || echo >/work/notes/x || echo >/work/.bashrc || echo all >/work/other' 2>/dev/null
[ "$(cat other)" = all ] && [ ! -e notes/x ] && [ ! -e .bashrc ] || say "manifest"
expect 125 "16 names" "$PAL" --hide '../x' /bin/true
exit $bad
