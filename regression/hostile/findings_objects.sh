# SPDX-License-Identifier: MIT
# Findings M2 to M9 and L1 to L12 of a review of the guest's side, with variants: see findings.sh.  What an object is, whose
# it is, what it gives rights to; files that pal-run keeps; what it prints.
set -u
# shellcheck disable=SC2154
. regression/hostile/findings.sh.inc
export SECRET_TOKEN=$secret
# Nothing of it has set-id bits, unless it is as it was.
no_rights() { # WHAT DIRECTORY
    find "$2" -type f -perm /6000 ! -name as-it-was | while read -r found; do
        cmp -s "$found" "$h/as-it-was" || echo "$found"
    done >"$work/found"
    [ ! -s "$work/found" ] || say "$1: what the guest wrote has rights: $(cat "$work/found")"
}

# The kernel's own file systems are out of reach.
M2() {
    local files="/host/proc/self/environ /host/proc/thread-self/environ /host/proc/$$/environ"
    # shellcheck disable=SC2086
    hold "a copy mount" cow:/host=/ -- "$G" get $files
    # shellcheck disable=SC2086
    hold "by a symlink" ro:/host=/ rw:/w="$h/w" -- "$G" plant /w/link /host/proc/self /w/link/environ $files
    hold "a program" ro:/host=/ -- "$G" run /host/proc/self/exe
    [ $status = 0 ] || [ $by$status = manifest125 ] || say "pal-run's own program ran by /host/proc/self/exe: $status"
    # One that is mounted in what is shown, as in a root file system that is being built.
    if [ "$who" = 0 ] && unshare -m true 2>/dev/null; then
        printf '#!/bin/sh\nmount -t proc proc "%s/w/data" && exec "$@"\n' "$h" >"$work/mounted"
        as="unshare -m sh $work/mounted"
        hold "a procfs in a mount" rw:/w="$h/w" -- "$G" get /w/data/self/environ /w/data/1/environ
        run cow:/w="$h/w" -- "$G" run /w/data/self/exe
        [ $? = 0 ] || say "a program in a procfs in a mount"
        as=
    fi
    # The procfs is the directory on standard input.
    by=options
    pal --ro "/srv/guest=$guests" -- "$G" get self/environ /proc/self/environ environ >"$work/out" 2>&1 </proc
    ! grep -q "shows the secret" "$work/out" || say "a directory as stdin: $(head -3 "$work/out")"
}

