# SPDX-License-Identifier: MIT
# What belongs to a program comes along, read-only; what only a file that anybody may have written names does not.
. "$(dirname "$0")/lib.sh.inc"
home=$(mktemp -d /var/tmp/pal-companions.XXXXXX) || exit 1
trap 'rm -rf "$home" "$work"' EXIT
export HOME=$home/user
shown() { # WHY PATH COMMAND...: show tells that it came along
    local why=$1 path=$2
    shift 2
    "$PAL" show "$@" >"$work/out" 2>"$work/err" || say "show $*: $(cat "$work/err")"
    grep -qF "$path  ($why" "$work/out" || say "show $*: no '$path ($why': $(grep -E 'read-|\(' "$work/out")"
}
not_shown() { # PATH COMMAND...
    local path=$1
    shift
    "$PAL" show "$@" | grep -qE "[ -](only|write) +$path( |$)" && say "show $*: $path came along"
}
mkdir -p "$home"/{tool/bin,tool/lib,tool/share,user/project/sub,user/.ssh,user/private}
cd "$home/user/project" || exit 1
# bin beside lib.
printf '#!/bin/sh\ncat "$(dirname "$(readlink -f "$0")")/../lib/data"\n' >"$home/tool/bin/tool"
chmod +x "$home/tool/bin/tool"
echo from-lib >"$home/tool/lib/data"
[ "$("$PAL" "$home/tool/bin/tool")" = from-lib ] || say "lib beside bin is not shown"
shown "beside the program's bin" "$home/tool/lib" "$home/tool/bin/tool"
"$PAL" "$home/tool/bin/tool" >/dev/null || say "tool"
"$PAL" /bin/sh -c "echo x >$home/tool/lib/data" 2>/dev/null
[ "$(cat "$home/tool/lib/data")" = from-lib ] || say "a companion was written"
# A symlink in PATH to an installation elsewhere.
mkdir "$home/links" && ln -s ../tool/bin/tool "$home/links/tool"
[ "$(PATH=$home/links:$PATH "$PAL" tool 2>"$work/err")" = from-lib ] || say "a symlink to a tool: $(cat "$work/err")"
# A home is no prefix: nothing beside ~/bin.
mkdir -p "$HOME/bin" "$HOME/lib" && cp "$home/tool/bin/tool" "$HOME/bin/"
not_shown "$HOME/lib" "$HOME/bin/tool"
# A virtual environment, and the Python that it was made from.
mkdir -p "$home/py/bin" "$home/py/lib/python3.11" "$home/env/bin"
touch "$home/py/lib/python3.11/os.py"
printf 'home = %s\n' "$home/py/bin" >"$home/env/pyvenv.cfg"
cp /bin/true "$home/env/bin/prog"
shown "the program's virtual environment" "$home/env" "$home/env/bin/prog"
shown "the virtual environment's Python" "$home/py" "$home/env/bin/prog"
for planted in "$HOME/.ssh" "$HOME/private" "$HOME" /; do
    printf 'home = %s/bin\n' "$planted" >"$home/env/pyvenv.cfg"
    mkdir -p "$HOME/.ssh/bin" "$HOME/private/bin"
    not_shown "$planted" "$home/env/bin/prog"
done
/usr/bin/python3 -m venv --without-pip "$home/real" 2>/dev/null &&
    { [ "$("$PAL" "$home/real/bin/python3" -c 'import sys; print(sys.prefix)')" = "$home/real" ] || say "a real venv"; }
# Version managers: their own, and not what lies beside them.
mkdir -p "$HOME"/.pyenv/{shims,versions/3/bin} "$HOME"/.cargo/bin "$HOME"/.rustup/toolchains
echo token >"$HOME/.cargo/credentials.toml"
cp /bin/true "$HOME/.cargo/bin/cargo"
printf '#!/bin/sh\nexec "$HOME/.pyenv/versions/3/bin/py"\n' >"$HOME/.pyenv/shims/py"
printf '#!/bin/sh\necho pyenv\n' >"$HOME/.pyenv/versions/3/bin/py"
chmod +x "$HOME"/.pyenv/shims/py "$HOME"/.pyenv/versions/3/bin/py
[ "$(PATH=$HOME/.pyenv/shims:$PATH "$PAL" py)" = pyenv ] || say "a pyenv shim does not run"
shown "the program's version manager" "$HOME/.rustup" "$HOME/.cargo/bin/cargo"
not_shown "$HOME/.cargo" "$HOME/.cargo/bin/cargo"
# Packages above, for node alone; a symlink is not followed.
mkdir -p "$home/web/node_modules/x" "$home/web/app" "$home/web2/app" "$home/nodebin"
cp /bin/true "$home/nodebin/node"
ln -s "$HOME/private" "$home/web2/node_modules"
(cd "$home/web/app" && shown "packages above the current directory" "$home/web/node_modules" "$home/nodebin/node"; exit $bad) || bad=1
(cd "$home/web/app" && not_shown "$home/web/node_modules" /bin/true; exit $bad) || bad=1
(cd "$home/web2/app" && not_shown "$home/web2/node_modules" "$home/nodebin/node"; exit $bad) || bad=1
# A work tree's repository: read-only, writable with the tree, but not its hooks; only one that knows the tree.
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q "$home/main" && (cd "$home/main" && git commit -q --allow-empty -m one && git worktree add -q "$home/tree")
cd "$home/tree" || exit 1
[ "$("$PAL" git log --format=%s)" = one ] || say "git log in a work tree"
shown "the work tree's repository" "$home/main/.git" /bin/true
"$PAL" --rw . --env 'GIT_*' /bin/sh -c "echo x >f && git add f && git commit -qm two; echo x >$home/main/.git/hooks/pre-commit; echo x >>$home/main/.git/config" 2>/dev/null
[ "$(git log --format=%s | head -1)" = two ] || say "a commit in a work tree"
[ -e "$home/main/.git/hooks/pre-commit" ] && say "a hook was written"
grep -q '^x' "$home/main/.git/config" && say "settings were written"
mkdir -p "$home/planted" "$home/victim/.git/worktrees/n" "$home/victim/.git/objects"
touch "$home/victim/.git/HEAD"
echo "$home/elsewhere/.git" >"$home/victim/.git/worktrees/n/gitdir"
echo "gitdir: $home/victim/.git/worktrees/n" >"$home/planted/.git"
cd "$home/planted" || exit 1
not_shown "$home/victim/.git" /bin/true
# Variables: what tools go by, no secrets, and patterns.
export CFLAGS=-O1 PYTHONUNBUFFERED=1 CARGO_HOME=/x CARGO_REGISTRY_TOKEN=t PYTHON_PASSWORD=p GOFLAGS=https://u:p@host ZED_A=1 ZED_B=2
"$PAL" /usr/bin/env >"$work/out"
for name in CFLAGS PYTHONUNBUFFERED CARGO_HOME; do grep -q "^$name=" "$work/out" || say "$name is not passed on"; done
grep -E '^(CARGO_REGISTRY_TOKEN|PYTHON_PASSWORD|GOFLAGS|ZED_A)=' "$work/out" && say "a secret was passed on"
[ "$("$PAL" --env 'ZED_*' /usr/bin/env | grep -c '^ZED_')" = 2 ] || say "--env with a pattern"
exit $bad
