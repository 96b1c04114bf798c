# SPDX-License-Identifier: MIT
# Each file of manifests/: the commands in its header ("#   $ ..."; with "&" behind: a server) do their job on real input, and
# under each the walls stand.  What is not installed is skipped, and named.
. "$(dirname "$0")/lib.sh.inc"
manifests=$PWD/manifests
own_home=$HOME
mkdir "$work/bin" "$work/home"
chmod 755 "$work"
ln -s "$PAL" "$work/bin/pal-run"
echo key >"$work/home/key"
export HOME=$work/home PATH="$work/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done

# ---- Input, and what must come of it: "had" is the commands' output -------------------------------------------------------

count_files() { seq 1000 >input.txt; }
has() { grep -qxF -- "$1" had || say "$name: not '$1': $(head -3 had)"; }

in_python3() { echo 'print(sum(range(1001)))' >script.py; }
out_python3() { [ "$(paste -sd' ' had)" = "500500 500500" ] || say "python3: $(head -3 had)"; }

in_build() { printf 'all: hello\nhello: hello.c\n\tgcc -O1 hello.c -o hello\n' >Makefile; printf '#include <stdio.h>\nint main(void) { puts("built"); }\n' >hello.c; }
out_build() { [ "$(./hello)" = built ] || say "$name: $(head -3 had)"; }
in_make() { in_build; }
out_make() { out_build; [ "$(./second)" = built ] || say "make: gcc"; }

in_node() { echo '[1, 2, 3]' >input.json; echo 'console.log(JSON.parse(require("fs").readFileSync(process.argv[2])).reduce((a, b) => a + b))' >app.js; }
out_node() { has 6; }

in_npm() {
    mkdir greeting
    echo '{"name": "greeting", "version": "1.0.0", "main": "main.js"}' >greeting/package.json
    echo 'module.exports = "hello from a package"' >greeting/main.js
    echo '{"name": "app", "version": "1.0.0", "scripts": {"test": "node test.js"}}' >package.json
    echo 'console.log(require("greeting"))' >test.js
}
out_npm() { has "hello from a package"; grep -q greeting package.json || say "npm: package.json was not written"; }

in_cargo() {
    ln -s "$own_home/.cargo" "$own_home/.rustup" "$HOME/"
    mkdir -p src part/src
    printf '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\npart = { path = "part" }\n' >Cargo.toml
    printf '[package]\nname = "part"\nversion = "0.1.0"\nedition = "2021"\n' >part/Cargo.toml
    echo 'pub fn sum() -> u64 { (1..=1000).sum() }' >part/src/lib.rs
    echo 'fn main() { println!("{}", part::sum()); }' >src/main.rs
}
out_cargo() { has 500500; }

in_go() { printf 'module hello\n\ngo 1.19\n' >go.mod; printf 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("built") }\n' >hello.go; }
out_go() { out_build; }

in_git() { seq 10 >notes; }
out_git() { grep -q '1 file changed, 10 insertions' had && [ "$(git log --format=%an)" = A ] || say "git: $(head -3 had)"; }

in_java() {
    count_files
    cat >Sum.java <<'J'
import java.nio.file.*;
public class Sum { public static void main(String[] a) throws Exception {
    System.out.println(Files.lines(Path.of(a[0])).parallel().mapToInt(Integer::parseInt).sum()); } }
J
}
out_java() { has 500500; }

in_maven() { echo '<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>b</artifactId><version>1</version><packaging>pom</packaging></project>' >pom.xml; }
out_maven() { grep -q 'BUILD SUCCESS' had || say "maven: $(tail -3 had)"; }

in_ruby() { count_files; echo 'puts File.foreach(ARGV[0]).sum(&:to_i)' >count.rb; }
out_ruby() { has 500500; }
in_perl() { count_files; echo 'use List::Util "sum"; print sum(<>), "\n";' >count.pl; }
out_perl() { has 500500; }
# shellcheck disable=SC2016
in_php() { count_files; echo '<?php echo array_sum(file($argv[1])), "\n";' >count.php; }
out_php() { has 500500; }

in_ffmpeg() { python3 -c 'import wave; w = wave.open("input.wav", "wb"); w.setparams((2, 2, 8000, 0, "NONE", "")); w.writeframes(bytes(range(256)) * 125)'; }
out_ffmpeg() { [ "$(head -c 4 output.flac)" = fLaC ] || say "ffmpeg: $(head -3 had)"; }

in_imagemagick() { { printf 'P6 8 6 255\n'; head -c 144 /dev/zero; } >input.ppm; }
out_imagemagick() { python3 -c 'd = open("output.png", "rb").read(); assert d[1:4] == b"PNG" and d[16:24] == bytes([0, 0, 0, 4, 0, 0, 0, 3])' || say "imagemagick: $(head -3 had)"; }

in_pdf() {
    python3 - <<'P'
text = b"BT /F1 24 Tf 40 100 Td (text of a page) Tj ET"
objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
           b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
           b"<</Length %d>>stream\n%s\nendstream" % (len(text), text), b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
out, places = b"%PDF-1.4\n", []
for number, body in enumerate(objects, 1):
    places.append(len(out))
    out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in places)
open("input.pdf", "wb").write(out + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(out))
P
}
out_pdf() { grep -q 'text of a page' output.txt && grep -aq Linearized output.pdf || say "pdf: $(head -3 had)"; }

in_sqlite() { echo 'create table t(n); with recursive c(n) as (select 1 union all select n + 1 from c where n < 1000) insert into t select n from c; select sum(n) from t;' >input.sql; }
out_sqlite() { has 500500; [ -s data.db ] || say "sqlite: no file"; }

