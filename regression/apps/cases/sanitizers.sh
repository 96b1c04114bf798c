# SPDX-License-Identifier: MIT
# Programs of gcc's and clang's sanitizers and of Go's race detector: their shadows and heaps lie at fixed places all over
# the address space.  What they find, they find; what is right, runs.
rm -rf /tmp/pal-case-sanitizers && mkdir /tmp/pal-case-sanitizers && cd /tmp/pal-case-sanitizers || exit 1
cat >main.c <<'EOF'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int sum, racy;
static volatile int zero = 0x7fffffff;
static volatile sig_atomic_t signals;
static void handler(int n) { signals += n; }
static void *thread(void *a)
{
    for (int i = 0; i < 1000; i++) {
        char *p = malloc(100 + i);
        memset(p, i, 100);
        pthread_mutex_lock(&mutex);
        sum += p[7] & 1;
        pthread_mutex_unlock(&mutex);
        free(p);
    }
    if (a)
        racy++;
    return a;
}
int main(int c, char **v)
{
    const char *what = c > 1 ? v[1] : "";
    pthread_t t[4];
    signal(SIGUSR1, handler);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], 0, thread, strcmp(what, "race") ? 0 : &t);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], 0);
    raise(SIGUSR1);
    pid_t child = fork();
    if (child == 0) {
        thread(0);
        _exit(sum == 2500 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    printf("sum %d, child %d, signals %d\n", sum, status, (int)signals);
    fflush(stdout);
    volatile int *p = malloc(40);
    if (!strcmp(what, "uninitialized") && p[3])
        puts("?");
    if (!strcmp(what, "overflow"))
        p[c + 8] = 1;
    free((void *)p);
    if (!strcmp(what, "freed"))
        p[c] = 1;
    if (!strcmp(what, "divide"))
        zero = zero + c;
    return 0;
}
EOF
check() { # COMPILER SANITIZER CASE...: all of an error report but the kind holds addresses
    "$1" -g -O1 -w -pthread -fsanitize="$2" -o prog main.c 2>/dev/null || { echo "no $1 -fsanitize=$2"; return; }
    for what in right "${@:3}"; do
        ASAN_OPTIONS=detect_leaks=0 ./prog "$what" >out 2>err
        echo "$1 $2 $what: status $?"
        cat out
        sed -En 's/.*(runtime error: .*)/\1/p; s/^SUMMARY: ([A-Za-z]*: [a-z-]*).*/\1/p' err | sort -u
    done
}
for compiler in gcc clang; do
    check $compiler address overflow freed
    check $compiler thread race
    check $compiler undefined divide
done
check clang memory uninitialized
cat >race.go <<'EOF'
package main

import "fmt"

func main() {
	n, done := 0, make(chan int)
	for i := 0; i < 8; i++ {
		go func() { n++; done <- i }()
	}
	for i := 0; i < 8; i++ {
		<-done
	}
	fmt.Println("ended")
}
EOF
GOCACHE=$PWD/cache GOFLAGS=-buildvcs=false go build -race -o race race.go 2>/dev/null && { ./race >out 2>err; echo "go: status $?"; cat out; grep -c 'WARNING: DATA RACE' err | sed 's/[1-9].*/found/'; }
cd / && rm -rf /tmp/pal-case-sanitizers
