# SPDX-License-Identifier: MIT
# Programs as Debian has them, packed after a trial run: nginx; with ALL=1 also a script in Python, and redis.
. "$(dirname "$0")/lib.sh.inc"
export XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$work/cache"
PATH=$PATH:/usr/sbin:/sbin
cd "$work" || exit 1
# One that is free, and that the kernel gives to nobody by itself.
port=$(python3 - <<'P'
import random, socket
while True:
    with socket.socket() as s:
        port = random.randrange(20000, 30000)
        try:
            s.bind(("127.0.0.1", port))
            break
        except OSError:
            pass
print(port)
P
)

# As root by Debian's own settings; else by such as an unprivileged user can have.
mkdir -p html && echo served >html/index.html
echo "events {} http { access_log off; client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4; scgi_temp_path /tmp/5;
    server { listen 127.0.0.1:8080; root $work/html; } }" >nginx.conf
if command -v nginx >/dev/null && command -v curl >/dev/null; then
    settings=(-c "$work/nginx.conf" -g 'daemon off; pid /tmp/pid; error_log stderr;') inner=8080
    if [ "$(id -u)" = 0 ] && [ -e /etc/nginx/sites-enabled/default ]; then
        settings=(-g 'daemon off;') inner=80
    fi
    "$PAL" pack -o nginx.pal --learn=1 --ro "$work/html" --publish $port:$inner nginx "${settings[@]}" >out 2>err || say "pack nginx: $(cat err)"
    [ "$(stat -c %s nginx.pal)" -le 7000000 ] || say "nginx: $(stat -c %s nginx.pal) bytes"
    ./nginx.pal >out 2>err &
    server=$!
    for _ in $(seq 200); do curl -sS --max-time 5 http://127.0.0.1:$port/index.html >page 2>curl && break || sleep 0.05; done
    grep -qE 'served|nginx' page || say "nginx: $(cat page curl err)"
    kill $server
    wait $server || say "nginx ended with $?: $(cat err)"
fi

if [ -n "${ALL:-}" ]; then
    cat >script <<'P'
#!/usr/bin/env python3
import json, os, sys, ssl
try:
    sys.argv[1]
    open("/etc/passwd").read()
    print("it sees more")
except (FileNotFoundError, IndexError):
    print(json.dumps({"arguments": sys.argv[1:], "home": os.environ["HOME"], "ssl": bool(ssl.OPENSSL_VERSION)}))
P
    chmod 755 script
    "$PAL" pack -o script.pal --learn ./script >out 2>err || say "pack a script: $(cat err)"
    got=$(./script.pal --pal-strict a b 2>&1)
    [ "$got" = '{"arguments": ["a", "b"], "home": "/tmp", "ssl": true}' ] || say "a script: $got"
    if command -v redis-server >/dev/null; then
        "$PAL" pack -o redis.pal --publish $port:6379 redis-server --save '' --protected-mode no >out 2>err || say "pack redis: $(cat err)"
        ./redis.pal >out 2>err &
        server=$!
        for _ in $(seq 200); do [ "$(redis-cli -p $port ping 2>/dev/null)" = PONG ] && break || sleep 0.05; done
        redis-cli -p $port set key value >/dev/null && [ "$(redis-cli -p $port get key)" = value ] || say "redis: $(cat out err)"
        kill $server
        wait $server || say "redis ended with $?: $(cat err)"
    fi
fi
exit $bad
