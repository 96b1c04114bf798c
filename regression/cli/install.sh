# SPDX-License-Identifier: MIT
# make install: what it puts where, that the installed file runs stripped and by itself, and that manual pages are whole.
. "$(dirname "$0")/lib.sh.inc"
command -v scdoc >/dev/null || { echo "scdoc is not installed"; exit 77; }
make --no-print-directory -s install-files B="$B" DESTDIR="$work/root" PREFIX=/usr >"$work/log" 2>&1 || say "make install: $(tail -3 "$work/log")"
root=$work/root/usr
[ "$("$root/bin/pal-run" /bin/echo installed)" = installed ] || say "the installed file does not run"
[ -e "$root/bin/picoprocess" ] && say "there is a second file"
for page in man1/pal-run.1 man5/pal-manifest.5; do
    man --warnings -E UTF-8 -l -Tutf8 "$root/share/man/$page" >"$work/page" 2>"$work/warnings"
    [ ! -s "$work/warnings" ] || say "$page: $(head -2 "$work/warnings")"
done
# Each option that --help shows is in the manual, and each key of the manifest.
for option in $("$root/bin/pal-run" --help | sed -n 's/^ *\(-., \)\?--\([a-z-]*\).*/\2/p'); do
    grep -q -- "${option//-/.*-}" "$root/share/man/man1/pal-run.1" || say "the manual lacks --$option"
done
for key in program args cwd uid gid pass_env at from access type memory processes files cpu_seconds wall_seconds; do
    sed 's/\\//g' "$root/share/man/man5/pal-manifest.5" | grep -q "$key" || say "pal-manifest(5) lacks $key"
done
# The AppArmor profile parses; what it allows is unknown to parsers before AppArmor 4: without those lines, then.
profile=$root/share/pal-run/apparmor.profile
grep -q '^profile pal-run /usr/bin/pal-run flags=(unconfined) {$' "$profile" || say "the AppArmor profile is for another file"
if PATH=$PATH:/sbin:/usr/sbin command -v apparmor_parser >/dev/null; then
    [ -e /etc/apparmor.d/abi/4.0 ] || sed -i '/^abi /d; /^  userns,$/d' "$profile"
    PATH=$PATH:/sbin:/usr/sbin apparmor_parser -Q -K "$profile" >"$work/log" 2>&1 || say "the AppArmor profile: $(cat "$work/log")"
    sed 's/include if/include of/' "$profile" >"$work/wrong"
    PATH=$PATH:/sbin:/usr/sbin apparmor_parser -Q -K "$work/wrong" >/dev/null 2>&1 && say "any profile parses"
fi
bash -n "$root/share/bash-completion/completions/pal-run" || say "the bash completion does not parse"
ls "$root"/share/pal-run/manifests/*.toml >/dev/null || say "no manifests"
exit $bad
