# SPDX-License-Identifier: MIT
# The build's step that puts cache_size in the place of libc's two functions: who calls the old function gets the new one, a function
# that is not there is passed over, and memcpy in pal-run still has its thresholds.
. "$(dirname "$0")/lib.sh.inc"
redirect=$(dirname "$0")/../../loader/launch/gen/redirect
cat >"$work/calls.c" <<'C'
#include <stdio.h>
__attribute__((noinline)) static long old(int name) { printf("old %d\n", name); return name * 2; }
__attribute__((noinline)) static long other(int name) { printf("other %d\n", name); return name * 3; }
long anew(int name) { return 1000 + name; }
int main(int count, char **words) { (void)words; printf("%ld %ld\n", old(count), other(count)); return anew(0) != 1000; }
C
for how in -static -no-pie -pie; do
    cc -O1 $how -o "$work/calls" "$work/calls.c" || say "no compiler"
    "$redirect" "$work/calls" anew old absent || say "$how: status $?"
    got=$("$work/calls")
    [ "$got" = "$(printf 'other 1\n1001 3')" ] || say "$how: $got"
done
exit $bad
