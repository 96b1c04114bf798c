#!/bin/bash
# SPDX-License-Identifier: MIT
# compare.sh BUILD KIND COUNT [SEED...]: random operations on a tree, natively and in a sandbox: the same lines are told.
# PROCESSES in the environment: as many take turns.
# KIND: rw, a mount that is written; cow, a copy mount, which leaves the host's tree as it was.
set -u
B=$1 kind=$2 count=$3
shift 3
work=$(mktemp -d "${TMPDIR:-/tmp}/pal-compare.XXXXXX") || exit 1
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
look() { find "$1" -printf '%P %y %m %s %T@ %l\n' | sort; find "$1" -type f -exec cat {} + | cksum; }
bad=0
for seed in "${@:-1}"; do
    mkdir "$work/native" "$work/inside"
    "$B/compare" make "$work/native" "$seed" && "$B/compare" make "$work/inside" "$seed" || exit 1
    look "$work/inside" >"$work/before"
    COMPARE_ROOT=$work/native "$B/compare" run "$work/native" "$seed" "$count" "${PROCESSES:-1}" >"$work/expected"
    "$B/pal-run" "--$kind" "$work/inside" --env "COMPARE_ROOT=$work/inside" "$B/compare" run "$work/inside" "$seed" "$count" "${PROCESSES:-1}" \
        >"$work/got"
    if ! diff -U8 "$work/expected" "$work/got" >"$work/difference"; then
        echo "seed $seed: differs:"
        head -40 "$work/difference"
        bad=1
    fi
    if [ "$kind" = cow ] && ! look "$work/inside" | diff "$work/before" -; then
        echo "seed $seed: the host's files have changed"
        bad=1
    fi
    chmod -R u+rwX "$work/native" "$work/inside"
    rm -rf "$work/native" "$work/inside"
done
exit $bad
