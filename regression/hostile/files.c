/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants files which policy does not show: by plain paths, "..", symlinks it makes or swaps while they are being
 * opened, /proc/self, and by forging requests on the monitor's channel.  SECRET is a path outside; its first bytes are in
 * argv[2].  Exit 0 if it stayed out of reach.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pal/linux/monitor.h"

static const char *secret, *contents;
static int bad;

static int reveals(int fd)
{
    char buffer[4096];
    ssize_t n = pread(fd, buffer, sizeof buffer, 0);
    return n > 0 && memmem(buffer, (size_t)n, contents, strlen(contents)) != NULL;
}

static void try_open(const char *path, int flags)
{
    int fd = open(path, flags);
    if (fd < 0)
        return;
    if (reveals(fd)) {
        printf("%s was opened\n", path);
        bad = 1;
    }
    close(fd);
}

static void plain_paths(void)
{
    char path[8192];
    static const char *const prefixes[] = {
        "", "/usr/..", "/usr/share/../../", "/tmp/../", "/proc/self/root", "/proc/self/cwd/../../../../../..", "/proc/1/root",
        "/proc/self/fd/../../../..", "/dev/fd/../../..", "//", "/./", "/usr/bin/../../", "/proc/thread-self/root",
        "/proc/self/task/1/root", "/etc/..", "/lib64/../../..", "/etc/alternatives/../..",
    };
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(path, sizeof path, "%s%s", prefixes[i], secret);
        try_open(path, O_RDONLY);
        try_open(path, O_RDONLY | O_NOFOLLOW);
    }
    for (int fd = 0; fd < 64; fd++) { /* a directory descriptor must not be a way up */
        int inner = openat(fd, secret + 1, O_RDONLY);
        if (inner >= 0 && reveals(inner))
            printf("through descriptor %d\n", fd), bad = 1;
        snprintf(path, sizeof path, "../../../../../../..%s", secret);
        inner = openat(fd, path, O_RDONLY);
        if (inner >= 0 && reveals(inner))
            printf("up from descriptor %d\n", fd), bad = 1;
    }
}

static void symlinks(void)
{
    char target[4096];
    unlink("/tmp/link");
    if (symlink(secret, "/tmp/link") == 0)
        try_open("/tmp/link", O_RDONLY);
    unlink("/tmp/link");
    snprintf(target, sizeof target, "../../../../../../../..%s", secret);
    if (symlink(target, "/tmp/link") == 0)
        try_open("/tmp/link", O_RDONLY);
    unlink("/tmp/link");
    if (symlink("/proc/self/root", "/tmp/link") == 0) {
        snprintf(target, sizeof target, "/tmp/link%s", secret);
        try_open(target, O_RDONLY);
    }
    unlink("/tmp/link");
    if (link(secret, "/tmp/hard") == 0)
        try_open("/tmp/hard", O_RDONLY);
    if (rename(secret, "/tmp/moved") == 0)
        try_open("/tmp/moved", O_RDONLY);
    mkdir("/tmp/dir", 0777);
    chdir("/tmp/dir");
    rename("/tmp/dir", "/tmp/elsewhere"); /* the current directory moves */
    snprintf(target, sizeof target, "../../../../../..%s", secret);
    try_open(target, O_RDONLY);
    chdir("/tmp");
}

static volatile int stop;

static void *flip(void *unused)
{
    (void)unused;
    while (!stop) {
        symlink(secret, "/tmp/flip.new");
        rename("/tmp/flip.new", "/tmp/flip");
        int fd = open("/tmp/flip.new", O_CREAT | O_WRONLY, 0666);
        if (fd >= 0)
            close(fd);
        rename("/tmp/flip.new", "/tmp/flip");
    }
    return NULL;
}

static void swapped(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, flip, NULL);
    for (int i = 0; i < 3000 && !bad; i++)
        try_open("/tmp/flip", O_RDONLY);
    stop = 1;
    pthread_join(thread, NULL);
}

__attribute__((used)) static uint64_t instruction;
long through(long number, long a, const void *b, long c);
__asm__("through: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n jmp *instruction(%rip)\n");

/* Requests that no PAL would send. */
static void forged(void)
{
    const unsigned char *text = (const unsigned char *)PAL_HOST_BASE;
    for (int i = 0; i < 1 << 16 && !instruction; i++)
        if (text[i] == 0x0f && text[i + 1] == 0x05 && text[i + 2] == 0xc3)
            instruction = (uint64_t)(text + i);
    static const char *const paths[] = {"..", "/..", "/usr/../..", "etc/shadow", "", "/usr\0/x", "/usr/bin/../../etc/shadow"};
    struct { struct monitor_request r; char bytes[8192]; } packet;
    for (uint32_t op = 0; op < MONITOR_OPS + 2; op++) {
        for (unsigned i = 0; i <= sizeof paths / sizeof *paths; i++) {
            const char *path = i < sizeof paths / sizeof *paths ? paths[i] : secret;
            memset(&packet, 0, sizeof packet);
            packet.r.op = op;
            packet.r.sequence = 0x7fff0000 + i;
            packet.r.flags = PAL_OPEN_READ;
            packet.r.path_size = (uint32_t)strlen(path);
            packet.r.arguments[0] = 1; /* pid 1, descriptor 1, token 1 */
            memcpy(packet.bytes, path, strlen(path));
            through(SYS_write, LINUX_FD_CHANNEL, &packet, (long)(sizeof packet.r + packet.r.path_size));
            packet.r.path_size = 0xffffffff;
            through(SYS_write, LINUX_FD_CHANNEL, &packet, (long)sizeof packet.r);
            through(SYS_write, LINUX_FD_CHANNEL, &packet, 7);
        }
    }
    usleep(100000);
    struct stat st; /* stale replies lie on the channel now: the next real request must still get its own */
    if (stat("/usr/bin", &st) != 0 || !S_ISDIR(st.st_mode))
        printf("the monitor does not answer any more: %s\n", strerror(errno)), bad = 1;
    for (long fd = 3; fd < 200; fd++) { /* descriptors that came along with a reply */
        char buffer[4096];
        long n = through(SYS_read, fd, buffer, 0) < 0 ? -1 : 0;
        if (n == 0 && fd != LINUX_FD_CHANNEL && fd > LINUX_FD_LOG) {
            through(SYS_lseek, fd, NULL, 0);
            n = through(SYS_read, fd, buffer, sizeof buffer);
            if (n > 0 && memmem(buffer, (size_t)n, contents, strlen(contents)))
                printf("host descriptor %ld reads the secret\n", fd), bad = 1;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    secret = argv[1];
    contents = argv[2];
    plain_paths();
    symlinks();
    swapped();
    forged();
    DIR *dir = opendir("/root");
    if (dir && readdir(dir))
        for (struct dirent *e; (e = readdir(dir));)
            if (e->d_name[0] != '.')
                printf("/root shows %s\n", e->d_name), bad = getenv("HOME") && strcmp(getenv("HOME"), "/root") ? 1 : bad;
    printf(bad ? "reached\n" : "out of reach\n");
    return bad;
}
