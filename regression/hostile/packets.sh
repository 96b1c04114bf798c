# SPDX-License-Identifier: MIT
# network.sh again, its packets watched from outside: in a network of the test's own, where all addresses are routed, none goes
# to a port that policy does not have, or to any other address.
set -u
if [ -z "${PACKETS_INSIDE:-}" ]; then
    B=$(realpath "$B")
    own=(unshare --net)
    [ "$(id -u)" = 0 ] || own=(unshare --user --map-root-user --net)
    "${own[@]}" true 2>/dev/null || { echo "there is no network namespace to be had"; exit 0; }
    PACKETS_INSIDE=1 B=$B exec "${own[@]}" bash "$0" "$@"
fi
folder=$(mktemp -d /var/tmp/pal-packets.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
ip link set lo up
ip route add default dev lo
ip -6 route add default dev lo
mkfifo "$folder/end" "$folder/ready"
cat >"$folder/watch.py" <<'PY'
import ipaddress, select, socket, struct, sys
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) # ETH_P_ALL
packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
packets.setblocking(False)
print("ready", flush=True)
seen = {}
def look():
    while True:
        try:
            bytes_, (_, protocol, *_) = packets.recvfrom(256)
        except BlockingIOError:
            return
        if protocol == 0x800:
            size, kind, to = bytes_[0] % 16 * 4, bytes_[9], bytes_[16:20]
        elif protocol == 0x86dd:
            size, kind, to = 40, bytes_[6], bytes_[24:40]
        else:
            continue
        port = struct.unpack(">H", bytes_[size + 2:size + 4])[0] if kind in (6, 17) else 0
        key = kind, str(ipaddress.ip_address(to)), port
        seen[key] = seen.get(key, 0) + 1
while not select.select([packets, sys.stdin], [], [], 60)[0].count(sys.stdin):
    look()
a, b, c, p, u = map(int, open(sys.argv[1]).read().split())
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.9", c)) # what would be seen
look()
assert seen.pop((17, "203.0.113.9", c), 0), "packets are not seen"
groups = ipaddress.ip_network("ff00::/8")
bad = {k: n for k, n in seen.items() if k[2] in (b, c) or not (k[1] in ("127.0.0.1", "::1") or k[0] == 58 or ipaddress.ip_address(k[1]) in groups)}
assert seen.get((6, "127.0.0.1", a)) and seen.get((17, "127.0.0.1", u)), f"what is allowed is not seen: {seen}"
if bad:
    sys.exit(f"packets to others: {bad}")
print(f"# {sum(seen.values())} packets, to {len(seen)} ports", file=sys.stderr)
PY
python3 "$folder/watch.py" "$folder/ports" <"$folder/end" >"$folder/ready" &
watcher=$!
exec 5>"$folder/end"
read -r _ <"$folder/ready"
PORTS=$folder/ports bash regression/hostile/network.sh 5>&-
status=$?
exec 5>&-
wait $watcher || status=1
exit $status