# Another sandbox's private files, even by their very name.
M3() {
    local file place
    mkfifo "$work/end" "$work/ready"
    [ -z "$as" ] || chown "$who" "$work/end" "$work/ready"
    pal /bin/sh -c 'echo "$0" >/tmp/file; echo ready; read x' "$secret" <"$work/end" >"$work/ready" 2>/dev/null &
    exec 3>"$work/end" 4<"$work/ready"
    read -r _ <&4
    file=$(find "$work/run" -type f -size +0 2>/dev/null | head -1)
    [ -n "$file" ] || file=$work/run/none
    place=${file#"$work/run/"}
    hold "a copy mount" cow:/x="$work/run" -- "$G" get "/x/$place"
    hold "above it" rw:/x="$work" -- "$G" get "/x/run/$place" "/x/run/./$place" "/x/host/../run/$place"
    hold "a symlink" ro:/x="$work/run" rw:/w="$h/w" -- "$G" plant /w/link "/x/${place%%/*}" "/w/link/${place#*/}"
    run rw:/x="$work/run" -- "$G" spoil "/x/$place" "/x/${place%%/*}"
    [ ! -e "$file" ] || grep -q "$secret" "$file" || say "another's private file was changed"
    if [ "$by" = options ]; then
        (cd "$work/run" && pal --ro "/srv/guest=$guests" -- "$G" get "$place" "./$place" <"$work/run" >"$work/out" 2>&1)
        ! grep -q "shows the secret\|: the secret" "$work/out" || say "a directory as stdin: $(head -3 "$work/out")"
        refuse "as a mount" . ro:/x="$work/run/${place%%/*}" -- "$G" get "/x/${place#*/}"
    fi
    exec 3>&- 4<&-
    wait
    rm -f "$work/end" "$work/ready"
}

# What one run asked another is not told.
M4() {
    as cp "$B/hostile/between" "$h/w/between"
    run ro:/p="$h/w" cow:/docs="$h/out" -- /p/between ask /docs/layoffs- 8
    run ro:/p="$h/w" -- /p/between told /docs/lay+offs-
    [ $? != 1 ] || say "names of a copy mount were told to a run without it"
    run ro:/p="$h/w" ro:/docs="$h/out" -- /p/between ask /docs/layoffs- 8
    run ro:/p="$h/w" ro:/docs="$h/empty" -- /p/between told /docs/lay+offs-
    [ $? != 1 ] || say "names were told to a run with another source in the same place"
}

# FIFOs and devices are not opened, not even for a moment.
M7() {
    local writer
    as mkfifo "$h/w/fifo"
    (as sh -c 'echo x >"$0"' "$h/w/fifo"; : >"$work/released") 2>/dev/null &
    writer=$!
    run cow:/c="$h/w" -- "$G" get /c/fifo
    run cow:/c="$h/w" -- "$G" spoil /c/fifo
    run ro:/c="$h/w" -- "$G" run /c/fifo
    lines=(--walls=monitor)
    run ro:/c="$h/w" -- "$G" get /c/fifo
    lines=()
    if [ "$by" = options ]; then
        lines=(--image "/i=$h/w/fifo")
        refuse "as an image" 'plain file' -- /bin/true
        lines=()
    fi
    [ ! -e "$work/released" ] || say "the FIFO's writer was let go"
    as timeout 10 cat "$h/w/fifo" >/dev/null
    wait $writer
    rm -f "$work/released"
    [ "$(id -u)" = 0 ] && [ "$who" = 0 ] || return
    mknod -m 666 "$h/w/zero" c 1 5
    run cow:/c="$h/w" -- "$G" run /c/zero
    run cow:/c="$h/w" -- /bin/sh -c 'head -c 1 /c/zero'
    [ $? != 0 ] || say "a device node in a copy mount"
}

# No file that a guest wrote gives rights.
M9() {
    local mode
    as sh -c 'head -c 9000 /dev/zero >"$0/as-it-was"; for m in 4755 2755 6711; do cp "$0/as-it-was" "$0/w/$m"; chmod $m "$0/w/$m"; done' "$h"
    run rw:/w="$h/w" -- "$G" spoil /w/4755 /w/2755 /w/6711 /w/new
    no_rights spoil "$h"
    as sh -c 'cp "$0/as-it-was" "$0/w/s"; chmod 4755 "$0/w/s"' "$h"
    # Kept bits are not set anew, with another mode: somebody may have written it meanwhile.
    for mode in 4711 6755 4700; do
        run rw:/w="$h/w" -- /bin/chmod $mode /w/s
        case $(stat -c %a "$h/w/s") in 4755 | ?[0-7][0-7]) ;; *) say "chmod $mode: $(stat -c %a "$h/w/s")" ;; esac
        as chmod 4755 "$h/w/s"
    done
    run rw:/w="$h/w" -- /bin/chmod 4755 /w/s
    [ "$(stat -c %a "$h/w/s")" = 4755 ] || say "chmod with the same mode: $(stat -c %a "$h/w/s")"
    # By a copy that is carried over.
    lines=(--keep rights)
    as mkdir -p "$h/state"
    export XDG_STATE_HOME=$h/state
    run cow:/c="$h/w" -- /bin/sh -c 'cp /c/s /c/t; chmod 4755 /c/t; echo SPOILT >>/c/s; mv /c/s /c/moved; chmod 6755 /c/moved /c/t; mkdir /c/d; ln /c/moved /c/d/e'
    as "$B/pal-run" apply --force rights >"$work/out" 2>&1 || say "apply: $(cat "$work/out")"
    as "$B/pal-run" drop rights >/dev/null 2>&1
    unset XDG_STATE_HOME
    [ -e "$h/w/d/e" ] || say "nothing was carried over: $(cat "$work/out" "$work/err")"
    no_rights apply "$h"
}

