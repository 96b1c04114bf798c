# SPDX-License-Identifier: MIT
# What is said of slips: words of other tools, other systems' programs, double grants; a home that is kept; profiles.
. "$(dirname "$0")/lib.sh.inc"
export HOME=$work/user
mkdir "$HOME" "$work/here" && cd "$work/here" || exit 1
cp /bin/true download
expect 127 'give \./download' "$PAL" download
expect 127 "run a shell command: pal-run sh -c" "$PAL" 'ls | wc'
printf '#!/bin/sh\r\necho hi\r\n' >crlf && chmod +x crlf
expect 126 'CR LF' "$PAL" ./crlf
expect 126 'on a kernel file system: expected a program' "$PAL" /dev/null
printf 'MZ\220\0%80s' x >pe && chmod +x pe
expect 126 'Windows' "$PAL" ./pe
printf '\317\372\355\376%80s' x >mach && chmod +x mach
expect 126 'macOS' "$PAL" ./mach
expect 125 'has its own' "$PAL" --rw /proc /bin/true
expect 125 'granted twice' "$PAL" --ro /opt --rw /opt /bin/true
expect 125 'pal-run has --rw' "$PAL" --bind /x /bin/true
expect 125 'pal-run has --env' "$PAL" --setenv=X=1 /bin/true
printf '[mounts]\nat = "/x"\n' >m.toml
expect 125 'm.toml:1: .*write \[\[mounts\]\]' "$PAL" -m m.toml /bin/true
printf 'volumes = 1\n' >m.toml
expect 125 "m.toml:1: unknown key 'volumes': pal-run has" "$PAL" -m m.toml /bin/true
printf 'netwerk = 1\n' >m.toml
expect 125 "did you mean 'network'" "$PAL" -m m.toml /bin/true
expect 126 'as none can run pal-run itself' "$PAL" "$PAL" /bin/true
# A home that is kept; what tools write there is theirs.
"$PAL" --home "$work/kept" /bin/sh -c 'echo one >~/file; echo x >~/.profile' || say "--home"
[ "$("$PAL" --home "$work/kept" /bin/sh -c 'cat ~/file ~/.profile' | tr '\n' ' ')" = "one x " ] || say "--home is not kept"
[ -e "$HOME/file" ] && say "--home wrote to the real one"
[ "$(stat -c %a "$work/kept")" = 700 ] || say "--home: mode"
expect 125 'its parent must exist' "$PAL" --home "$work/no/such" /bin/true
# Profiles.
"$PAL" /bin/ls -l /usr/lib >/dev/null
"$PAL" profile list >"$work/list"
grep -qE '^[0-9a-f]{32}  [0-9-]+ +[0-9]+ names  /bin/ls$' "$work/list" || say "profile list: $(cat "$work/list")"
"$PAL" profile show /bin/ls >"$work/show" || say "profile show"
grep -q '^  program     /bin/ls$' "$work/show" && grep -q '^  opened ' "$work/show" || say "profile show: $(cat "$work/show")"
expect 1 'no such profile' "$PAL" profile show /no/such
exit $bad
