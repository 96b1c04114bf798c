# SPDX-License-Identifier: MIT
# The command line: exact names only, near names suggested, values by '=' or as the next word, completions that parse.
. "$(dirname "$0")/lib.sh.inc"
expect 125 "unknown option --rep: see pal-run --help|did you mean --report" "$PAL" --rep true
expect 125 "unknown option --raport; did you mean --report" "$PAL" --raport true
expect 125 "unknown option -x: see" "$PAL" -x true
expect 125 "option --stats takes no value" "$PAL" --stats=yes true
expect 125 "--trace=yes: expected file, desc" "$PAL" --trace=yes true
expect 125 "option --ro needs a value" "$PAL" --ro
expect 125 "option -m needs a value" "$PAL" -m
expect 0 "" "$PAL" --ro=/usr -- /bin/true
expect 0 "" "$PAL" --ro /usr /bin/true --report --bogus
expect 0 "" "$PAL" -h
expect 0 "" "$PAL" -V
for shell in bash zsh fish; do
    "$PAL" completion "$shell" >"$work/completion.$shell" || say "no completion for $shell"
    grep -q -- 'trap' "$work/completion.$shell" || say "$shell: an option is missing"
done
bash -n "$work/completion.bash" || say "the bash completion does not parse"
expect 125 "expected bash, zsh or fish" "$PAL" completion tcsh
# As wide as the terminal, and 80 columns in a file; each word stands once.
wide() { python3 - "$1" "$PAL" "${@:2}" <<'PY'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if not pid:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
text = b""
try:
    while part := os.read(fd, 65536):
        text += part
except OSError:
    pass
print(text.decode().replace("\r\n", "\n"), end="")
PY
}
"$PAL" --help >"$work/file"
for width in 80 100 200; do
    wide $width --help >"$work/help"
    [ "$(wc -L <"$work/help")" -le $width ] || say "--help at $width columns: $(awk -v w=$width 'length > w' "$work/help" | head -3)"
    cmp -s <(tr -s ' \n' '\n' <"$work/file") <(tr -s ' \n' '\n' <"$work/help") || say "--help at $width columns has other words"
    (cd "$work" && wide $width show --rw . /bin/true) | grep -v '^ids\|^  ' >"$work/show"
    [ "$(wc -L <"$work/show")" -le $width ] || say "show at $width columns: $(awk -v w=$width 'length > w' "$work/show" | head -3)"
done
[ "$(wc -L <"$work/file")" -le 80 ] || say "--help in a file: $(awk 'length > 80' "$work/file" | head -3)"
# Each option of --help is in each completion and has one line of help.
for option in $("$PAL" --help | sed -n 's/^ *\(-., \)\?--\([a-z-]*\).*/\2/p'); do
    for shell in bash zsh fish; do
        grep -qE -- "(--|-l )$option" "$work/completion.$shell" || say "$shell: --$option is missing"
    done
done
exit $bad
