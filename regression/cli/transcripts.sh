# SPDX-License-Identifier: MIT
# docs/transcripts.md: each command ("$ ...") is run, and what it prints is compared.  The home's path is shown as "~".
. "$(dirname "$0")/lib.sh.inc"
page=$PWD/docs/transcripts.md
home=$(mktemp -d /var/tmp/pal-transcripts.XXXXXX) || exit 1
trap 'rm -rf "$home" "$work"' EXIT
mkdir "$work/bin" && ln -s "$PAL" "$work/bin/pal-run"
export HOME=$home JOB_MODE=fast PATH=$work/bin:/usr/bin:/bin LC_ALL=C GIT_CONFIG_NOSYSTEM=1 XDG_CACHE_HOME=$home/.cache
unset XDG_CONFIG_HOME
mkdir -p "$home"/{.ssh,.config/job,.cache,Downloads,proj/app,proj/shared,state/job,tool/bin,.pyenv/shims,.pyenv/versions/3/bin}
echo key >"$home/.ssh/id_ed25519"
echo '# mine' >"$home/.bashrc"
echo conf >"$home/.config/job/conf"
echo last >"$home/state/job/last"
printf '#!/bin/sh\necho tool\n' >"$home/tool/bin/tool"
echo 'greet() { echo hello from shared; }' >"$home/proj/shared/lib.sh"
cat >"$home/proj/app/job.sh" <<'JOB'
#!/bin/sh
[ -r ../shared/lib.sh ] && . ../shared/lib.sh && greet || bad=1
cat ~/.config/job/conf || bad=1
cat ~/state/job/last || bad=1
~/tool/bin/tool || bad=1
[ "$JOB_MODE" = fast ] || bad=1
echo done >out.txt || bad=1
exit ${bad:-0}
JOB
echo 'SECRET=1' >"$home/proj/.env"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
(cd "$home/proj" && git init -q && git commit -q --allow-empty -m first && git worktree add -q "$home/tree")
printf '#!/bin/sh\nexec ~/.pyenv/versions/3/bin/python3 "$@"\n' >"$home/.pyenv/shims/python3"
ln -s /usr/bin/python3 "$home/.pyenv/versions/3/bin/python3"
chmod +x "$home"/proj/app/job.sh "$home"/tool/bin/tool "$home"/.pyenv/shims/python3
cat >"$work/stranger.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void try(const char *what, const char *shown, int result)
{
    printf("%s %s: %s\n", what, shown, result < 0 ? strerror(errno) : "done");
}
int main(void)
{
    char path[4096];
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = inet_addr("192.0.2.1")};
    snprintf(path, sizeof path, "%s/.ssh/id_ed25519", getenv("HOME"));
    try("reading", "~/.ssh/id_ed25519", open(path, O_RDONLY));
    try("reading", "/etc/shadow", open("/etc/shadow", O_RDONLY));
    try("connecting to", "192.0.2.1:443", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&far, sizeof far));
    snprintf(path, sizeof path, "%s/.bashrc", getenv("HOME"));
    try("writing", "~/.bashrc", open(path, O_WRONLY | O_CREAT, 0644));
    try("writing", "/etc/profile.d/stay", open("/etc/profile.d/stay", O_WRONLY | O_CREAT, 0644));
    return 1;
}
C
gcc -static -O1 -o "$home/Downloads/stranger" "$work/stranger.c" || exit 1
cat >"$home/proj/app/totals.cpp" <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
__attribute__((noinline)) static int price(const char *line)
{
    const char *comma = strchr(line, ',');
    return *(comma + 1) == '-' ? 0 : atoi(comma + 1);
}
__attribute__((noinline)) static int total(FILE *file)
{
    char line[100];
    int sum = 0;
    while (fgets(line, sizeof line, file))
        sum += price(line);
    return sum;
}
int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!file)
        return 1;
    printf("%d\n", total(file));
    return 0;
}
C
printf 'apples,3\npears\n' >"$home/proj/app/prices.csv"
(cd "$home/proj/app" && g++ -g -O1 -o totals totals.cpp && rm totals.cpp) || exit 1
command=
check() {
    [ -n "$command" ] || return
    case $command in
    *' --ask '*) python3 regression/cli/at_terminal.py "$work/want" "$command" >"$work/out" ;;
    *) timeout 60 bash -c "$command" </dev/null >"$work/out" 2>&1 ;;
    esac
    sed "s|$home|~|g; s/+0x[0-9a-f]*)$/+0x...)/; /^$/d" "$work/out" >"$work/got"
    diff "$work/want" "$work/got" >"$work/diff" || say "'$command' prints otherwise (< docs, > here):
$(cat "$work/diff")"
    count=$((count + 1))
}
count=0
: >"$work/want"
while IFS= read -r line; do
    case $line in
    '    $ '*) check; command=${line#'    $ '}; : >"$work/want" ;;
    '    '*) [ -n "$command" ] && printf '%s\n' "${line#    }" >>"$work/want" ;;
    '') ;;
    *) check; command= ;;
    esac
done <"$page"
check
[ $count -gt 10 ] || say "only $count commands were found"
exit $bad
