# SPDX-License-Identifier: MIT
# Bundles: a program in one file runs as it did, with its files and no others, by its policy and no other; two builds are the same bytes,
# and what was changed is not run.
. "$(dirname "$0")/lib.sh.inc"
export XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$work/cache" && mkdir "$work/data" "$work/rw" "$work/elsewhere"
echo shown >"$work/data/file"
echo key >"$work/data/id_rsa"
ln -s file "$work/data/link"
cat >"$work/hello.c" <<'C'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void cat(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");
    printf("%s: %s", path, file && fgets(text, sizeof text, file) ? text : "none\n");
}
int main(int argc, char **argv)
{
    printf("hello");
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    printf("\nSECRET %s, SET %s, at %s\n", getenv("SECRET") ? "is there" : "is not", getenv("SET") ? getenv("SET") : "is not", getcwd(NULL, 0));
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '/')
            cat(argv[i]);
    FILE *file = fopen("/new", "w");
    printf("written: %s\n", file && fputs("x", file) >= 0 && !fclose(file) ? "yes" : strerror(errno));
    return 7;
}
C
gcc "$work/hello.c" -o "$work/hello" || exit 1
export SECRET=1
pack() { "$PAL" pack -o "$work/hello.pal" --ro "$work/data" --env SET=set "$work/hello" packed >"$work/out" 2>"$work/err" || say "pack: $(cat "$work/err")"; }
pack
grep -q '1 files that hold secrets.* are left out' "$work/err" || say "a key: $(cat "$work/err")"
grep -qE '^sha256 of its contents: [0-9a-f]{64}$' "$work/out" || say "pack says: $(cat "$work/out")"
want="hello packed $work/data/link $work/data/id_rsa /etc/passwd $work/hello.c
SECRET is not, SET set, at /
$work/data/link: shown
$work/data/id_rsa: none
/etc/passwd: none
$work/hello.c: none
written: yes"
# At the first start and at later ones, kept or not, from elsewhere, by a symlink; with Landlock's and the view's help or the monitor alone.
same() { # WHAT COMMAND...
    local got what=$1
    shift
    got=$("$@" "$work/data/link" "$work/data/id_rsa" /etc/passwd "$work/hello.c" 2>"$work/err")
    [ $? = 7 ] && [ "$got" = "$want" ] || say "$what: $got $(cat "$work/err")"
}
same first "$work/hello.pal"
same second "$work/hello.pal"
[ "$(ls "$work/cache/pal-run/bundles" | wc -l)" = 1 ] && [ "$(stat -c %a "$work/cache/pal-run/bundles"/*)" = 700 ] || say "what is kept"
same strict "$work/hello.pal" --pal-strict
XDG_CACHE_HOME=/dev/null same "nothing kept" "$work/hello.pal"
cp "$work/hello.pal" "$work/elsewhere/exec" && ln -s elsewhere/exec "$work/pal-oci"
same "a copy, called as a command is" "$work/elsewhere/exec"
same "by a symlink" "$work/pal-oci"
[ -e /new ] && say "it wrote to the host"

# Two builds: the same bytes, whoever makes them and wherever.
mv "$work/hello.pal" "$work/one.pal"
(cd "$work/elsewhere" && umask 077 && HOME=/nonexistent TZ=Asia/Tokyo LC_ALL=C.UTF-8 pack)
cmp "$work/one.pal" "$work/hello.pal" || say "two builds differ"
"$PAL" image ls "$work/hello.pal" "$work/data" | grep -q '^-rw-r--r-- 1 0/0 6 1970-01-01 00:00:00 file$' || say "image ls: $("$PAL" image ls "$work/hello.pal" "$work/data" 2>&1)"

