# SPDX-License-Identifier: MIT
# What an object is, is asked before it is opened: FIFOs, device nodes, the kernel's own file systems, set-user-id files.
set -u
. regression/hostile/lib.sh.inc
guest=$B/hostile/objects
export SECRET_TOKEN=4711
cp "$guest" "$top/guest" || exit 1

manifest() { # AT FROM ACCESS
    printf 'program = "/bin/guest"\n[[mounts]]\nat = "/bin"\nfrom = "%s"\n' "$top"
    printf '[[mounts]]\nat = "%s"\nfrom = "%s"\naccess = "%s"\n' "$1" "$2" "$3"
}

# The host's writer waits on, in a read-only mount.
fifos() {
    h=$work/host
    as mkfifo "$h/fifo"
    as ln -s fifo "$h/link"
    (as sh -c 'echo x >"$0"' "$h/fifo"; : >"$top/released") &
    local writer=$!
    pal --ro /h="$h" "$guest" open /h/fifo /h/link /h/../h/fifo || say "a FIFO in a read-only mount"
    (cd "$h" && pal "$guest" open ./fifo link) || say "a FIFO in the current directory"
    manifest /h "$h" ro | as tee "$h/m.toml" >/dev/null
    pal -m "$h/m.toml" /bin/guest open /h/fifo || say "a FIFO, by manifest"
    kill -0 $writer 2>/dev/null && [ ! -e "$top/released" ] || say "the FIFO's writer was let go"
    as timeout 5 cat "$h/fifo" >/dev/null
    wait $writer
    rm -f "$top/released"
}

# Device nodes are not opened, not even for a moment.
devices() {
    h=$work/host
    [ "$(id -u)" = 0 ] && mknod -m 666 "$h/null" c 1 3 && mknod -m 666 "$h/zero" c 1 5 || return
    pal --ro /h="$h" "$guest" open /h/null /h/zero || say "a device node"
    pal --rw /h="$h" "$guest" open /h/null /h/zero || say "a device node in a writable mount"
    manifest /h "$h" rw | as tee "$h/m.toml" >/dev/null
    pal -m "$h/m.toml" /bin/guest open /h/null || say "a device node, by manifest"
    command -v strace >/dev/null || return
    strace -qq -o "$top/calls" -e trace=open,openat,openat2 \
        env HOME="$work/home" "$B/pal-run" $trap_option --rw /h="$h" "$guest" open /h/null /h/../h/zero || say "a device node under strace"
    # With O_DIRECTORY the kernel fails before it opens.
    grep -E '(null|zero)"' "$top/calls" | grep -vE '/dev/null|O_PATH|ENOTDIR' >"$top/opened" && say "a device node was opened: $(cat "$top/opened")"
    grep -qE '(null|zero)".*O_PATH' "$top/calls" || say "strace saw nothing"
}

# /proc, /sys and the like are pal-run's, wherever a mount shows them.
kernels() {
    local file
    pal --ro /host=/ "$guest" open /host/proc/self/environ /host/proc/self/mem /host/proc/self/maps /host/proc/1/environ \
        /host/proc/self/task/1/mem /host/proc/cmdline /host/proc/../proc/self/environ /host/proc/sys/kernel/hostname \
        /host/dev/null /host/dev/tty /host/dev/ptmx /host/sys/kernel/mm/ksm/run /host/sys/power/state || say "the kernel's files"
    pal --rw /host=/ "$guest" open /host/proc/self/mem /host/proc/self/environ 2>/dev/null || say "the kernel's files, writable"
    pal --ro /host=/ "$guest" find /host/proc/self/environ /host/proc/self/fd /host/proc/1 /host/sys/kernel || say "the kernel's names"
    (cd / && pal --ro /host=/ --cwd /host "$guest" open proc/self/environ ./proc/self/mem) || say "the kernel's files, by the current directory"
    for file in /proc /proc/self /proc/self/environ /sys /sys/kernel /dev; do
        [ "$file" != /dev ] || [ "$(stat -c %d /dev)" != "$(stat -c %d /)" ] || continue
        pal --ro /x="$file" "$guest" open /x/environ /x 2>"$work/host/err"
        [ $? = 125 ] || say "$file as a mount: $(cat "$work/host/err")"
        manifest "$file" "$file" ro | as tee "$work/host/m.toml" >/dev/null
        pal -m "$work/host/m.toml" /bin/guest open "$file" 2>/dev/null
        [ $? = 125 ] || say "$file as a mount of a manifest"
    done
}

# A program that has its owner's rights is not one any more when its contents are a guest's.
rights() {
    h=$work/host
    local way
    for way in rewrite rebit resize; do
        for mode in 4755 2755 6711; do
            as sh -c 'head -c 9000 /dev/zero >"$0"; chmod $1 "$0"' "$h/program" $mode
            pal --rw /h="$h" "$guest" $way /h/program || say "$way fails"
            if grep -q 'GUEST WROTE' "$h/program" || [ "$(stat -c %s "$h/program")" = 16 ]; then
                [ ! -u "$h/program" ] && [ ! -g "$h/program" ] || say "$way: mode $mode is kept: $(stat -c %a "$h/program")"
            fi
            as rm -f "$h/program"
        done
        head -c 9000 /dev/zero >"$h/program"
        chmod 755 "$h/program"
        [ -z "$as" ] || chown "$who" "$h/program"
        "$guest" give "$h/program" || continue
        pal --rw /h="$h" "$guest" $way /h/program || say "$way fails"
        if grep -q 'GUEST WROTE' "$h/program" || [ "$(stat -c %s "$h/program")" = 16 ]; then
            "$guest" has "$h/program" && say "$way: capabilities are kept"
        fi
        rm -f "$h/program"
    done
    [ "$(id -u)" = 0 ] && [ "$who" = 0 ] || return # of another's, root's
    cp "$guest" "$h/program"
    chown 65534:65534 "$h/program"
    chmod 4755 "$h/program"
    pal --rw /h="$h" "$guest" own /h/program
    [ "$(stat -c %u "$h/program")" = 65534 ] || [ ! -u "$h/program" ] || say "a set-user-id file became root's"
}

each fifos
each devices
each kernels
each rights
exit $bad
