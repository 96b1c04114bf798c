# SPDX-License-Identifier: MIT
# Daemons and their clients on the loopback: memcached, dnsmasq with dig and dnsperf, apt-get with a mirror, ssh, HTTP servers in
# node and Go.  Prints the same each time; run by regression/apps/same, natively and under pal-run.
set -u
PATH=$PATH:/usr/sbin:/usr/lib/go/bin
for program in memcached memcslap dnsmasq dig dnsperf apt-get dropbear ssh node go curl python3; do command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }; done
work=$(mktemp -d) || exit 1
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 1
export HOME=$work no_proxy='*'
free_port() { /usr/bin/python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
await() { for _ in $(seq 400); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "nobody at the port"; }
ended() { kill "$2"; wait "$2"; echo "$1: $?"; }

port=$(free_port)
memcached -l 127.0.0.1 -p "$port" -U 0 -u "$(id -un)" & server=$!
servers+=("$server")
await "$port"
exec 5<>"/dev/tcp/127.0.0.1/$port"
printf 'set a 0 0 3\r\nabc\r\nincr b 1\r\nget a\r\nquit\r\n' >&5
cat <&5
exec 5>&-
memcslap --servers="127.0.0.1:$port" --concurrency=4 --execute-number=200 --test=get 2>&1 | sed 's/[0-9.]* seconds/T seconds/'
ended memcached $server

port=$(free_port)
dnsmasq -k -p "$port" -i lo --bind-interfaces --no-resolv --no-hosts --address=/one.test/192.0.2.9 --txt-record=t.test,hello \
    --user="$(id -un)" --group="$(id -gn)" --pid-file= 2>dnsmasq.log & server=$!
servers+=("$server")
await "$port"
ask() { dig +tries=2 +time=5 @127.0.0.1 -p "$port" "$@"; }
ask +short a.one.test
ask +short +tcp one.test
ask +short t.test txt
ask none.test | grep -o 'status: [A-Z]*'
seq 300 | sed 's/.*/n&.one.test A/' >questions
dnsperf -s 127.0.0.1 -p "$port" -d questions -c 4 -q 20 2>/dev/null | grep -E 'Queries (sent|completed|lost)' | sed 's/  */ /g'
ended dnsmasq $server

mkdir -p mirror/dists/x/main/binary-amd64 apt/lists/partial apt/cache/archives/partial
printf 'Package: one\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: one\nFilename: one.deb\nSize: 1\n\n' >mirror/dists/x/main/binary-amd64/Packages
(cd mirror/dists/x && printf 'Suite: x\nCodename: x\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n %s %d main/binary-amd64/Packages\n' \
    "$(sha256sum <main/binary-amd64/Packages | cut -d' ' -f1)" "$(stat -c %s main/binary-amd64/Packages)" >Release)
port=$(free_port)
/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory mirror "$port" >/dev/null 2>&1 & server=$!
servers+=("$server")
await "$port"
echo "deb [trusted=yes] http://127.0.0.1:$port x main" >apt/sources.list
: >apt/status
options=(-o Dir::State="$work/apt" -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache" -o Dir::Etc=/nowhere
    -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User="$(id -un)" -o APT::Architecture=amd64)
apt-get "${options[@]}" update 2>&1 | sed "s/:$port/:PORT/; s/ in [0-9]*s.*//"
apt-cache "${options[@]}" policy one | sed "s/:$port/:PORT/"
ended mirror $server

ssh-keygen -q -t ed25519 -N '' -f key
dropbearkey -t ed25519 -f hostkey >/dev/null 2>&1
mkdir -m 700 .ssh
port=$(free_port)
# Who logs in is looked up by name, and has a home and a shell elsewhere: so the server only tells who it is, and refuses.
dropbear -F -E -p "127.0.0.1:$port" -r hostkey -P pid 2>dropbear.log & server=$!
servers+=("$server")
await "$port"
ssh-keyscan -t ed25519 -p "$port" 127.0.0.1 2>/dev/null | cut -d' ' -f2
ssh -q -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=known -o PreferredAuthentications=publickey -i key -p "$port" nobody@127.0.0.1 true
echo "ssh: $?, $(grep -c ed25519 known) host known"
ended dropbear $server

cat >server.js <<'JS'
const http = require('http');
const server = http.createServer((q, a) => { let n = 0; q.on('data', d => n += d.length).on('end', () => a.end(`node ${q.method} ${n}\n`)); });
server.listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
JS
cat >server.go <<'GO'
package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { n, _ := io.Copy(io.Discard, r.Body); fmt.Fprintf(w, "go %s %d\n", r.Method, n) })
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
GO
GO111MODULE=off GOCACHE=$work/cache GOFLAGS=-p=2 go build -o server-go server.go || exit 1
head -c 2000000 /dev/zero >zeros
for how in "node server.js" ./server-go; do
    port=$(free_port)
    $how "$port" & server=$!
    servers+=("$server")
    await "$port"
    curl -sS "http://127.0.0.1:$port/"
    curl -sS --data-binary @zeros "http://127.0.0.1:$port/"
    for _ in $(seq 8); do (for _ in $(seq 5); do curl -sS "http://localhost:$port/"; done) & done | sort | uniq -c
    ended "$how" $server
done
