# SPDX-License-Identifier: MIT
# Findings of a review of the guest's side, one by one: what was shown then, and variants of another kind.  The names are the
# review's; docs/security.md has a table.
set -u
# shellcheck disable=SC2154
. regression/hostile/findings.sh.inc

# A source is fixed before the guest runs.
H1() {
    hold swapped rw:/w="$h/w" ro:/data="$h/w/data" -- "$G" plant /w/data "$h/out" /data/file
    fresh
    hold "a file" rw:/w="$h/w" ro:/cfg="$h/w/cfg" -- "$G" plant /w/cfg "$h/out/file" /cfg
    fresh # another kind of mount
    hold "a copy mount" rw:/w="$h/w" cow:/data="$h/w/data" -- "$G" plant /w/data "$h/out" /data/file
    fresh # the other order, and two levels above it
    as mkdir -p "$h/w/a/b/c"
    hold above ro:/data="$h/w/a/b/c" rw:/w="$h/w" -- "$G" plant /w/a "$h" /data/file /data/../out/file
    outside writes
    fresh # what an earlier run left, for each kind that has a source
    run rw:/w="$h/w" -- "$G" plant /w/data "$h/out" /none
    refuse "left, a copy mount" 'symlink in' rw:/w="$h/w" cow:/data="$h/w/data" -- /bin/cat /data/file
    refuse "left, one file" 'symlink in' rw:/w="$h/w" ro:/data="$h/w/data/file" -- /bin/cat /data
}

# The guest can't change what the next run is granted.
H1_next() {
    as ln -s "$h/w" "$h/way"
    if [ "$by" = options ]; then
        lines=(--ask-fd 9 --ask-keep "$h/w/keep.toml")
        refuse "kept answers" 'the guest can write it' rw:/w="$h/w" -- /bin/true
        refuse "kept answers, by a symlink" 'the guest can write it' rw:/w="$h/way" -- /bin/true
        return
    fi
    # Its own manifest, in what it may write, by whatever name, and what that extends.
    local way name
    for way in w way; do
        as sh -c 'cd "$0/w" && rm -rf sub new && mkdir sub && sed -n 1,200p "$1" >sub/inner.toml' "$h" "$repository/manifests/base.toml"
        manifest rw:/w="$h/$way" rw:/second="$h/w/sub" | sed "s,^extends.*,extends = \"$h/w/sub/inner.toml\"," | as tee "$h/w/own.toml" >/dev/null
        as cat "$h/w/own.toml" "$h/w/sub/inner.toml" >"$work/before"
        for name in w/own.toml way/own.toml; do
            pal -m "$h/$name" -- "$G" spoil /w/own.toml /w/sub/inner.toml /second/inner.toml >"$work/out" 2>&1 </dev/null
            pal -m "$h/$name" -- /bin/sh -c 'mv /w/sub /w/new; ln -s /etc /w/sub; rm -rf /w/sub /second/*; echo x >/w/fine' >"$work/out" 2>&1 </dev/null
            as cat "$h/w/own.toml" "$h/w/sub/inner.toml" | cmp -s - "$work/before" || say "its manifest was changed, $way, $name"
            [ -e "$h/w/fine" ] || say "nothing could be written: $(cat "$work/out")"
        done
    done
}

# Rules by name hold for a source by whatever name it was given.
H5_rules() {
    as sh -c 'cd "$0" && ln -s w way && ln -s ../w empty/up && cp out/file w/data/secret' "$h"
    local source
    for source in "$h/way" "$h/empty/up" "$h/out/../w"; do
        lines=(--hide "$h/w/data" --deny-write "$h/w/in")
        hold "hidden, $source" ro:/w="$source" -- "$G" get /w/data/secret
        hold "hidden, $source, a copy" cow:/w="$source" -- "$G" get /w/data/secret
        run rw:/w="$source" -- "$G" spoil /w/in/new
        [ ! -e "$h/w/in/new" ] || say "it was written, $source"
    done
}

rows H1 H1_next H5_rules
exit $bad
