# SPDX-License-Identifier: MIT
# Container images from folders and archives: their layers one upon the other, what they run, and nothing of hostile ones.
. "$(dirname "$0")/lib.sh.inc"
[ -x /bin/busybox ] || { echo "skip: busybox is not installed"; exit 77; }
export XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$work/cache" && mkdir "$work/outside"
echo secret >"$work/outside/secret"
python3 "$(dirname "$0")/container_images.py" "$work" || exit 1
cd "$work" || exit 1
run() { timeout 60 "$PAL" --image "$@" 2>&1 </dev/null; }
is() { # WHAT WANTED GOT
    [ "$2" = "$3" ] || say "$1: $3"
}

is "what it runs" "b c /work/dir /srv
33" "$(run oci:good)"
# Whiteouts, an opaque directory, a file in a directory's place and the reverse, a hard link, a way through a symlink, names.
want="/ absolute alias bin dir etc file hard kept kept2 long old opaque owned snöw tmp up work
/old b through
/opaque new
/file y
now a file two through absolute long snow
755 1000000000
../../../kept
kept"
got=$(run oci:good -- 'for d in / /old /opaque /file; do echo $d $(ls $d); done; echo $(cat /dir /hard /old/through /absolute /long/*/* /sn*); stat -c "%a %Y" /owned; readlink /up; cat /up')
is layers "$(echo "$want" | iconv -f utf8 -t ascii//TRANSLIT)" "$(echo "$got" | sed 's/sn[^w ]*w/snow/')"
is "the entry point stays, arguments follow it" "x" "$(run oci:good -- 'echo x')"
is "written to a copy" "new
kept" "$(run oci:good -- 'echo new >/kept; cat /kept')
$(run oci:good -- 'cat /kept')"
is "what is granted besides" secret "$(run oci:good --ro "$work/outside" -- "cat $work/outside/secret")"
is "not granted" "" "$(run oci:good -- "ls $work $HOME/.[a-z]* 2>/dev/null")"
[ "$(id -u)" != 0 ] || is owners "33 44" "$(run oci:good -- 'stat -c "%u %g" /owned')"
is "by its tag, not packed, by the monitor" "plain sh" "$(PAL_RUN_WALLS=monitor run oci:plain:latest)"
[ "$(ls "$work/cache/pal-run/images"/*.squashfs | wc -l)" = 2 ] || say "what is kept: $(ls "$work/cache/pal-run/images")"
is "nothing kept" "plain sh" "$(XDG_CACHE_HOME=/dev/null run oci:plain)"
is "an archive" docker "$(run docker-archive:docker.tar)"
is "by its tag" docker "$(run docker-archive:docker.tar:one)"
is "by its name" docker "$(run docker-archive:docker.tar:some/name:one)"
tar -C poisoned -cf oci.tar . && is "an OCI archive" good "$(run oci-archive:oci.tar)"
# One that says that it is another: it is itself, and the other is, too.
is "another's config" evil "$(run oci:poison)"
is "its own" good "$(run oci:poisoned)"
is "another's config, packed" evil "$(run docker-archive:docker-packed-other.tar)"
is "the archive is as it was" docker "$(run docker-archive:docker.tar)"
# What was converted goes by its file: a changed image is another.
rm -rf changed && cp -r poisoned changed && sleep 2.1
is "before" good "$(run oci:changed)"
cp poison/blobs/sha256/* changed/blobs/sha256/ && cp poison/index.json changed/index.json
is "after" evil "$(run oci:changed)"

expect 125 'a part of it is not what its digest says' "$PAL" --image docker-archive:docker-other.tar
expect 125 'no image in it has the tag two' "$PAL" --image docker-archive:docker.tar:two
expect 125 'no image has the tag other' "$PAL" --image oci:good:other
expect 125 'it is for another machine' "$PAL" --image oci:arm
expect 127 'not found' "$PAL" --image oci:empty
expect 125 'a part of it is missing|No such file' "$PAL" --image oci:none
expect 125 'a part of it is missing' "$PAL" --image oci:outside
expect 125 'it is damaged, or no image' "$PAL" --image docker-archive:/bin/busybox
expect 125 'give no manifest' "$PAL" --image oci:good -m x
refused() { expect 125 "$2" "$PAL" --image "oci:bad-$1"; }
refused below-file 'no directory'
refused circle 'in a circle'
refused deep 'too long'
refused directory 'must not contain'
for name in cut-gzip hard-directory hard-outside hard-self json long-name noise nul path size; do refused $name 'it is damaged, or no image'; done
for name in digest truncated; do refused $name 'not what its digest says'; done
refused missing 'is missing'
refused type 'no image is in it'
refused user 'is not in its /etc/passwd'
# These are harmless: names are looked up in the image alone.
for name in dots environment negative root-file; do is "$name" "in
/probe" "$(run oci:bad-$name)"; done
for name in symlink symlink-up; do is $name "in
$work/outside/probe" "$(run oci:bad-$name)"; done
is devices "" "$(run oci:bad-device 2>/dev/null | grep -v '^find: ')"

[ "$(ls outside)" = secret ] || say "something was made outside: $(ls outside)"
[ -z "$(find "$work/cache" -name '.new.*')" ] || say "something is left"
exit $bad
