# SPDX-License-Identifier: MIT
# Who looks up names: the view, or the monitor alone where there can't be one, and --report tells why.  Both say the same.
set -u
top=$(mktemp -d /var/tmp/pal-walls.XXXXXX) || exit 1
trap 'rm -rf "$top"' EXIT
chmod 755 "$top"
bad=0
B=$(realpath "$B")
refuse=$B/hostile/refuse
unset PAL_RUN_WALLS
say() { echo "${who:-root}: $*"; bad=1; }

# expect WHAT REPORT COMMAND...: it lists /usr, and the report has a line like that.
expect() {
    local what=$1 line=$2
    shift 2
    "$@" --report --walls=view /bin/sh -c "ls /usr; sleep 0.3; ls /usr/bin" >"$top/out" 2>"$top/err" || say "$what: fails: $(cat "$top/err")"
    grep -qx bin "$top/out" || say "$what: does not work"
    grep -q "$line" "$top/err" || say "$what: $(grep names: "$top/err")"
}

fallbacks() {
    expect "as it is" "names: by the" $as "$B/pal-run"
    grep -q "names: by the view, of" "$top/err" || { echo "$who: no view here: $(grep names: "$top/err")"; return; }
    expect "unshare refused" "$1" $as "$refuse" unshare -- "$B/pal-run"
    expect "chroot refused" "names: by the monitor: " $as "$refuse" chroot -- "$B/pal-run"
    expect "no directory" "names: by the monitor: no directory can be made" $as "$refuse" mkdir -- "$B/pal-run"
    local call
    for call in mount fsopen=38 move_mount open_tree=38 mount_setattr=38 mount_setattr; do
        expect "$call refused" "names: by the monitor: there is no view: " $as "$refuse" $call -- "$B/pal-run"
    done
    PAL_RUN_WALLS=monitor expect "by the environment" "names: by the monitor: PAL_RUN_WALLS" $as "$B/pal-run"
    $as "$B/pal-run" --walls=monitor --report /bin/true 2>&1 | grep -q 'filter of 45 .*' || say "the filter of 45"
    $as "$B/pal-run" --report /bin/true </usr 2>&1 | grep -q 'names: by the monitor: a standard stream is a directory' || say "a directory on 0"
    $as "$B/pal-run" --report /bin/true 2>&1 | grep -q 'names: by the view, which was not needed yet' || say "a short program has a view"
}

# Asks for COUNT names that begin with PREFIX, and waits for what that may bring, longer in each of up to TRIES; $said is what
# the report says of names.
asks() { # COUNT PREFIX TRIES
    local i look='i=0; while [ $i -lt $1 ]; do [ -e $2$i ]; i=$((i + 1)); done; sleep $3'
    for ((i = 1; i <= $3; i++)); do
        $as env PATH=/usr/bin:/bin XDG_CACHE_HOME="$top/cache.$who" "$B/pal-run" --report --ro "$top/none" /bin/sh -c "$look" sh "$1" "$top/none/$2" "0.$i" 2>&1 |
            sed -n 's/.*names: by \(the view, [a-z]*\).*/\1/p' >"$top/said"
        read -r said <"$top/said"
        [ "$said" != "the view, of" ] || return
    done
}

# A program whose start once asked for many names is given its view earlier by the next one of the same policy.
learned() {
    local said i
    mkdir "$top/cache.$who" "$top/none"
    chmod 700 "$top/cache.$who"
    [ -z "$as" ] || chown 65534:65534 "$top/cache.$who"
    asks 0 a 1 # its start, which is told ahead from now on
    asks 18 b 1
    [ "$said" = "the view, which" ] || say "18 names: $said"
    for ((i = 0; i < 5; i++)); do
        asks 60 "c$i" 5
        [ "$said" = "the view, of" ] || say "60 names: $said"
        $as env XDG_CACHE_HOME="$top/cache.$who" "$B/pal-run" profile show /bin/sh | grep -q 'many names' && break
    done
    asks 18 d 5
    [ "$said" = "the view, of" ] || say "18 names, after a start that asked for many: $said"
    rmdir "$top/none"
}

# What a policy shows is the same in both forms.
same() { # WHAT OPTIONS... -- COMMAND
    local what=$1 form
    shift
    for form in monitor view; do
        (cd / && PAL_RUN_WALLS=$form $as "$B/pal-run" "$@" 2>&1; echo "status $?") | sort >"$top/$form"
    done
    cmp -s "$top/monitor" "$top/view" || say "$what differs: $(diff "$top/monitor" "$top/view" | head -5)"
}

