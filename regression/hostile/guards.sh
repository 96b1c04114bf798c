# SPDX-License-Identifier: MIT
# What other programs act on stays as it is in a directory that may be written, and what a pattern hides can't be read.
set -u
here=$(mktemp -d /var/tmp/pal-guards.XXXXXX) || exit 1
trap 'rm -rf "$here"' EXIT
bad=0
say() { echo "$*"; bad=1; }
run=
[ "$(id -u)" = 0 ] && run='setpriv --reuid 65534 --regid 65534 --clear-groups'
build=$(realpath "$B")
for who in '' "$run"; do
    for how in --trap=sud --trap=seccomp --walls=view; do
        rm -rf "$here/w"
        mkdir -p "$here"/w/{work,repo/.git/hooks,repo/secrets/deep,repo/sub,repo/kept,home}
        cd "$here/w" || exit 1
        printf 'hook\n' | tee repo/.git/hooks/old repo/kept/old >/dev/null
        printf '[core]\n\tbare = false\n\tfsmonitor = mine\n' >repo/.git/config
        printf 'the secret\n' | tee repo/.env repo/sub/.env repo/secrets/deep/key >/dev/null
        [ -n "$who" ] && chown -R 65534:65534 "$here" && chmod 755 "$here"
        tar cf "$here/before.tar" --mtime=@0 repo
        # shellcheck disable=SC2086
        HOME=$here/w/home $who "$build/pal-run" $how --rw "$here/w" --hide '**/.env' --hide 'repo/secrets' --deny-write 'kept/*' \
            "$build/hostile/guards" || say "as '$who', $how: something was not refused"
        tar cf "$here/after.tar" --mtime=@0 repo
        cmp -s "$here/before.tar" "$here/after.tar" || say "as '$who', $how: the repository changed: $(ls -laR repo)"
        left=$(find . \( -path '*/.git/hooks/*' ! -name '*.sample' ! -path './repo/*' \) -o -name .bashrc -o -name .vscode | head -3)
        [ -z "$left" ] || say "made all the same: $left"
        grep -rl 'fsmonitor' work --include=config 2>/dev/null | grep '/\.git/config$' && say "settings were made"
        grep -rq 'the secret' work && say "the secret came out"
    done
    [ -n "$run" ] || break
done
exit $bad
