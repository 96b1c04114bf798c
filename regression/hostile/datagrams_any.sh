# SPDX-License-Identifier: MIT
# With udp = "any" sendto takes addresses: datagrams go anywhere, but no connection, and nothing to the host's AF_UNIX sockets.
set -u
folder=$(mktemp -d /var/tmp/pal-any.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
mkfifo "$folder/end" "$folder/ready" || exit 1
"$B/hostile/network" watch "$folder/name" <"$folder/end" >"$folder/ready" &
watcher=$!
exec 3>"$folder/end" 4<"$folder/ready"
read -r a b c p u <&4 || exit 1
for option in --trap=sud --trap=seccomp --walls=monitor; do
    "$B/pal-run" $option --net udp=any --rw "$folder" --host-port "$a" --host-port "udp://$u" --publish "$p:$p" "$B/hostile/network" try "$a" "$b" "$c" "$p" "$u" "$folder/name" 2>"$folder/log" 3>&- 4<&- || { cat "$folder/log"; exit 1; }
done
# Only there: elsewhere an address still kills (calls.sh, network.sh).
echo >&3
exec 3>&-
wait $watcher
