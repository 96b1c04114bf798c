# SPDX-License-Identifier: MIT
# Snapshots: a clone goes on where its template forked, with arguments, environment, streams and policy of its own; what
# random state a fork's child draws anew differs between clones; an image that does not hold is refused in one line.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
cat >"$work/warm.c" <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int forked, signals;
static __thread int of_thread = 41;
static void in_child(void) { forked++; }
static void on_signal(int number) { signals += number; }
static void *thread(void *argument) { return (char *)argument + of_thread; }

/* What is written must be there, and what is dropped must be zero: of memory that the image holds. */
static void memory(char *heap, char *map, char *file, char *wiped, char *hidden)
{
    const size_t page = 4096;
    printf("heap %s, map %s, file %.4s/%s\n", heap, map, file, file + page);
    madvise(map, page, MADV_DONTNEED);
    printf("dropped %d, next %s\n", map[0], map + page);
    madvise(map + page, page, MADV_FREE);
    madvise(file, page, MADV_DONTNEED);
    madvise(file + page, page, MADV_DONTNEED);
    printf("file again %.4s/%.4s\n", file, file + page);
    char *moved = mremap(map, 16 * page, 64 * page, MREMAP_MAYMOVE);
    printf("moved %s, more %d\n", moved + 8 * page, moved[63 * page]);
    heap = realloc(heap, 40 << 20);
    printf("grown %s %d\n", heap, heap[(40 << 20) - 1] | heap[6 << 20]);
    mprotect(hidden, page, PROT_READ);
    printf("wiped %d, hidden %s\n", wiped[0], hidden);
}

int main(int argc, char **argv)
{
    const size_t page = 4096;
    char *heap = malloc(5 << 20), *map = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *wiped = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *hidden = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int self = open(argv[0], O_RDONLY);
    char *file = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, self, 0);
    lseek(self, 1, SEEK_SET);
    memset(heap, 0, 5 << 20);
    strcpy(heap, "of the template");
    strcpy(map, "first"), strcpy(map + page, "second"), strcpy(map + 8 * page, "ninth");
    strcpy(file + page, "written");
    strcpy(wiped, "secret"), madvise(wiped, page, MADV_WIPEONFORK);
    strcpy(hidden, "kept"), mprotect(hidden, page, PROT_NONE);
    strcpy(shared, "shared");
    signal(SIGUSR1, on_signal);
    pthread_atfork(NULL, NULL, in_child);
    of_thread = 42;
    __m256i vector = _mm256_set1_epi32(7);
    __asm__ volatile("vmovdqa %0, %%ymm9" : : "m"(vector) : "xmm9");
    pid_t template = getpid();
    int ready = open("/proc/pal/ready", O_WRONLY);
    if (ready < 0 || write(ready, "1", 1) != 1)
        return 2;
    close(ready);
    pid_t child = fork();
    if (child) {
        int status;
        waitpid(child, &status, 0);
        printf("template: %d\n", status);
        return argc > 1 && !strcmp(argv[1], "fail") ? 3 : 0;
    }
    __m256i now;
    __asm__ volatile("vmovdqa %%ymm9, %0" : "=m"(now));
    char start[8192], *word = start, letter[2] = {0};
    int fd = open("/proc/pal/start", O_RDONLY), count = read(fd, start, sizeof start - 1) > 0 ? atoi(start) : -1;
    close(fd);
    printf("clone: other number %d, handlers %d, vector %d, thread's %d, tid %d\n", getpid() != template, forked,
           !memcmp(&now, &vector, sizeof now), of_thread, gettid() == getpid());
    for (int i = 0; i < count; i++)
        printf("%s\n", word += strlen(word) + 1);
    for (word += strlen(word) + 1; *word; word += strlen(word) + 1)
        if (!strncmp(word, "OF_CLONE=", 9))
            printf("%s\n", word);
    read(self, letter, 1);
    printf("offset %c, shared %s\n", letter[0], shared);
    memory(heap, map, file, wiped, hidden);
    raise(SIGUSR1);
    pthread_t other;
    void *result;
    pthread_create(&other, NULL, thread, (void *)1);
    pthread_join(other, &result);
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    printf("signals %d, thread %d, clock %d\n", signals, (int)(long)result, time.tv_sec > 1600000000);
    fflush(stdout);
    if (!(child = fork()))
        _exit(5);
    int status;
    waitpid(child, &status, 0);
    unsigned random;
    getrandom(&random, sizeof random, 0);
    fprintf(stderr, "%d %u\n", getpid(), random);
    printf("child %d\n", WEXITSTATUS(status));
    fflush(stdout);
    execl("/bin/echo", "echo", "another program", NULL);
    return 1;
}
C
gcc -O1 -mavx2 -w "$work/warm.c" -o "$work/warm" -lpthread || exit 1
cp "$work/warm" "$work/other"

