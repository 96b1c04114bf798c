# SPDX-License-Identifier: MIT
# podman with pal-oci as its runtime: each step says and returns what it does with crun.
. "$(dirname "$0")/lib.sh.inc"
if [ -z "${PODMAN_INSIDE:-}" ]; then
    command -v podman >/dev/null && command -v crun >/dev/null || { echo "skip: podman or crun is not installed"; exit 77; }
    [ "$(id -u)" = 0 ] || { echo "skip: needs root"; exit 77; }
    # Mounts and a network of our own: nothing of ours shall be seen outside.
    PODMAN_INSIDE=1 exec unshare -m -n bash "$0"
fi
ip link set lo up 2>/dev/null
for place in /run /var/lib/containers /var/tmp /etc/containers; do
    mkdir -p $place
    mount -t tmpfs -o mode=755 none $place || exit 1
done
umount /sys/fs/cgroup/unified 2>/dev/null
mkdir -p /run/lock /run/w/root/{bin,etc,tmp,proc,dev,sys}
work=/run/w
cp --sparse=always "$PAL" $work/pal-oci
chmod 755 $work $work/pal-oci
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
cat >$work/containers.conf <<P
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime_supports_json = ["pal", "crun"]
runtime_supports_nocgroup = ["pal", "crun"]
events_logger = "file"
[engine.runtimes]
pal = ["$work/pal-oci"]
P
export CONTAINERS_CONF=$work/containers.conf
cp /bin/busybox $work/root/bin/busybox
for name in $(/bin/busybox --list); do [ "$name" = busybox ] || ln -s busybox "$work/root/bin/$name"; done
echo 'root:x:0:0::/:/bin/sh' >$work/root/etc/passwd
echo 'root:x:0:' >$work/root/etc/group
tar -C $work/root -c . | podman import -q - bb:1 >/dev/null 2>$work/err || { echo "skip: podman can't import an image here: $(tail -1 $work/err)"; exit 77; }
podman --runtime crun run --rm --network none bb:1 true 2>$work/err || { echo "skip: podman and crun run nothing here: $(tail -1 $work/err)"; exit 77; }
"$PAL" pack --oci $work/packed --env A=b /bin/sh -c 'echo "$0 $1 $A"' packed >/dev/null && tar -C $work/packed -c . | podman load >/dev/null 2>$work/err || say "pack --oci: $(cat $work/err)"

