# SPDX-License-Identifier: MIT
# The command line: exact names only, near names suggested, values by '=' or as the next word, completions that parse.
. "$(dirname "$0")/lib.sh.inc"
expect 125 "unknown option --rep: see pal-run --help|did you mean --report" "$PAL" --rep true
expect 125 "unknown option --raport; did you mean --report" "$PAL" --raport true
expect 125 "unknown option -x: see" "$PAL" -x true
expect 125 "option --stats takes no value" "$PAL" --stats=yes true
expect 125 "--trace=yes: give file, desc" "$PAL" --trace=yes true
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
expect 125 "give bash, zsh or fish" "$PAL" completion tcsh
# Each option of --help is in each completion and has one line of help.
for option in $("$PAL" --help | sed -n 's/^ *\(-., \)\?--\([a-z-]*\).*/\2/p'); do
    for shell in bash zsh fish; do
        grep -qE -- "(--|-l )$option" "$work/completion.$shell" || say "$shell: --$option is missing"
    done
done
exit $bad
