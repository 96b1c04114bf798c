# SPDX-License-Identifier: MIT
# The commands of the quick start and the recipes, as a reader would type them: each line that begins with "$ " is run, in
# a directory and a home of its own; "# exits N" behind it tells the status, else it is 0.
. "$(dirname "$0")/lib.sh.inc"
docs=$PWD/docs
mkdir "$work/bin"
ln -s "$PAL" "$work/bin/pal-run"
export PATH="$work/bin:/usr/bin:/bin"
for page in quickstart recipes; do
    mkdir -p "$work/$page" "$work/home-$page"
    count=0
    while IFS= read -r command; do
        want=0
        [[ $command =~ \#\ exits\ ([0-9]+)$ ]] && want=${BASH_REMATCH[1]}
        (cd "$work/$page" && HOME=$work/home-$page timeout 60 bash -c "$command") >"$work/out" 2>&1 </dev/null
        got=$?
        [ $got = "$want" ] || say "docs/$page.md: '$command': status $got, not $want: $(tail -2 "$work/out")"
        count=$((count + 1))
    done < <(sed -n 's/^    \$ //p' "$docs/$page.md")
    [ $count -gt 5 ] || say "docs/$page.md: only $count commands were found"
done
# Links between pages lead somewhere.
while IFS=: read -r page link; do
    [ -e "docs/${link%%#*}" ] || say "$page: a link to $link, which is not there"
done < <(grep -oE '\]\([a-zA-Z0-9_./-]+(#[a-z-]*)?\)' docs/*.md | sed 's/\](\(.*\))/\1/')
exit $bad
