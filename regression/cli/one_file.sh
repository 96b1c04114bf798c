# SPDX-License-Identifier: MIT
# pal-run is one file: a copy runs anywhere, under another name, by a symlink, without its build directory; a file named
# picoprocess that lies beside it is never executed; and nothing of pal-run is left in a guest's address space.
. "$(dirname "$0")/lib.sh.inc"
cp "$PAL" "$work/renamed"
printf '#!/bin/sh\ntouch %s/planted\n' "$work" >"$work/picoprocess"
chmod +x "$work/picoprocess"
mkdir "$work/links"
cp "$work/picoprocess" "$work/links/"
ln -s ../renamed "$work/links/pal"
[ "$("$work/renamed" /bin/echo one)" = one ] || say "a copy does not run"
[ "$("$work/links/pal" /bin/echo two)" = two ] || say "a symlink does not run"
[ "$(PATH=$work/links:$PATH pal /bin/echo three)" = three ] || say "it does not run by PATH"
[ "$(exec -a picoprocess "$work/renamed" /bin/echo four 2>/dev/null)" = "" ] || say "it serves as a picoprocess by itself"
[ -e "$work/planted" ] && say "a planted picoprocess was executed"
cat >"$work/low.c" <<'C'
#include <stdio.h>
#include <sys/mman.h>
int main(void)
{
    /* Where pal-run's own text and data would be. */
    void *at = mmap((void *)0x400000, 0x400000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("%s\n", at == (void *)0x400000 ? "free" : "taken");
    return 0;
}
C
gcc -pie "$work/low.c" -o "$work/low" && [ "$("$PAL" "$work/low")" = free ] || say "pal-run's addresses are taken in the guest"
exit $bad
