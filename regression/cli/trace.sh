# SPDX-License-Identifier: MIT
# --trace writes strace's lines: names of flags and errors, strings, what a class selects, output into a file.
. "$(dirname "$0")/lib.sh.inc"
cat >"$work/guest.c" <<'C'
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    char bytes[64];
    int fd = open("/etc/no-such-file", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    fd = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0640);
    write(fd, "one\ttwo\n\1", 9);
    lseek(fd, 1, SEEK_SET);
    read(fd, bytes, 4);
    close(fd);
    void *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    madvise(at, 8192, MADV_DONTNEED);
    kill(getpid(), SIGWINCH);
    int pid = fork();
    if (!pid)
        _exit(7);
    waitpid(pid, NULL, 0);
    exit(3);
}
C
gcc -static -O1 -w "$work/guest.c" -o "$work/guest" || exit 1
"$PAL" --trace -o "$work/all" "$work/guest" /tmp/made 2>"$work/err"
[ $? = 3 ] || say "its status is not 3"
[ ! -s "$work/err" ] || say "standard error is not left alone: $(head -2 "$work/err")"
while read -r line; do
    grep -qF -- "$line" "$work/all" || say "no line: $line"
done <<'LINES'
openat(AT_FDCWD, "/etc/no-such-file", O_RDONLY|O_NOFOLLOW|O_CLOEXEC) = -1 ENOENT (No such file or directory)
openat(AT_FDCWD, "/tmp/made", O_RDWR|O_CREAT|O_EXCL, 0640) = 3
write(3, "one\ttwo\n\1", 9) = 9
lseek(3, 1, SEEK_SET) = 1
read(3, "ne\tt", 4) = 4
close(3) = 0
mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0) = 0x
, 8192, MADV_DONTNEED) = 0
, SIGWINCH) = 0
exit_group(7) = ?
exit_group(3) = ?
LINES
"$PAL" --trace=file -o "$work/file" "$work/guest" /tmp/made
grep -q 'openat(' "$work/file" || say "class file: no openat"
grep -qE ' (read|mmap|kill)\(' "$work/file" && say "class file: other calls too"
"$PAL" --trace=%signal,process -o "$work/two" "$work/guest" /tmp/made
grep -q 'kill(' "$work/two" && grep -q 'wait4(' "$work/two" || say "two classes: one is missing"
grep -q 'openat(' "$work/two" && say "two classes: a third too"
expect 125 "nonsense: expected file, desc" "$PAL" --trace=nonsense "$work/guest"
expect 125 "--output /nowhere/x: No such file" "$PAL" --trace -o /nowhere/x "$work/guest"
# The same lines as strace has them, where it may trace.
if strace -f -o "$work/native" "$work/guest" "$work/made" 2>/dev/null 3>&-; [ -s "$work/native" ]; then
    for call in lseek madvise write; do
        native=$(grep -o "$call(.*" "$work/native" | sed 's/0x[0-9a-f]*/ADDRESS/; s/  *= / = /' | grep -m1 '3, \|DONTNEED')
        ours=$(grep -o "$call(.*" "$work/all" | sed 's/0x[0-9a-f]*/ADDRESS/' | grep -m1 '3, \|DONTNEED')
        [ "$native" = "$ours" ] || say "strace: $native; --trace: $ours"
    done
fi
exit $bad