in_archive() { mkdir tree; seq 1000 >tree/numbers; ln -s "$HOME/key" tree/link; tar -czf input.tar.gz tree && mv tree was; }
out_archive() { cmp -s tree/numbers was/numbers && [ -L tree/link ] || say "archive: $(head -3 had)"; }

in_postgres() { [ "$(id -u)" != 0 ] || chown 65534:65534 .; }
on_postgres() { psql -h 127.0.0.1 -p 15432 -U postgres -Atc 'select sum(n) from generate_series(1, 1000) n'; }
out_postgres() { has 500500; }
in_redis() { :; }
on_redis() { redis-cli -p 16379 set key value && redis-cli -p 16379 save && [ -s dump.rdb ] && redis-cli -p 16379 get key; }
out_redis() { has value; }
in_nginx() { mkdir html; echo served >html/index.html; echo 'events {} http { access_log off; client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4; scgi_temp_path /tmp/5; server { listen 127.0.0.1:8080; root html; } }' >nginx.conf; }
on_nginx() { curl -sS --max-time 5 http://127.0.0.1:18080/; }
out_nginx() { has served; }

in_agent() {
    in_build
    echo 'open("hello.c", "a").write("/* fixed */\n")' >fix.py
    git init -q . && git add -A && git commit -qm first && mkdir -p .git/hooks
}
out_agent() {
    [ "$(git log --format=%s -1)" = fixed ] && out_build
    pal-run -m manifests/agent.toml --ro .git/hooks --ro .git/config -- bash -c 'echo x >.git/hooks/pre-commit; git config core.hooksPath /tmp' >had 2>&1
    [ ! -e .git/hooks/pre-commit ] && ! git config core.hooksPath || say "agent: it could write what git runs"
}

# ---- Each file ------------------------------------------------------------------------------------------------------------

needs() {
    case $1 in
    build) echo make gcc ;; make) echo make gcc ;; npm) echo node npm ;; cargo) echo "$own_home/.cargo/bin/rustc" ;; java) echo javac ;; maven) echo mvn ;;
    imagemagick) echo convert ;; pdf) echo pdftotext qpdf ;; sqlite) echo sqlite3 ;; archive) echo tar ;;
    postgres) echo initdb psql ;; redis) echo redis-server redis-cli ;; nginx) echo nginx curl ;; agent) echo git make gcc ;;
    *) echo "$1" ;;
    esac
}

# Why it can't be tried here; nothing: it can.
lacks() {
    local program path port
    for program in $(needs "$1"); do command -v "$program" >/dev/null || { echo "$program is not installed"; return; }; done
    for path in $(sed -n 's/^at = "\(\/etc\/[^"]*\)"/\1/p' "$2"); do [ -e "$path" ] || { echo "$path is not there"; return; }; done
    port=$(sed -n 's/.*--publish \([0-9]*\):.*/\1/p' "$2")
    [ -z "$port" ] || ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || echo "port $port is in use"
}

# A server's command: until it answers; then it is asked to end, and ends.
serve() {
    local pid answered=no
    # shellcheck disable=SC2086
    $as bash -c "exec ${1% &}" >server 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        if "on_$name" >>had 2>errors; then answered=yes; break; fi
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    [ $answered = yes ] || say "$name: no answer: $(cat server errors | tail -2)"
    kill -TERM $pid 2>/dev/null
    wait $pid
}

# What no manifest allows, tried by a shell under each of them.
walls() {
    # shellcheck disable=SC2016,SC2086
    $as pal-run -m "manifests/$name.toml" --env OUTER_HOME="$HOME" -- /bin/bash -c '
        [ -x /usr/bin/env ] || echo "walls were not tried"
        [ ! -e "$OUTER_HOME/key" ] || echo "the home is shown"
        [ ! -e /etc/shadow ] || echo "/etc/shadow is shown"
        (: >/usr/made) 2>/dev/null && echo "/usr can be written"
        (exec 3<>/dev/tcp/127.0.0.1/"$1") 2>/dev/null && echo "the host can be reached"
        [ -z "$SECRET_TOKEN" ] || echo "variables are shown"
        exit 0' walls "$port" >walled 2>&1 || say "$name: walls: status $?"
    ! grep -q '^\[network' "$file" || say "$name: it opens the network"
    [ ! -s walled ] || say "$name: $(cat walled)"
}

export SECRET_TOKEN=secret
coproc listener { exec python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(300)'; }
read -r port <&"${listener[0]}"
(exec 3<>"/dev/tcp/127.0.0.1/$port") || say "the listener can't be reached by anybody"
tried=0
for file in "$manifests"/*.toml; do
    name=$(basename "$file" .toml)
    mapfile -t commands < <(sed -n 's/^#   \$ //p' "$file")
    if [ ${#commands[@]} = 0 ]; then
        grep -q "^extends = \"$name.toml\"" "$manifests"/*.toml || say "$name: no command in its header, and nothing extends it"
        continue
    fi
    why=$(lacks "$name" "$file")
    [ -z "$why" ] || { echo "skipped: $name: $why"; continue; }
    as=
    [ "$name$(id -u)" != postgres0 ] || as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    mkdir "$work/$name"
    cd "$work/$name" || exit 1
    ln -s "$manifests" manifests
    "in_$name"
    : >had
    for command in "${commands[@]}"; do
        case $command in
        *' &') serve "$command" ;;
        *)
            # shellcheck disable=SC2086
            timeout 120 $as bash -c "$command" >>had 2>&1 </dev/null
            got=$?
            [ $got = 0 ] || say "$name: '$command': status $got: $(tail -3 had)"
            ;;
        esac
    done
    "out_$name"
    walls
    tried=$((tried + 1))
done
# shellcheck disable=SC2154
kill "$listener_PID"
[ $tried -ge 12 ] || say "only $tried manifests were tried"
exit $bad