# A small RLIMIT_FSIZE ends nobody but who exceeds it.
L1() {
    as sh -c 'head -c 70000 /dev/zero >"$0/w/large"' "$h"
    local access
    for access in rw cow; do
        (ulimit -f 200; run $access:/w="$h/w" -- "$G" outgrow /w/large; exit $status$?) 2>/dev/null
        [ $? != 153 ] || say "SIGXFSZ, $access"
        (ulimit -f 200; run $access:/w="$h/w" -- /bin/sh -c 'cp /w/large /w/new && exec "$0" outgrow /tmp/none' "$G"; exit $?) 2>/dev/null
        [ $? != 153 ] || say "SIGXFSZ, $access, a section"
    done
}

# Another's home: root makes nothing where a symlink of its leads.
L3() {
    [ "$(id -u)" = 0 ] && [ "$who" = 0 ] || return
    local name
    for name in .local .local/state .cache; do
        rm -rf "$h/their" "$h/target"
        mkdir -p "$h/their/$(dirname $name)" "$h/target/state" "$h/target/share"
        ln -s "$h/target" "$h/their/$name"
        chown -hR 65534 "$h/their"
        HOME=$h/their env -u XDG_STATE_HOME -u XDG_CACHE_HOME XDG_RUNTIME_DIR="$work/run" "$B/pal-run" $trap_option --cow "$h/w" --keep mine \
            /bin/sh -c 'echo x >"$0"/made; ls /usr/none' "$h/w" >/dev/null 2>&1
        [ -z "$(find "$h/target" -mindepth 2)" ] && [ ! -e "$h/target/pal-run" ] || say "made by $name: $(find "$h/target" | tail -1)"
    done
}

# Manifests that are none.
L4() {
    [ "$by" = manifest ] || return
    local text
    for text in '[ =' '[[mounts]]\nat = "\xef\xb3\xbf"\n[' 'a = ['"$(printf '[%.0s' $(seq 3000))" 'extends = "/proc/self/fd/0"\n[ =' '\0\0[' 'a."b\n'; do
        printf '%b' "$text" | as tee "$work/m.toml" >/dev/null
        pal -m "$work/m.toml" /bin/true >"$work/out" 2>&1 </dev/null
        [ $? = 125 ] || say "$(printf '%.20s' "$text"): $(head -c 200 "$work/out")"
    done
}

# What is not printable ASCII in a guest's names reaches no terminal.
L5() {
    local odd
    odd=$(printf 'a\033[2Jb\xc2\x9b2Jc\x9b2Jd\xe2\x80\xaee')
    lines=(--report)
    run ro:/w="$h/w" -- /bin/sh -c 'cat "/none/$0"; : >"/w/$0"' "$odd"
    grep -a '^pal-run:' "$work/err" | LC_ALL=C grep -aq '[^ -~]' && say "a report: $(cat -v "$work/err")"
    grep -aq 'x1b' "$work/err" || say "no report: $(cat "$work/err")"
    lines=(--keep odd)
    as mkdir -p "$h/state"
    export XDG_STATE_HOME=$h/state
    run cow:/w="$h/w" -- /bin/sh -c ': >"/w/$0"' "$odd"
    as "$B/pal-run" diff odd >"$work/out" 2>&1
    LC_ALL=C grep -aq '[^ -~]' "$work/out" && say "diff: $(cat -v "$work/out")"
    grep -aq 'x1b' "$work/out" || say "no diff: $(cat "$work/out")"
    as "$B/pal-run" apply odd 2>&1 | LC_ALL=C grep -aq '[^ -~]' && say "apply"
    as "$B/pal-run" drop odd >/dev/null 2>&1
    unset XDG_STATE_HOME
}

# Nothing beside the name that pal-run is called by is run.
L12() {
    printf '#!/bin/sh\necho "the secret is 4711"\n' | as tee "$h/w/picoprocess" >/dev/null
    as chmod 755 "$h/w/picoprocess"
    as ln -s "$B/pal-run" "$h/w/pal-run"
    as ln -s "$B/pal-run" "$h/w/sub"
    (cd "$h/w" && as ./pal-run $trap_option /bin/true; as env PATH="$h/w:$PATH" pal-run $trap_option /bin/true
        as "$h/w/sub" $trap_option /bin/true; as bash -c 'exec -a "$0" "$@"' "$h/w/x" "$B/pal-run" $trap_option /bin/true) >"$work/out" 2>&1
    ! grep -q "$secret" "$work/out" || say "a planted picoprocess ran"
}

rows M2 M3 M4 M7 M9 L1 L3 L4 L5 L12
exit $bad
