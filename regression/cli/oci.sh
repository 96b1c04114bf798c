# SPDX-License-Identifier: MIT
# pal-oci in front of crun: containers that an engine makes hold a sandbox, and say and return what they do without one.
. "$(dirname "$0")/lib.sh.inc"
if [ -z "${OCI_INSIDE:-}" ]; then
    command -v crun >/dev/null || { echo "skip: crun is not installed"; exit 77; }
    [ "$(id -u)" = 0 ] || { echo "skip: containers with the host's ids need root"; exit 77; }
    # A mount namespace of our own: crun refuses some hosts' mixture of cgroups, and nothing of ours shall be seen outside.
    OCI_INSIDE=1 exec unshare -m bash "$0"
fi
umount /sys/fs/cgroup/unified 2>/dev/null
mount -t tmpfs -o mode=755 none /run || exit 1
cp --sparse=always "$PAL" "$work/pal-oci" && chmod 755 "$work" "$work/pal-oci"
mkdir -p "$work/bundle/rootfs"/{bin,etc,tmp,proc,dev,sys,home}
cp /bin/busybox "$work/bundle/rootfs/bin/"
for name in sh ls cat echo id sleep env touch kill grep; do ln -s busybox "$work/bundle/rootfs/bin/$name"; done
chmod 1777 "$work/bundle/rootfs/tmp"
echo text >"$work/bundle/rootfs/bin/plain"
cd "$work/bundle" || exit 1
crun spec || exit 1
mv config.json spec.json
configure() { # PYTHON...: changes `c`
    python3 - "$@" <<'P'
import json, sys
c = json.load(open('spec.json'))
p = c['process']
p['terminal'] = False
p['rlimits'] = []
p['args'] = ['sh', '-c', 'echo hello; id; pwd; echo $NAME; read line; echo got $line; echo bad >&2; exit 3']
p['env'] = ['PATH=/bin', 'NAME=a "b" \\ $c', 'EMPTY=']
p['cwd'] = '/home'
c['root']['readonly'] = False
c['linux'].pop('resources', None)
for change in sys.argv[1:]:
    exec(change)
json.dump(c, open('config.json', 'w'))
P
    local made=$?
    [ $made = 0 ] || { say "configure: $*"; exit 1; }
}
run() { # RUNTIME ID: what it says and returns
    echo line | "$1" --cgroup-manager disabled run "$2" >"$work/out" 2>"$work/err"
    echo "status $?" >>"$work/out"
    grep -v cgroup "$work/err" >>"$work/out"
    cat "$work/out"
}
same() { # NAME PYTHON...
    local name=$1 want got
    shift
    configure "$@"
    want=$(run crun "plain-$name")
    got=$(run "$work/pal-oci" "pal-$name")
    [ "$got" = "$want" ] || say "$name differs:" "$(diff <(echo "$want") <(echo "$got"))"
    "$work/pal-oci" delete -f "pal-$name" >/dev/null 2>&1
}
configure
run crun try | grep -q '^status 3' || { echo "skip: crun makes no containers here: $(tail -1 "$work/err")"; exit 77; }
same plain
same user 'p["user"] = {"uid": 1000, "gid": 1000}' 'p["cwd"] = "/"'
same files 'p["args"] = ["sh", "-c", "echo x > /tmp/f; cat /tmp/f; ls -l /tmp/f | cut -c1-10; echo y > /proc/version; ls /nowhere"]'
same readonly 'c["root"]["readonly"] = True' 'p["args"] = ["touch", "/etc/new"]'
same killed 'p["args"] = ["sh", "-c", "sh -c %s; echo $?" % repr("kill -9 $$")]'
same native 'p["args"] = ["cat", "/proc/sys/kernel/ostype"]' 'c["annotations"] = {"pal.native": "other cat"}'
[ "$(find rootfs -mindepth 1 -maxdepth 1 | wc -l)" = 7 ] || say "something was left in the root file system: $(ls -A rootfs)"

# The words that engines look for, at create.
fails() { # PATTERN PYTHON
    configure "$2"
    "$work/pal-oci" --log "$work/log" --log-format json create --bundle . failing >"$work/out" 2>&1 && say "created: $2"
    python3 -c 'import json, re, sys; [re.search(sys.argv[2], json.loads(l)["msg"]) or sys.exit(1) for l in open(sys.argv[1])]' "$work/log" "$1" ||
        say "$2: said $(cat "$work/log")"
    rm -f "$work/log"
}
fails 'executable file .nowhere. not found in .PATH: No such file or directory' 'p["args"] = ["nowhere"]'
fails 'executable file ./no/where. not found' 'p["args"] = ["/no/where"]'
fails 'Permission denied' 'p["args"] = ["plain"]'

# create, start, exec, kill, delete, as engines call them.
configure 'p["args"] = ["sh", "-c", "trap \"exit 7\" TERM; echo up > /tmp/up; while :; do sleep 0.1; done"]'
"$work/pal-oci" --cgroup-manager disabled create --bundle "$work/bundle" --pid-file "$work/pid" long </dev/null >/dev/null 2>&1 || say "create"
"$work/pal-oci" start long 2>/dev/null || say "start"
for ((i = 0; i < 100; i++)); do [ -e rootfs/tmp/up ] && break; sleep 0.1; done
[ -e rootfs/tmp/up ] || say "it does not start"
python3 - "$work/process.json" <<'P'
import json, sys
p = json.load(open('spec.json'))['process']
p.update(terminal=False, rlimits=[], args=['sh', '-c', 'echo $WHERE; pwd; id -u; grep -ac up /proc/1/cmdline; exit 4'],
         env=['PATH=/bin', 'WHERE=inside'], cwd='/tmp', user={'uid': 7, 'gid': 8})
json.dump(p, open(sys.argv[1], 'w'))
P
[ "$("$work/pal-oci" exec --process "$work/process.json" long 2>/dev/null; echo $?)" = "inside
/tmp
7
1
4" ] || say "exec: $("$work/pal-oci" exec --process "$work/process.json" long 2>&1)"
python3 -c 'import json, sys; p = json.load(open(sys.argv[1])); p["args"] = ["nowhere"]; json.dump(p, open(sys.argv[1], "w"))' "$work/process.json"
"$work/pal-oci" exec --process "$work/process.json" long 2>&1 | grep -q 'executable file .nowhere. not found' || say "exec of a missing program"
[ -d /run/pal-oci/long ] || say "no directory is kept"
"$work/pal-oci" kill long TERM 2>/dev/null || say "kill"
for ((i = 0; i < 100; i++)); do crun state long 2>/dev/null | grep -q '"stopped"' && break; sleep 0.1; done
crun state long 2>/dev/null | grep -q '"stopped"' || say "kill does not end it"
"$work/pal-oci" delete long 2>/dev/null || say "delete"
[ -e /run/pal-oci/long ] && say "delete leaves its directory"
expect 1 'not found|No such file' "$work/pal-oci" create --bundle "$work/none" none
exit $bad