# The loader finds libraries by a cache that names them all, and looks nowhere else.
"$PAL" image cat "$work/hello.pal" /etc/ld.so.cache >"$work/cache.so"
PATH=$PATH:/sbin ldconfig -p -C "$work/cache.so" | grep -q 'libc\.so\.6 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libc\.so\.6$' || say "ld.so.cache: $(PATH=$PATH:/sbin ldconfig -p -C "$work/cache.so" 2>&1)"
"$work/hello.pal" --pal-stats 2>&1 >/dev/null | awk '/monitor: [0-9]+ open requests/ { n = $3 } END { exit !(n && n < 6) }' || say "requests of a start: $("$work/hello.pal" --pal-stats 2>&1 | grep 'open requests')"

# Names of one file stay so, unpacked or not; --ro brings a program's libraries along.
mkdir "$work/links" && echo same >"$work/links/a" && ln "$work/links/a" "$work/links/b" && ln "$work/links/a" "$work/links/c" && echo other >"$work/links/d"
"$PAL" pack -o "$work/links.pal" --ro "$work/links" --ro /usr/bin/stat /bin/sh -c "stat -c %h $work/links/*" >"$work/out" 2>&1 || say "pack links: $(cat "$work/out")"
for cache in "$work/cache" /dev/null; do
    [ "$(XDG_CACHE_HOME=$cache "$work/links.pal" 2>&1 | paste -sd' ')" = '3 3 3 1' ] || say "names of one file: $(XDG_CACHE_HOME=$cache "$work/links.pal" 2>&1)"
done
"$PAL" image cp "$work/links.pal" "$work/links" "$work/links.out" && [ "$(stat -c %h "$work/links.out"/* | paste -sd' ')" = '3 3 3 1' ] || say "image cp of names of one file"

# Sealed.
for option in --pal-rw=/etc --pal-manifest=x --pal-net=host --pal-memory --pal-x; do expect 125 "$option: a bundle is sealed, and takes no other policy" "$work/hello.pal" "$option"; done
[ "$("$work/hello.pal" -m x --rw /etc 2>&1 | head -1)" = 'hello packed -m x --rw /etc' ] || say "what is the program's"
[ "$(PAL_RUN_WALLS=view "$work/hello.pal" --pal-report 2>&1 >/dev/null | grep -c '^pal-run: walls: ')" = 1 ] || say "--pal-report"
"$work/hello.pal" --pal-policy >"$work/policy.toml" && grep -qF "args = [\"packed\"]" "$work/policy.toml" || say "--pal-policy: $(cat "$work/policy.toml")"
expect 126 'no sandbox can run it' "$PAL" --ro "$work" "$work/hello.pal"

# What was changed, or was made by a stranger.
python3 "$(dirname "$0")/bundles.py" "$work/hello.pal" "$work" || bad=1

