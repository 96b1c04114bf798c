#!/bin/bash
# SPDX-License-Identifier: MIT
# sqlite_kill.sh BUILD KIND ROUNDS: sqlite_kill.py on a mount that is written (rw) or copied (cow), begun by the host.
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/pal-sqlite.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
script=$PWD/regression/soak/files/sqlite_kill.py
/usr/bin/python3 "$script" "$work" 1 || exit 1
before=$(cat "$work"/* | cksum)
"$1/pal-run" "--$2" "$work" --ro "$script" /usr/bin/python3 "$script" "$work" "$3" || exit 1
[ "$2" = rw ] || [ "$(cat "$work"/* | cksum)" = "$before" ] || { echo "the host's files have changed"; exit 1; }
