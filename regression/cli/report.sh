# SPDX-License-Identifier: MIT
# --report: which walls stood, names byte by byte, and a file for it; a manifest that the parser chokes on.
set -u
folder=$(mktemp -d /var/tmp/pal-report.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
hostile=$(printf '/none\302\233x\342\200\256')
"$B/pal-run" --report-file "$folder/report" /bin/cat "$hostile" 2>/dev/null
grep -q '^pal-run: walls: filter of 4[58] host calls; Landlock: ' "$folder/report" || exit 1
grep -q '^pal-run: denied: /none\\xc2\\x9bx\\xe2\\x80\\xae (no mount shows it)$' "$folder/report" || exit 1
if [ "$(id -u)" = 0 ]; then # ids that can't be changed are not told for a sandbox's own
    grep -q 'user id: of its own; namespaces: pal-run.s;' "$folder/report" || exit 1
    setpriv --bounding-set=-setuid,-setgid "$B/pal-run" --report /bin/true 2>&1 | grep -q "user id: pal-run's" || exit 1
fi
[ "$(stat -c %a "$folder/report")" = 600 ] || exit 1
printf '[ =' >"$folder/m.toml"
"$B/pal-run" -m "$folder/m.toml" /bin/true 2>"$folder/error"
[ $? = 125 ] && grep -q 'not TOML' "$folder/error" || exit 1
printf '\357\273\273\014' >"$folder/m.toml" # a letter that the parser's tables leave out
"$B/pal-run" -m "$folder/m.toml" /bin/true 2>"$folder/error"
[ $? = 125 ]
