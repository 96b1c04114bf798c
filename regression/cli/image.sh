# SPDX-License-Identifier: MIT
# pal-run image: ext4, ext2 and squashfs, whole, in partitions, and behind a program.
. "$(dirname "$0")/lib.sh.inc"
PATH=$PATH:/sbin:/usr/sbin
t=$work/tree
mkdir -p "$t/sub/deep" "$t/long"
echo hello >"$t/hello"
ln "$t/hello" "$t/hard"
ln -s hello "$t/link"
ln -s /sub/deep "$t/absolute"
ln -s ../hello "$t/sub/up"
ln -s "$(printf 'x%.0s' {1..200})" "$t/long/link"
head -c 700000 /dev/urandom >"$t/sub/random"
truncate -s 5M "$t/sparse"
printf x | dd of="$t/sparse" bs=1 seek=3000000 conv=notrunc status=none
printf x >>"$t/sparse"
for i in $(seq 500); do echo "$i" >"$t/sub/deep/file-with-a-name-$i"; done
chmod 640 "$t/sub/random"
touch -d '2001-02-03 04:05:06 UTC' "$t/hello"
mksquashfs "$t" "$work/gzip.sq" -quiet -no-progress -all-root >/dev/null || exit 1
mksquashfs "$t" "$work/zstd.sq" -comp zstd -quiet -no-progress -all-root >/dev/null
mksquashfs "$t" "$work/xz.sq" -comp xz -quiet -no-progress -all-root >/dev/null
mke2fs -q -t ext4 -d "$t" "$work/ext4" 16M >/dev/null 2>&1
mke2fs -q -t ext4 -O inline_data -I 256 -d "$t" "$work/inline" 16M >/dev/null 2>&1
mke2fs -q -t ext2 -b 4096 -d "$t" "$work/ext2" 16M >/dev/null 2>&1
{ cat /bin/true; cat "$work/gzip.sq"; } >"$work/behind" # a program, and what lies where its section headers end

look() { (cd "$1" && find . -mindepth 1 -printf '%P %y %m %s %Ts %l\n' | sed 's/^\([^ ]* d [0-9]*\) [0-9]*/\1/' | sort); }

same() {
    [ "$("$PAL" image cat "$1" hello)" = hello ] && [ "$("$PAL" image cat "$1" /sub/../link)" = hello ] &&
        [ "$("$PAL" image cat "$1" absolute/../up)" = hello ] || say "$1: cat"
    "$PAL" image cat "$1" sub/random | cmp -s - "$t/sub/random" || say "$1: cat of a large file"
    "$PAL" image ls "$1" | grep -q '^-rw-r--r-- 2 [0-9]*/[0-9]* 6 2001-02-03 04:05:06 hello$' || say "$1: ls: $("$PAL" image ls "$1" | grep hello)"
    [ "$("$PAL" image ls "$1" /sub/deep | wc -l)" = 500 ] || say "$1: ls of many"
    rm -rf "$work/copy"
    "$PAL" image cp "$1" / "$work/copy" || say "$1: cp"
    rm -rf "$work/copy/lost+found"
    diff -r --no-dereference "$t" "$work/copy" || say "$1: a copy differs"
    diff <(look "$t") <(look "$work/copy") || say "$1: attributes"
    expect 125 'it exists already' "$PAL" image cp "$1" / "$work/copy"
    expect 125 'No such file' "$PAL" image cat "$1" sub/none
    expect 125 'Is a directory' "$PAL" image cat "$1" sub
    expect 125 'No such file' "$PAL" image ls "$1" long/link/x
}
for name in gzip.sq zstd.sq xz.sq ext4 inline ext2 behind; do same "$work/$name"; done
for pair in gzip.sq:squashfs ext4:ext4 ext2:ext2 behind:squashfs; do
    "$PAL" image info "$work/${pair%:*}" | grep -q "^type: ${pair#*:}$" || say "info: $pair: $("$PAL" image info "$work/${pair%:*}" 2>&1 | head -1)"
done

for table in gpt dos; do
    truncate -s 48M "$work/disk"
    printf 'label: %s\nsize=20MiB\nsize=20MiB\n' $table | sfdisk -q "$work/disk" 2>/dev/null
    dd if="$work/ext4" of="$work/disk" bs=1M seek=21 conv=notrunc status=none
    "$PAL" image info "$work/disk" | grep -q '^2: offset 22020096, size 20971520, ' || say "$table: $("$PAL" image info "$work/disk" 2>&1)"
    [ "$("$PAL" image cat "$work/disk:2" hello)" = hello ] || say "$table: a file of a partition"
    expect 125 'no ext4 or squashfs file system there' "$PAL" image ls "$work/disk:1"
    expect 125 'no such partition' "$PAL" image ls "$work/disk:7"
    expect 125 'give one: .*disk:1' "$PAL" image ls "$work/disk"
    rm "$work/disk"
done
expect 125 'usage' "$PAL" image
expect 125 'usage' "$PAL" image cat "$work/ext4"
expect 125 'not a plain file' "$PAL" image ls /dev/null
expect 125 'No such file' "$PAL" image ls "$work/none"
expect 125 'no ext4 or squashfs' "$PAL" image ls /etc/passwd
# A journal that was not replayed: what is there may not be what was written.
debugfs -w -R 'feature needs_recovery' "$work/ext4" >/dev/null 2>&1
expect 125 'not unmounted cleanly' "$PAL" image ls "$work/ext4"
exit $bad
