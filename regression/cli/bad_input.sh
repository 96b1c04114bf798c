# SPDX-License-Identifier: MIT
# Programs and manifests that are not what they should be: one clear line each, and nothing left over.
. regression/cli/lib.sh.inc
cd "$work" || exit 1
: >empty && chmod +x empty
expect 126 'empty' "$PAL" ./empty
for size in 1 4 17 63 64 100 400; do
    head -c $size /bin/true >cut.$size && chmod +x cut.$size
    expect 126 'cut' "$PAL" ./cut.$size
done
cp /bin/true foreign && printf '\267\000' | dd of=foreign bs=1 seek=18 conv=notrunc status=none
expect 126 'aarch64|AArch64|machine' "$PAL" ./foreign
cp /bin/true small && printf '\001' | dd of=small bs=1 seek=4 conv=notrunc status=none
expect 126 '32-bit|class' "$PAL" ./small
sed 's#/lib64/ld-linux-x86-64.so.2#/lib64/ld-linux-x86-64.so.9#' /bin/true >nointerp && chmod +x nointerp
expect 126 'interpreter' "$PAL" ./nointerp
printf '#!/no/such/interpreter\n' >script && chmod +x script
expect 126 'interpreter' "$PAL" ./script
mkdir dir && expect 126 'directory' "$PAL" ./dir
mkfifo fifo && chmod +x fifo && expect 126 'FIFO|pipe|regular' "$PAL" ./fifo
truncate -s 10G sparse && chmod +x sparse && expect 126 'sparse' "$PAL" ./sparse
cp /bin/true sparse2 && truncate -s 10G sparse2 && expect 0 '' "$PAL" ./sparse2
cp /bin/true noexec && chmod -x noexec && expect 126 'executable|permission' "$PAL" ./noexec

# Bit flips anywhere in the headers: never a crash or a hang of pal-run, never more than the program's own death.
for at in $(seq 0 3 860); do
    cp /bin/true flipped
    byte=$(od -An -tu1 -j"$at" -N1 flipped)
    printf "\\$(printf %03o $((byte ^ (1 << at % 8))))" | dd of=flipped bs=1 seek="$at" conv=notrunc status=none
    timeout 20 "$PAL" ./flipped >out 2>err </dev/null
    status=$?
    case $status in
    0 | 126 | 127 | 132 | 135 | 136 | 137 | 139) ;; # 137: the program cannot be loaded after all, as on Linux
    *) say "flip at $at: status $status: $(head -2 err)" ;;
    esac
    # Below a line that tells of a crash there are its frames.
    [ "$(grep -vcE '^    (#[0-9]|    and |\.\.\. and )' err)" -le 1 ] || say "flip at $at: more than one line: $(head -3 err)"
done

# Manifests.
manifest() { # PATTERN TEXT
    printf '%b' "$2" >m.toml
    expect 125 "$1" "$PAL" -m m.toml /bin/true
}
manifest 'm.toml:1: .*mout.*mounts' 'mout = 1\n'
manifest 'm.toml:2' '\n[limits\n'
manifest 'm.toml:1' 'program = 3\n'
manifest 'm.toml:2: .*memory' '[limits]\nmemory = "lots"\n'
manifest 'm.toml:3: .*acces.*access' '[[mounts]]\nat = "/usr"\nacces = "ro"\n'
manifest 'm.toml:.*access' '[[mounts]]\nat = "/usr"\naccess = "wr"\n'
manifest 'm.toml:.*absolute' '[[mounts]]\nat = "usr"\nfrom = "/usr"\naccess = "ro"\n'
manifest 'm.toml:.*twice|already' '[[mounts]]\nat = "/usr"\nfrom = "/usr"\n[[mounts]]\nat = "/usr"\nfrom = "/lib"\n'
mkdir -p loop && manifest 'm.toml:.*(itself|cycl|insid|overlap)' "[[mounts]]\nat = \"$work/loop/in\"\nfrom = \"$work\"\naccess = \"rw\"\n"
manifest 'm.toml:.*missing|not found|No such|does not exist' '[[mounts]]\nat = "/x"\nfrom = "/no/such/place"\n'
expect 125 'm2.toml' "$PAL" -m m2.toml /bin/true
truncate -s 100M big.toml && expect 125 'big.toml.*(large|big|MiB)' "$PAL" -m big.toml /bin/true
expect 125 'fifo' "$PAL" -m fifo /bin/true
expect 125 'dir' "$PAL" -m dir /bin/true
# A manifest beside the program is never picked up.
cp /bin/cat prog && printf '[[mounts]]\nat = "/etc/shadow"\nfrom = "/etc/shadow"\n' >prog.manifest && cp prog.manifest prog.toml && cp prog.manifest manifest.toml
"$PAL" ./prog /etc/shadow >/dev/null 2>&1
[ $? = 1 ] || say "a manifest that nobody named was read"
exit $bad
