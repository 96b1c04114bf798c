# SPDX-License-Identifier: MIT
# Sockets of the host's network lead to the peers that policy granted, and nowhere else.
set -u
folder=$(mktemp -d /var/tmp/pal-network.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/end" "$folder/ready" || exit 1
"$B/hostile/network" watch <"$folder/end" >"$folder/ready" &
invalidator=$!
exec 3>"$folder/end" 4<"$folder/ready"
read -r a b c p u <&4 || exit 1
[ -z "${PORTS:-}" ] || echo "$a $b $c $p $u" >"$PORTS"
for option in --trap=sud --trap=seccomp; do
    "$B/pal-run" $option --host-port "$a" --host-port "udp://$u" --publish "$p:$p" "$B/hostile/network" try "$a" "$b" "$c" "$p" "$u" 2>"$folder/log" 3>&- 4<&- || { cat "$folder/log"; exit 1; }
done
# What no rule names is refused, by number and wherever it lies.
cat >"$folder/refused.py" <<'PY'
import errno, socket, sys
for address in ("192.0.2.1", "10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fe80::1"):
    for port in (80, 443):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        error = s.connect_ex((address, port))
        if error != errno.EACCES:
            sys.exit(f"{address} {port}: {error}")
        u = socket.socket(family, socket.SOCK_DGRAM)
        try:
            u.sendto(b"x", (address, port))
            sys.exit(f"udp {address} {port} was sent")
        except PermissionError:
            pass
PY
chmod 755 "$folder"
"$B/pal-run" --ro "$folder" -- /usr/bin/python3 "$folder/refused.py" 3>&- 4<&- || exit 1
"$B/pal-run" --ro "$folder" --net 198.51.100.7:80 --net example.com -- /usr/bin/python3 "$folder/refused.py" 3>&- 4<&- || exit 1
echo >&3
exec 3>&-
wait $invalidator
