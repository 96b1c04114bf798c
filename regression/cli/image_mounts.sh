# SPDX-License-Identifier: MIT
# Mounts of disk images: what is shown is what was put there, files are mapped and run, and an AppImage runs.
. "$(dirname "$0")/lib.sh.inc"
PATH=$PATH:/sbin:/usr/sbin
t=$work/tree
mkdir -p "$t/sub/deep" "$t/bin" "$t/mounted" "$work/host"
echo hello >"$t/hello"
ln "$t/hello" "$t/sub/hard"
ln -s hello "$t/link"
ln -s ../hello "$t/sub/up"
head -c 3000000 /dev/urandom >"$t/sub/random"
truncate -s 5M "$t/sparse" && printf x >>"$t/sparse"
for i in $(seq 300); do echo "$i" >"$t/sub/deep/file-$i"; done
cp /bin/busybox "$t/bin/" 2>/dev/null || cp /bin/cat "$t/bin/busybox"
chmod 555 "$t/bin/busybox"
chmod 640 "$t/sub/random"
chmod 1777 "$t/sub"
touch -d '2001-02-03 04:05:06 UTC' "$t/hello" "$t/sub/deep"
echo shown >"$work/host/file"
mksquashfs "$t" "$work/squashfs" -quiet -no-progress -comp zstd >/dev/null || exit 1
mke2fs -q -t ext4 -d "$t" "$work/ext4" 24M >/dev/null 2>&1
truncate -s 48M "$work/disk" && printf 'label: gpt\nsize=16MiB\nsize=25MiB\n' | sfdisk -q "$work/disk" 2>/dev/null
dd if="$work/ext4" of="$work/disk" bs=1M seek=17 conv=notrunc status=none
{ head -c 12345 /dev/zero; cat "$work/squashfs"; } >"$work/offset"
chmod 644 "$work"/{squashfs,ext4,disk,offset}

# The sandbox's own diff and find, of the tree on the host and in the image.
see='diff -r --no-dereference -x lost+found "$0" /m && cd "$0" && find . -mindepth 1 -printf "%P %y %m %n %Ts %l\n" | sort >/tmp/a && cd /m &&
    find . -mindepth 1 -name lost+found -prune -o -mindepth 1 -printf "%P %y %m %n %Ts %l\n" | sort >/tmp/b && diff /tmp/a /tmp/b &&
    [ "$(/m/bin/busybox cat /m/sub/../link)" = hello ] && ! echo x 2>/dev/null >/m/new && ! rm /m/hello 2>/dev/null && ! chmod 777 /m/hello 2>/dev/null'
for walls in view monitor; do
    for image in "$work/squashfs" "$work/ext4" "$work/disk:2"; do
        "$PAL" --walls=$walls --ro "$t" --image "/m=$image" sh -c "$see" "$t" >"$work/out" 2>&1 || say "$walls ${image##*/}: $(head -3 "$work/out")"
    done
done
manifest() { printf '%s\n' '[[mounts]]' 'at = "/usr"' '[[mounts]]' 'at = "/bin"' '[[mounts]]' 'at = "/lib"' '[[mounts]]' 'at = "/lib64"' '[[mounts]]' 'at = "/m"' \
    'type = "image"' "$@" >"$work/m.toml"; }