# What is kept goes by itself, and a start that finds less than all of it makes it anew.
rm -rf "$work/cache/pal-run/bundles"/*
same "made anew" "$work/hello.pal"
rm -rf "$work/cache/pal-run/bundles"/*
for i in $(seq 18); do
    name=$(printf '%064x' "$i") && (umask 077 && mkdir -p "$work/cache/pal-run/bundles/$name/root") && touch -d "$i hours ago" "$work/cache/pal-run/bundles/$name/of"
done
"$work/one.pal" >/dev/null
[ "$(ls "$work/cache/pal-run/bundles" | wc -l)" = 16 ] || say "$(ls "$work/cache/pal-run/bundles" | wc -l) are kept"
[ -e "$work/cache/pal-run/bundles/$(printf '%064x' 1)" ] && ! [ -e "$work/cache/pal-run/bundles/$(printf '%064x' 18)" ] || say "which are kept"

# The same as an OCI image: what it says of itself is so, twice the same, and others read it.
for i in 1 2; do "$PAL" pack --oci "$work/oci$i" --ro "$work/data" --publish 8080:80 --env SET=set "$work/hello" packed >"$work/out" 2>&1 || say "pack --oci: $(cat "$work/out")"; done
diff -r "$work/oci1" "$work/oci2" || say "two images differ"
python3 - "$work/oci1" <<'P' || say "an image"
import gzip, hashlib, json, os, sys
os.chdir(sys.argv[1])
def blob(of, kind):
    data = open("blobs/sha256/" + of["digest"].split(":")[1], "rb").read()
    assert of["digest"] == "sha256:" + hashlib.sha256(data).hexdigest() and of["size"] == len(data) and of["mediaType"].endswith(kind), of
    return data
manifest = json.loads(blob(json.load(open("index.json"))["manifests"][0], "manifest.v1+json"))
config, layer = json.loads(blob(manifest["config"], "config.v1+json")), blob(manifest["layers"][0], "tar+gzip")
assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest()]
assert config["config"]["Entrypoint"][1:] == ["packed"] and "SET=set" in config["config"]["Env"] and "80/tcp" in config["config"]["ExposedPorts"], config
assert len(os.listdir("blobs/sha256")) == 3 and json.load(open("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
P
expect 125 'it is there already' "$PAL" pack --oci "$work/oci1" "$work/hello"
expect 125 'No such file' "$PAL" pack --oci "$work/none/x" "$work/hello"
! command -v skopeo >/dev/null || skopeo inspect "oci:$work/oci1" 2>&1 | grep -q '"Architecture": "amd64"' || say "skopeo inspect: $(skopeo inspect "oci:$work/oci1" 2>&1 | tail -1)"
if command -v umoci >/dev/null; then
    rootless=
    [ "$(id -u)" = 0 ] || rootless=--rootless
    # shellcheck disable=SC2086
    umoci unpack $rootless --image "$work/oci1:latest" "$work/unpacked" >"$work/out" 2>&1 && [ "$(cat "$work/unpacked/rootfs$work/data/link")" = shown ] || say "umoci: $(tail -1 "$work/out")"
fi
[ -z "$(find "$work" -maxdepth 1 -name '*.new.*')" ] || say "something is left"

# A sandbox that may write in the home does not write what bundles start from.
mkdir "$work/home" && cp -r "$work/cache" "$work/home/.cache"
(cd "$work/home" && HOME=$work/home "$PAL" --rw "$work/home" sh -c 'cd "$0" && for f in .cache/pal-run/bundles/*/of; do echo x >$f; rm -r ${f%/of}; done; mv .cache/pal-run x; mkdir -p .local/state/pal-run' "$work/home" >/dev/null 2>&1)
diff -r --no-dereference "$work/cache/pal-run/bundles" "$work/home/.cache/pal-run/bundles" && ! [ -e "$work/home/.local/state/pal-run" ] || say "a sandbox changed what bundles start from"

# Places of the host's, rights, and what can't be packed.
echo old >"$work/rw/file"
"$PAL" pack -o "$work/sh.pal" --ro /bin/cat --rw "$work/rw" --tmpfs /var/x:1M --memory 512M /bin/sh -c "cat $work/rw/file; echo new >$work/rw/file; : >/var/x/y" >"$work/out" 2>&1 || say "pack sh: $(cat "$work/out")"
echo old >"$work/rw/file"
[ "$("$work/sh.pal")" = old ] && [ "$(cat "$work/rw/file")" = new ] || say "a place that can be written"
rm -r "$work/rw"
expect 125 "$work/rw is missing on the host" "$work/sh.pal"
expect 125 'usage: pal-run pack' "$PAL" pack
expect 127 'none' "$PAL" pack -o "$work/x.pal" "$work/none"
expect 125 'No such file' "$PAL" pack -o "$work/x.pal" --ro "$work/none" /bin/true
expect 125 'not a part of what can be packed' "$PAL" pack -o "$work/x.pal" --report /bin/true
expect 125 'a bundle has no image but its own' "$PAL" pack -o "$work/x.pal" --image "/m=$work/hello" /bin/true
expect 125 'expected seconds' "$PAL" pack --learn=x -o "$work/x.pal" /bin/true
expect 125 'No such file' "$PAL" pack -o "$work/none/x.pal" /bin/true
[ -e "$work/x.pal" ] && say "something is left of what could not be packed"
exit $bad