[ "$("$PAL" snapshot make warm -- "$work/warm" 2>"$work/err")" = "template: 0" ] || say "make: $(cat "$work/err")"
[ "$(stat -c %a "$XDG_DATA_HOME/pal-run/snapshots/warm.image")" = 400 ] || say "others may read the image"
[ "$(stat -c %a "$XDG_DATA_HOME/pal-run/snapshots")" = 700 ] || say "others may read the directory"
want="clone: other number 1, handlers 1, vector 1, thread's 42, tid 1
$work/warm
a
b c
OF_CLONE=yes
offset E, shared shared
heap of the template, map first, file $(printf '\177')ELF/written
dropped 0, next second
file again $(printf '\177')ELF/$(head -c 4100 "$work/warm" | tail -c 4 | tr -d '\0')
moved ninth, more 0
grown of the template 0
wiped 0, hidden kept
signals 10, thread 42, clock 1
child 5
another program"
for trap in sud seccomp; do
    got=$(OF_CLONE=yes "$PAL" snapshot run --trap=$trap --env OF_CLONE --ro "$work" warm a 'b c' 2>"$work/$trap" </dev/null)
    [ "$got" = "$want" ] || say "$trap: a clone differs:" "$(diff <(echo "$got") <(echo "$want"))" "$(cat "$work/$trap")"
done
cmp -s "$work/sud" "$work/seccomp" && say "two clones drew the same numbers: $(cat "$work/sud")"

# Without options those of make hold; with some, these alone.
"$PAL" snapshot make kept --env OF_CLONE=made -- "$work/warm" >/dev/null 2>&1
"$PAL" snapshot run kept 2>/dev/null | grep -q OF_CLONE=made || say "make's options do not hold"
"$PAL" snapshot run --env OTHER=1 kept 2>/dev/null | grep -q OF_CLONE && say "make's options hold beside others"

"$PAL" snapshot list | grep -q "^warm .* MiB" || say "list: $("$PAL" snapshot list)"
"$PAL" snapshot list --json | python3 -c 'import json, sys; assert [s["name"] for s in json.load(sys.stdin)] == ["kept", "warm"]' ||
    say "list --json"
"$PAL" snapshot info warm | grep -q '"usable": true' || say "info: $("$PAL" snapshot info warm)"

# What does not hold is refused.
expect 125 'no such snapshot' "$PAL" snapshot run none
expect 125 'not a name for a snapshot' "$PAL" snapshot run ../warm
expect 125 'usage: pal-run snapshot' "$PAL" snapshot
expect 125 'never forked' "$PAL" snapshot make never -- /bin/true
expect 125 'no such snapshot' "$PAL" snapshot info never
expect 3 'snapshot failing: ' "$PAL" snapshot make failing -- "$work/warm" fail
cat >"$work/pipes.py" <<'P'
import os
ends = os.pipe()
os.close(ends[1])
open('/proc/pal/ready', 'w').write('1')
if os.fork() == 0:
    os._exit(0)
os.wait()
P
"$PAL" snapshot make pipes --ro "$work" -- /usr/bin/python3 "$work/pipes.py" >"$work/out" 2>&1
grep -q "can't hold descriptor 3 (pipe: its other end" "$work/out" || say "a pipe's end: $(cat "$work/out")"
images=$XDG_DATA_HOME/pal-run/snapshots
damage() { # NAME: another image in its place
    chmod u+w "$images/$1.image"
    cat >"$images/$1.image"
}
cp -r "$images" "$work/saved"
head -c 4096 "$work/saved/warm.image" | damage kept
expect 125 "can't be (mapped|read)|damaged|incomplete" "$PAL" snapshot run kept
head -c 100000 /dev/zero | damage kept
expect 125 'incomplete' "$PAL" snapshot run kept
(printf 'PalSnp1\0'; head -c 8192 /dev/urandom) | damage kept
expect 125 'another pal-run or processor' "$PAL" snapshot run kept
sed -i 's/"identity": "..../"identity": "0000/' "$images/failing.json"
expect 125 'was made by another pal-run.*--remake' "$PAL" snapshot run failing

# A file that the policy does not show, or that is another now.
mkdir "$work/lib"
cp "$work/warm" "$work/lib/warm"
"$PAL" snapshot make moved -- "$work/lib/warm" >/dev/null 2>&1
touch "$work/lib/warm"
expect 125 'has changed since the snapshot was made' "$PAL" snapshot run moved
[ "$("$PAL" snapshot run --remake kept 2>/dev/null | head -1)" = "" ] || say "--remake of a damaged image is not asked for"
sed -i 's/"identity": "..../"identity": "0000/' "$images/moved.json"
"$PAL" snapshot run --remake moved 2>/dev/null | grep -q '^clone: other number 1' || say "--remake"

# Whom others may write is not trusted.
chmod g+w "$images/warm.image"
expect 125 "can't be opened" "$PAL" snapshot run warm
"$PAL" snapshot rm warm kept failing moved || say "rm"
[ -z "$(ls "$images")" ] || say "rm left $(ls "$images")"
exit $bad
