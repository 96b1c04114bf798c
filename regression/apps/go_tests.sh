#!/bin/bash
# SPDX-License-Identifier: MIT
# go_tests.sh PACKAGE...: Go's own tests, natively and under pal-run: those that fail must be the same, and none skipped that
# runs natively.  Excused are those that want raw sockets, which nobody gets in a sandbox, and a name that is looked up outside.
set -u
PATH=$PATH:/usr/lib/go/bin
root=$(go env GOROOT 2>/dev/null) && [ -e "$root/src/net/net_test.go" ] || { echo "golang-go and its source are not installed"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/go.XXXXXX") || exit 1
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export HOME=$work GOCACHE=$work/cache GOFLAGS=-p=2
pal=$(realpath "${PAL_RUN:-build/pal-run}")
sources=$(dirname "$(realpath "$root/src")")
excused='TestIPConn|TestRealDNS|TestTransportEventTraceRealDNS'
lines() { grep -aE -- "^ *--- $1:|^panic:" "$2" | sed 's/ ([0-9.]*s)$//' | grep -vE "$excused" | sort -u; }
bad=0
for package in "$@"; do
    go test -c -o "$work/tests" "$package" || { bad=1; continue; }
    cd "$sources/src/$package" || exit 1
    timeout 600 "$work/tests" -test.v -test.short >"$work/native" 2>&1 </dev/null
    timeout 900 "$pal" --ro "$sources" --ro "$root" --ro "$work" -- "$work/tests" -test.v -test.short >"$work/pal" 2>&1 </dev/null
    grep -aqE '^(PASS|FAIL)$' "$work/pal" || { echo "$package: no end"; tail -5 "$work/pal"; bad=1; }
    new=$(comm -13 <(lines FAIL "$work/native") <(lines FAIL "$work/pal"); comm -13 <(lines SKIP "$work/native") <(lines SKIP "$work/pal"))
    echo "# $package: $(grep -ac -- '--- PASS' "$work/pal") pass, natively $(grep -ac -- '--- PASS' "$work/native")"
    [ -z "$new" ] && continue
    echo "$package: under pal-run only:"
    echo "$new"
    bad=1
done
exit $bad
