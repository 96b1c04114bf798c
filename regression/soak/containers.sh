#!/bin/bash
# SPDX-License-Identifier: MIT
# containers.sh BUILD COUNT [SEED]: containers are made, started, joined, killed and deleted, and pal-oci is killed at random moments of each
# step.  After delete --force, which engines always end with, nothing is left: no process, mount or directory.
set -u
B=$(realpath "$1")
command -v crun >/dev/null && [ "$(id -u)" = 0 ] || { echo "skip: needs root and crun"; exit 77; }
[ -n "${SOAK_INSIDE:-}" ] || SOAK_INSIDE=1 exec unshare -m -n -p --fork --kill-child --mount-proc bash "$0" "$@"
umount /sys/fs/cgroup/unified 2>/dev/null
mount -t tmpfs -o mode=755 none /run && mount -t tmpfs -o mode=1777 none /tmp || exit 1
mkdir -p /run/b/rootfs/{bin,proc,dev,sys,tmp}
mkdir /run/bin
cp --sparse=always "$B/pal-run" /run/bin/pal-oci
cp /bin/busybox /run/b/rootfs/bin/
for name in sh sleep true; do ln -s busybox /run/b/rootfs/bin/$name; done
cd /run/b && crun spec && mv config.json spec.json || exit 1
exec /usr/bin/python3 - "$2" "${3:-1}" <<'P'
import json, os, random, shutil, subprocess, sys, time
count, random_ = int(sys.argv[1]), random.Random(int(sys.argv[2]))
spec = json.load(open("spec.json"))
spec["process"].update(terminal=False, rlimits=[], args=["sh", "-c", "sleep 50 & sleep 40"])
spec["root"]["readonly"] = False
spec["linux"].pop("resources", None)
process = dict(spec["process"], args=["sh", "-c", "sleep 0.01; exit 3"])
null = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def call(*words, may_die=True):
    """None: it was killed."""
    p = subprocess.Popen(["/run/bin/pal-oci", "--cgroup-manager", "disabled", *words], **null)
    if may_die and random_.random() < 0.4:
        time.sleep(random_.random() * 0.012)
        p.kill()
        return None if p.wait() == -9 else p.returncode
    return p.wait()
def living():
    found = {}
    for n in os.listdir("/proc"):
        try:
            if n.isdigit() and int(n) not in own and open(f"/proc/{n}/stat").read().rsplit(")", 1)[1].split()[0] != "Z":
                found[int(n)] = open(f"/proc/{n}/cmdline").read().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found
own = {1, os.getpid()}
def mounts():
    """But for crun's view of its own file, which it leaves when it is killed at its start."""
    return [line for line in open("/proc/self/mountinfo") if " /tmp/crun." not in line]
mounts_before = len(mounts())
whole = joined = 0
for turn in range(count):
    name = f"c{turn}"
    json.dump(spec, open("config.json", "w"))
    made = call("create", "--bundle", "/run/b", name)
    started = call("start", name) if made == 0 else None
    if started == 0:
        for _ in range(random_.randrange(3)):
            json.dump(process, open("process.json", "w"))
            status = call("exec", "--process", "process.json", name)
            assert status in (None, 3), f"turn {turn}: exec: {status}"
            joined += status == 3
        whole += 1
    call("kill", name, random_.choice(("KILL", "TERM", "USR1")))
    end = time.time() + 10
    while call("delete", "--force", name, may_die=False) != 0 or any("oci-" + name in line for line in living().values()):
        assert time.time() < end, f"turn {turn}: left: {living()}"
        # crun that was killed before it wrote its state has left its own child, which nobody but its engine knows.
        for pid, line in living().items():
            if "pal-oci" not in line and "crun" in line or line == "":
                os.kill(pid, 9)
        time.sleep(0.02)
    assert not os.path.exists("/run/pal-oci/" + name), f"turn {turn}: a directory is left"
    assert len(mounts()) == mounts_before, f"turn {turn}: a mount is left: {mounts()[-3:]}"
deadline = time.time() + 5
while [line for line in living().values() if "pal" in line] and time.time() < deadline:
    time.sleep(0.05)
left = [line for line in living().values() if "pal" in line]
assert not left, left
assert whole > count / 5 and joined > count / 20, (whole, joined)
print(f"{count} containers, {whole} ran, {joined} were joined in full: nothing is left")
P