cat >$work/steps.sh <<'E'
# What is printed on a terminal just before the end is lost now and then by podman: hence the sleeps.
P="podman --runtime $1"
m() { echo "## $*"; }
up() { for i in $(seq 100); do $P logs "$1" 2>/dev/null | grep -q up && break; sleep 0.05; done; }
R="$P run --network none"
m run; $R --rm bb:1 sh -c 'echo hi; exit 7'; echo $?
m packed; $R --rm localhost/latest:latest more; echo $?
m detached; $R -d --name a bb:1 sh -c 'trap "exit 3" TERM; trap "echo usr" USR1; echo up; while :; do sleep 0.1; done' | wc -c; up a
m logs; $P logs a | head -1
m ps; $P ps --format '{{.Names}}'
m exec; $P exec a sh -c 'echo in $$ $PPID; exit 5' | sed 's/[0-9][0-9]*/N/'; echo ${PIPESTATUS[0]}
m exec stdin; echo word | $P exec -i a cat
m exec tty; script -qec "$P exec -it a sh -c 'tty; stty size; sleep 0.5; exit 6'" /dev/null </dev/null | sed 's/[0-9][0-9]*/N/'
m exec options; $P exec -w /tmp -e X=1 --user 1:1 a sh -c 'id -u; id -g; pwd; echo $X'; echo $?
m exec missing; $P exec a nonesuch; echo $?
m exec sees; $P exec a sh -c 'tr "\0" " " </proc/1/cmdline | cut -c1-20; kill -USR1 1; sleep 0.3'; $P logs a | tail -1
m cp; echo copied >/run/w/h; $P cp /run/w/h a:/tmp/h; $P exec a cat /tmp/h
m pause; $P pause a | wc -c; $P unpause a | wc -c
m kill; $P kill -s WINCH a
m stop; $P stop -t 5 a; $P inspect a --format '{{.State.Status}} {{.State.ExitCode}}'
m start; $P start a; sleep 0.3; $P exec a echo again
m kill hard; $P kill a; sleep 0.3; $P inspect a --format '{{.State.Status}} {{.State.ExitCode}}'
m rm; $P rm a | wc -c; $P ps -a --format '{{.Names}}'
m tty; script -qec "$R --rm -it bb:1 sh -c 'tty; sleep 0.5; exit 9'" /dev/null </dev/null
m missing; $R --rm bb:1 nonesuch; echo $?
m noexec; $R --rm bb:1 /etc/passwd; echo $?
m stdin; echo hello | $R --rm -i bb:1 cat
m init; $R --rm bb:1 sh -c 'echo $$; kill -TERM 1; kill -KILL 1; echo still'
m term; $R -d --name t bb:1 sleep 60 | wc -c; sleep 0.3; $P stop -t 1 t; $P inspect t --format '{{.State.ExitCode}}'; $P rm t | wc -c
m health; $R -d --name h --health-cmd 'test -e /tmp/well' --health-interval disable bb:1 sh -c 'echo up; sleep 60' | wc -c; up h; $P healthcheck run h; echo $?
$P exec h touch /tmp/well; $P healthcheck run h; echo $?; $P rm -ft 0 h | wc -c
m read-only; $R --rm --read-only bb:1 touch /x; echo $?
m volume; mkdir -p /run/w/v; $R --rm -v /run/w/v:/v bb:1 sh -c 'echo from >/v/f'; cat /run/w/v/f
m pod; $R -d --name s bb:1 sh -c 'echo well >/tmp/f; echo up; exec httpd -f -p 8080 -h /tmp' | wc -c; up s
$P run --rm --network container:s bb:1 wget -qO- http://127.0.0.1:8080/f
$P run --rm --network container:s bb:1 sh -c 'nc -l -p 8080 2>&1; echo $?'
podman --runtime crun run --rm --network container:s bb:1 wget -qO- http://127.0.0.1:8080/f; $P rm -ft 0 s | wc -c
m low port; $R --rm bb:1 sh -c 'echo well >/tmp/f; httpd -p 80 -h /tmp; wget -qO- http://127.0.0.1/f; echo $?'
m low port refused; $R --rm --cap-drop NET_BIND_SERVICE bb:1 sh -c 'echo well >/tmp/f; httpd -p 80 -h /tmp 2>/dev/null; echo $?'
$R --rm --user 1000:1000 --cap-drop all bb:1 sh -c 'httpd -p 80 -h /tmp 2>/dev/null; echo $?'
m user; $R --rm --user 1000:1000 bb:1 id
m diff; $R --name d bb:1 touch /tmp/new; $P diff d; $P rm d | wc -c
E
steps() { # RUNTIME
    local runtime=$1
    timeout -s KILL 100 bash $work/steps.sh $runtime >$work/$runtime.out 2>&1 </dev/null
    sed -i -e 's/^Error: \(crun\|pal\): /Error: /' -e '/cgroup/d' -e 's/time="[^"]*"//' -e 's/\^@//g' -e 's/[0-9a-f]\{64\}/ID/g' $work/$runtime.out
}
steps crun
steps pal
[ "$(grep -c '^## ' $work/crun.out)" -ge 30 ] || say "crun itself: $(tail -5 $work/crun.out)"
diff $work/crun.out $work/pal.out >$work/difference || say "$(cat $work/difference)"
[ -z "$(pgrep -f "^$work/pal-oci|^/dev/.pal/pal-run")" ] || say "left: $(pgrep -af "^$work/pal-oci|^/dev/.pal/pal-run")"
[ -z "$(ls -A /run/pal-oci 2>/dev/null)" ] || say "directories are left: $(ls /run/pal-oci)"
exit $bad