# What the view shows of a copy mount's lower layer is what there is, before and after each change.
copies() {
    local h=$1 look
    for d in p q r/s r/t; do
        mkdir -p "$h/c/$d"
        for f in 1 2 3; do echo "$d $f" >"$h/c/$d/$f"; done
    done
    mkdir -p "$top/apart" && echo apart >"$top/apart/1" && echo apart >"$top/apart/2"
    ln "$h/c/p/1" "$h/c/q/linked"
    ln -s ../p/1 "$h/c/q/link"
    ln -s p "$h/c/l"
    [ -z "$as" ] || chown -Rh 65534:65534 "$h/c"
    look='for i in 1 2 3; do for f in p/1 p/2 q/linked q/link l/1 l/../p/2 r/s/1 r/t/3 r/u/1 new/1; do
        read -r line <$f && echo $line; stat -c "%n %F %a %u %g %h %s" $f /h/c/$f; (cd ${f%/*} && read -r line <${f##*/} && echo $line)
        n=; for k in 1 2 3 4 5; do [ -s $f ] && read -r line <$f && n="$n $line"; done; echo "$f$n"; done; done; find . | sort'
    local run="cd /h/c; exec 2>&1; look() { echo \"\$*\"; $look; }; look first"
    local change
    for change in "echo more >>p/1; rm p/2" "mv r/s r/u" "mkdir r/s; echo fresh >r/s/1; rm r/t/*; rmdir r/t; ln -s ../p r/t" \
        "mv r r2; mkdir -p r/s; echo again >r/s/1; echo both >>q/linked" "rm -r p; mkdir p; echo new >p/1; mv q new; rm l; ln -s new l"; do
        run+="; $change; look '$change'"
    done
    same "a copy mount" --cow /h="$h" -- /bin/sh -c "$run"
    same "a copy mount with a mount inside" --cow /h="$h" --ro /h/c/p="$top/apart" -- /bin/sh -c "$run"
    same "a copy mount inside" --ro /h="$h" --cow /h/c="$h/c" -- /bin/sh -c "$run"
    run="mkdir -p /tmp/h/c/p /tmp/h/c/q /tmp/h/c/r/s /tmp/h/c/r/t; for d in p q r/s r/t; do echo \$d >/tmp/h/c/\$d/1; done
        ${run//\/h\/c/\/tmp\/h\/c}"
    same "private files" -- /bin/sh -c "$run"
    same "a tmpfs" --tmpfs /tmp:8M -- /bin/sh -c "$run"
    same "a tmpfs with a mount inside" --tmpfs /tmp:8M --ro /tmp/h/c/p="$top/apart" -- /bin/sh -c "$run"
    rm -rf "$h/c"
}

policies() {
    local h=$top/tree.$who look
    look='cd /h 2>&1; ls -lanR --time-style=+ . 2>&1; for f in a/file link up single a/b/../file gone missing/x a/file/x a/b/none absolute inner/x inner/none outer/../a/file; do
        cat "$f" 2>&1; stat -c "%n %F %a %u %g %h %s %i" "$f" 2>&1; readlink "$f"; done; readlink -f up link absolute; cat /h/../h/a/file; ls /h/..; find . | sort; cd a/b && pwd && cat ../file'
    mkdir -p "$h"/{a/b/c,inner,source,outer,private}
    echo one >"$h/a/file"
    echo two >"$h/source/x"
    echo single >"$h/single"
    ln -s a/file "$h/link"
    ln -s ../tree.$who/a/file "$h/up"
    ln -s /h/a/file "$h/absolute"
    ln -s nothing "$h/gone"
    ln -s source "$h/symlinked"
    chmod 700 "$h/private"
    echo mine >"$h/private/x"
    [ -z "$as" ] || chown -Rh 65534:65534 "$h"
    same "a tree" --ro /h="$h" -- /bin/sh -c "$look"
    same "a writable tree" --rw /h="$h" -- /bin/sh -c "$look; cd /h; echo new >new; cat new; mv new a/b; cat a/b/new; rm a/b/new; ls a/b"
    same "a mount inside" --ro /h="$h" --ro /h/inner="$h/source" -- /bin/sh -c "$look"
    same "a mount inside that the host has not" --ro /h="$h" --ro /h/outer/new="$h/source" -- /bin/sh -c "$look; cat /h/outer/new/x"
    same "a mount of a file" --ro /h="$h" --ro /h/single="$h/a/file" -- /bin/sh -c "$look"
    same "a file alone" --ro /h/file="$h/a/file" -- /bin/sh -c "cat /h/file; ls -la --time-style=+ /h; cat /h/none"
    same "a symlinked source" --ro /h="$h/symlinked" -- /bin/sh -c "$look"
    same "a mount over a symlink" --ro /h="$h" --ro /h/symlinked="$h/a" -- /bin/sh -c "$look; cat symlinked/file"
    same "the system" -- /bin/sh -c "ls -lan --time-style=+ /usr /usr/bin /etc / /bin/ 2>/dev/null | head -3000; ls -ld --time-style=+ /etc/shadow /usr/nothing /lib64/../etc/passwd; cat /bin/../../etc/hostname; readlink -f /bin/awk /lib"
    copies "$h"
    [ "$(id -u)" != 0 ] || [ -n "$as" ] || same "the root" --ro /host=/ -- /bin/sh -c "ls /host /host/proc /host/dev /host/sys /host/usr/bin 2>&1; cat /host/etc/hostname /host/proc/version"
    rm -rf "$h"
}

for who in root user; do
    as=
    [ $who = root ] || as="setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/home/pal-guest"
    [ "$(id -u)" = 0 ] || { [ $who = user ] && continue; }
    reason="there is no view: "
    [ -z "$as" ] && [ "$(id -u)" = 0 ] || reason="names: by the monitor: the host refuses user namespaces"
    fallbacks "$reason"
    ! grep -q "names: by the view, of" "$top/err" && learned
    policies
done
exit $bad
