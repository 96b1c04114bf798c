# SPDX-License-Identifier: MIT
# The view's walls: name calls made as host calls lead to what the policy shows, and nowhere else.
set -u
. regression/hostile/lib.sh.inc
guest=$B/hostile/view
export PAL_RUN_WALLS=view # at once
mkdir -m 755 "$top/secret"
secret=$top/secret/s4711.secret
echo "the secret is 4711" >"$secret"
chmod 644 "$secret"
"$B/pal-run" "$guest" flags
if [ $? = 3 ]; then
    echo "skipped: no view can be made here: $("$B/pal-run" --report /bin/ls / 2>&1 >/dev/null | grep names:)"
    exit 0
fi

# Files, links, and what is hidden inside by another mount.
fill() {
    h=$work/host
    as mkdir -p "$h/sub" "$h/secret" "$h/later" "$h/proc" "$h/noexec"
    as cp "$secret" "$h/secret/hidden"
    as ln -s "$secret" "$h/absolute"
    as ln -s ../../secret/s4711.secret "$h/relative"
    as ln -s ../../../secret/s4711.secret "$h/sub/relative"
    as ln -s / "$h/root"
    as ln -s /proc/self/root "$h/proc_root"
    as sh -c 'echo plain >"$0/file"' "$h"
    as python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$h/socket"
    [ "$(id -u)" != 0 ] || [ -e "$h/null" ] || { mknod -m 666 "$h/null" c 1 3; mknod -m 666 "$h/zero" b 1 5; }
}

out() {
    fill
    pal --ro /h="$h" "$guest" out "$secret" "the secret is 4711" || say "out of a read-only mount"
    pal --rw /h="$h" "$guest" out "$secret" "the secret is 4711" || say "out of a writable mount"
    pal --ro /h="$h/sub" --ro /g="$h/file" "$guest" out "$secret" "the secret is 4711" || say "out of several"
    pal --cow /h="$h" "$guest" out "$secret" "the secret is 4711" || say "out of a copy mount"
    pal --tmpfs /h:1M "$guest" out "$secret" "the secret is 4711" || say "out of a tmpfs"
    (cd "$h" && pal "$guest" out "$secret" "the secret is 4711") || say "out of the current directory"
    pal --ro /h="$h" "$guest" refused absolute relative sub/relative root/etc/passwd root/etc proc_root socket null zero \
        / /.. /etc /etc/passwd /proc/self/fd/0 /dev/null || say "by what lies in a mount"
}

flags() { pal "$guest" flags 2>/dev/null || say "flags"; }

# A mount inside that the policy keeps for itself, or shows from elsewhere.
inner() {
    fill
    pal --ro /h="$h" --ro /h/secret="$h/sub" "$guest" refused secret/hidden ../0/secret/hidden || say "beneath another mount"
    pal --ro /h="$h" --cow /h/secret="$h/sub" "$guest" refused secret/hidden ../0/secret/hidden || say "beneath a copy mount"
    as sh -c 'echo other >"$0"' "$h/sub/file2"
    as cp "$secret" "$h/single4711"
    pal --rw /h="$h" --ro /h/single4711="$h/sub/file2" "$guest" refused single4711 || say "beneath a mount of one file"
}

# The kernel's own file systems, and what is mounted later, in a mount namespace that ends with the test.
mounts() {
    fill
    [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || return
    export guest h secret
    for export in "$(declare -f pal as)"; do
        unshare -m --propagation shared bash -c "$export"'
            B=$1 trap_option=$2 as=$3 work=$4
            mount -t proc proc "$h/proc"
            mount -t tmpfs -o noexec,mode=755 tmpfs "$h/noexec" && cp /bin/true "$h/noexec" && cp /bin/true "$h/sub" || exit 1
            ln -sf ../noexec/true "$h/sub/link"
            pal --ro /h="$h" /bin/sh -c "
                for i in 1 2 3; do
                    /h/sub/true && ! /h/noexec/true 2>/dev/null && ! /h/sub/link 2>/dev/null && ! /h/file 2>/dev/null || exit 1
                    sleep 0.1
                done" || { echo "a program of a noexec mount"; exit 1; }
            pal --ro /h="$h" "$guest" refused proc/self/environ proc/1/environ proc/version proc/mounts proc || exit 1
            pal --ro /h="$h" "$guest" wait /h/ready later/s4711.secret later/null &
            sleep 1
            mount -t tmpfs tmpfs "$h/later" && cp "$secret" "$h/later" && mknod -m 666 "$h/later/null" c 1 3
            touch "$h/ready"
            wait $!' bash "$B" "$trap_option" "$as" "$work" || say "by mounts inside, or later"
    done
    rm -f "$h/ready"
}

# /etc, which a view shows where picoprocesses are strangers: what no guest may have, whatever its mode, and what no stranger may.
secrets() {
    [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || return
    local e=$work/etc
    mkdir -m 755 "$e" "$e"/{ssh,security,sudoers.d} && mkdir -m 700 "$e/closed"
    cp /etc/{passwd,group,nsswitch.conf,ld.so.cache} "$e"
    for file in shadow gshadow- sudoers sudoers.d/x security/opasswd ssh/ssh_host_rsa_key closed/x private; do
        cp "$secret" "$e/$file"
    done
    chmod 600 "$e/private"
    echo shown >"$e/ssh/ssh_host_rsa_key.pub"
    export guest e
    for export in "$(declare -f pal as)"; do
        unshare -m bash -c "$export"'
            B=$1 trap_option=$2 as=$3 work=$4
            mount --bind "$e" /etc || exit 1
            pal /bin/cat /etc/ssh/ssh_host_rsa_key.pub | grep -q shown || exit 1
            pal "$guest" refused shadow gshadow- sudoers sudoers.d sudoers.d/x security/opasswd ssh/ssh_host_rsa_key closed closed/x private
            ' bash "$B" "$trap_option" "$as" "$work" || say "secrets of /etc"
    done
}

# Another sandbox's private files, of the same user.
private() {
    fill
    PAL_RUN_WALLS=view pal --rw /run="$work/run" /bin/sh -c 'echo "the secret is 4711" >/tmp/s4711.secret; touch /run/ready; sleep 3' &
    local other=$!
    for _ in $(seq 50); do [ -e "$work/run/ready" ] && break; sleep 0.1; done
    (cd "$work/run" && find . -maxdepth 2 -name 's4711*' | grep -q .) && [ "$(id -u)" != 0 ] && say "private files can be listed"
    pal --ro /h="$work/run" "$guest" out "$work/run/.pal-run.x/s4711.secret" "the secret is 4711" || say "another's private files"
    wait $other
}

each flags
each out
each inner
each mounts
each secrets
each private
exit $bad