manifest 'file = "offset"' 'offset = 12345' 'size = "1M"'
[ "$("$PAL" -m "$work/m.toml" /bin/cat /m/sub/up)" = hello ] || say "an offset"
# What is held has a bound: a file that has no room is an error of its own, others are read.
got=$("$PAL" -m "$work/m.toml" /bin/sh -c 'cat /m/sub/random 2>&1 | tail -1; cat /m/hello')
[ "$got" = "cat: /m/sub/random: No space left on device
hello" ] || say "the bound: $got"
manifest 'file = "disk"' 'part = 2'
[ "$("$PAL" -m "$work/m.toml" /bin/cat /m/sub/up)" = hello ] || say "a partition"
manifest 'file = "disk"' 'part = 2' 'access = "rw"'
expect 125 'an image is read-only' "$PAL" -m "$work/m.toml" /bin/true
# A copy of it: what a program changes, and what it leaves, is as in a plain directory; the image stays as it is.
change='cd "$0" && echo more >>sub/random && echo new >new && rm sub/hard && mv sub/deep sub/moved && echo x >sub/moved/file-7 && : >sparse &&
    mv link renamed && ln hello second && rm -r mounted && chmod 600 hello && mkdir -p a/b && cp sub/moved/file-9 a/b && rm sub/moved/file-9'
cp -a "$t" "$work/plain" && sh -c "$change" "$work/plain" || say "the plain directory"
for image in squashfs ext4; do
    before=$(cksum <"$work/$image")
    manifest "file = \"$image\"" 'access = "cow"' '[[mounts]]' "at = \"$work/plain\"" '[[mounts]]' 'at = "/tmp"' 'type = "tmpfs"'
    "$PAL" -m "$work/m.toml" /bin/sh -c "$change"' && diff -r --no-dereference -x lost+found "$0" "$1" && cd "$0" && find . -mindepth 1 ! -type d -printf "%P %y %m %l\n" | sort >/tmp/a &&
        cd "$1" && find . -mindepth 1 ! -type d -printf "%P %y %m %l\n" | sort >/tmp/b && diff /tmp/a /tmp/b' /m "$work/plain" >"$work/out" 2>&1 || say "a copy of $image: $(head -3 "$work/out")"
    [ "$(cksum <"$work/$image")" = "$before" ] || say "$image was changed"
    expect 125 "can't be kept yet" "$PAL" -m "$work/m.toml" --keep x /bin/true
    for guest in files_basic files_rw files_names files_dirs files_renamed files_copy files_objects shared_mappings; do
        [ -e "$B/guests/$guest" ] || continue
        "$PAL" -m "$work/m.toml" --ro "$(realpath "$B/guests")" --env TMPDIR=/m/sub --env PATH=/usr/bin:/bin "$(realpath "$B/guests/$guest")" >"$work/out" 2>&1 || say "$guest on a copy of $image: $(head -2 "$work/out")"
    done
done
# Where the host gives no tmpfs it lies on disk.
mkdir -m 700 "$work/run"
user=
[ "$(id -u)" = 0 ] && { user="setpriv --reuid 65534 --regid 65534 --clear-groups"; chown 65534:65534 "$work/run"; chmod 755 "$work"; }
none="echo 0 >/proc/sys/user/max_mnt_namespaces && exec \"\$@\"" # of that user namespace alone
# shellcheck disable=SC2086
if $user unshare -Ur sh -c "$none" sh true 2>/dev/null; then
    got=$($user env XDG_RUNTIME_DIR="$work/run" unshare -Ur sh -c "$none" sh "$PAL" --image "/m=$work/ext4" sh -c 'cat /m/hello; md5sum </m/sub/random' | paste -sd' ')
    [ "$got" = "hello $(md5sum <"$t/sub/random")" ] || say "on disk: $got"
    [ -z "$(ls -A "$work/run")" ] || say "on disk: something is left"
fi
# What is hidden is hidden there, too.
got=$("$PAL" --hide '**/hello' --image "/m=$work/ext4" sh -c 'cat /m/hello /m/link /m/sub/hard' 2>/dev/null)
[ "$got" = hello ] || say "hidden in an image: $got"
manifest 'part = 2'
expect 125 "an image needs its 'file'" "$PAL" -m "$work/m.toml" /bin/true
manifest 'file = "tree"'
expect 125 "is no plain file" "$PAL" -m "$work/m.toml" /bin/true
expect 125 'give AT=FILE' "$PAL" --image /m true
expect 125 'can.t be opened: No such file' "$PAL" --image "/m=$work/none" true
expect 125 'no ext4 or squashfs file system there' "$PAL" --image /m=/etc/passwd true
expect 125 'no such partition' "$PAL" --image "/m=$work/disk:9" true
"$PAL" show --image "/m=$work/ext4" -- true | grep -q 'image .*/m .*what that disk image holds' || say "show"

# Another mount in it; many who read one file at once; a mapping of it.
[ "$("$PAL" --image "/m=$work/ext4" --ro "/m/mounted=$work/host" cat /m/mounted/file)" = shown ] || say "a mount in an image"
got=$("$PAL" --image "/m=$work/squashfs" /usr/bin/python3 -c '
import mmap, os, hashlib
def read(): return hashlib.md5(open("/m/sub/random", "rb").read()).hexdigest()
pipes = []
for _ in range(8):
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, read().encode()); os._exit(0)
    os.close(w); pipes.append(r)
with open("/m/sub/random", "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    all = {hashlib.md5(m).hexdigest()} | {os.read(r, 99).decode() for r in pipes}
print(*all)')
[ "$got" = "$(md5sum <"$t/sub/random" | cut -d' ' -f1)" ] || say "many readers: $got"

# An AppImage: its magic, a program, and what follows its section headers.
mkdir "$work/app"
printf '%s\n' '#!/bin/sh' 'echo "$APPDIR $(basename "$APPIMAGE") $(basename "$ARGV0")" "$@"' 'cat "$APPDIR/data"' >"$work/app/AppRun"
chmod 755 "$work/app/AppRun"
echo inside >"$work/app/data"
mksquashfs "$work/app" "$work/app.sq" -quiet -no-progress >/dev/null
{ cat /bin/true; cat "$work/app.sq"; } >"$work/Some.AppImage"
printf 'AI\2' | dd of="$work/Some.AppImage" bs=1 seek=8 conv=notrunc status=none
chmod 755 "$work/Some.AppImage"
[ "$(cd "$work" && "$PAL" ./Some.AppImage a 'b c' | paste -sd' ')" = "/appimage Some.AppImage Some.AppImage a b c inside" ] ||
    say "an AppImage: $(cd "$work" && "$PAL" ./Some.AppImage a 'b c' 2>&1 | paste -sd' ')"
printf 'AI\1' | dd of="$work/Some.AppImage" bs=1 seek=8 conv=notrunc status=none
expect 126 'only type 2' "$PAL" "$work/Some.AppImage"
exit $bad
