#!/bin/bash
# SPDX-License-Identifier: MIT
# paths.sh BUILD COUNT [SEED [PAL-RUN-OPTION...]]: COUNT random operations on names, by Linux and in a sandbox: the same
# results and the same tree, and nothing outside of it touched.  See paths.c.
set -eu
B=$1 count=$2 seed=${3:-$RANDOM}
shift; shift; [ $# = 0 ] || shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
levels=$(printf 'd/%.0s' {1..90}) # paths.c says why

tree() { # where: all that is there, but for times, and for the two that were swapped to the end
    (cd "$1" && find . -path './*swaps' -prune -o -printf '%P %y %m %n %l\n' | sort &&
        find . -path './*swaps' -prune -o -type f -exec cksum {} + | sort)
}
outside() { find "$work/outside" -printf '%p %y %m %s %T@ %C@\n'; }
play() { # NAME [BLOCK]: by the program in front
    local name=$1
    shift
    rm -rf "$work/in"
    mkdir -p "$work/in/${levels}root"
    "${run[@]}" "$B/paths" "$work/in/${levels}root" "$seed" "$count" "$@" >"$work/$name.told" || echo "status $?" >>"$work/$name.told"
    tree "$work/in" >"$work/$name.tree"
}
both() {
    run=(env)
    play linux "$@"
    run=("$B/pal-run" "${options[@]}" --rw "$work/in" --)
    play sandbox "$@"
}

options=("$@")
mkdir -p "$work/outside/below" && echo untouched >"$work/outside/below/file"
before=$(outside)
both
[ "$before" = "$(outside)" ] || { echo "seed $seed: something outside was touched"; exit 1; }
tail -1 "$work/linux.told" | grep -q ^end || { echo "seed $seed: native run failed:"; tail -2 "$work/linux.told"; exit 1; }
if ! cmp -s "$work/linux.told" "$work/sandbox.told"; then
    block=$(diff "$work/linux.told" "$work/sandbox.told" | sed -n '2s/^[<>] \([0-9]*\) .*/\1/p')
    echo "seed $seed: results differ in block ${block:-?} (< Linux, > sandbox):"
    tail -1 "$work/sandbox.told"
    [ -z "$block" ] || both "$block"
    diff -U4 "$work/linux.told" "$work/sandbox.told" | head -40
    exit 1
fi
diff "$work/linux.tree" "$work/sandbox.tree" | head -20
cmp -s "$work/linux.tree" "$work/sandbox.tree" || { echo "seed $seed: the trees differ"; exit 1; }
