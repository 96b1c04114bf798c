/* SPDX-License-Identifier: MIT */
/* /proc as programs parse it: a process's own files, its descriptors and threads, and the system's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static char text[1 << 20];

static size_t slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    size_t size = 0;
    ssize_t n;
    CHECK(fd >= 0);
    while ((n = read(fd, text + size, 1000)) > 0)
        size += (size_t)n;
    CHECK(n == 0);
    close(fd);
    text[size] = 0;
    return size;
}

static void links(void)
{
    char path[64], target[4096], expected[4096];
    ssize_t n = readlink("/proc/self", target, sizeof target - 1);
    CHECK(n > 0);
    target[n] = 0;
    CHECK(atoi(target) == getpid());
    n = readlink("/proc/self/exe", target, sizeof target - 1);
    CHECK(n > 0 && target[0] == '/');
    target[n] = 0;
    CHECK(strstr(target, "proc_self"));
    n = readlink("/proc/self/cwd", target, sizeof target - 1);
    CHECK(n > 0);
    target[n] = 0;
    CHECK(getcwd(expected, sizeof expected) && !strcmp(target, expected));
    snprintf(path, sizeof path, "%d/task/%ld", getpid(), syscall(SYS_gettid));
    n = readlink("/proc/thread-self", target, sizeof target - 1);
    CHECK(n == (ssize_t)strlen(path) && !memcmp(path, target, (size_t)n));
    n = readlink("/proc/self/root", target, sizeof target);
    CHECK(n == 1 && target[0] == '/');
    CHECK(readlink("/proc/self/status", target, sizeof target) == -1 && errno == EINVAL);
    CHECK(readlink("/proc/mounts", target, sizeof target) == 11 && !memcmp(target, "self/mounts", 11));
}

static void descriptors(void)
{
    int fds[2], seen = 0;
    char path[64], target[256];
    struct stat a, b;
    CHECK(!pipe(fds));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
    ssize_t n = readlink(path, target, sizeof target - 1);
    CHECK(n > 0);
    target[n] = 0;
    CHECK(!strncmp(target, "pipe:[", 6));
    CHECK(!lstat(path, &a) && S_ISLNK(a.st_mode));
    CHECK(!stat(path, &a) && !fstat(fds[0], &b) && S_ISFIFO(a.st_mode) && a.st_ino == b.st_ino);
    int again = open(path, O_RDONLY | O_NONBLOCK);
    CHECK(again >= 0 && write(fds[1], "x", 1) == 1 && read(again, target, 10) == 1);
    close(again);
    snprintf(path, sizeof path, "/proc/self/fd/%d", 900);
    CHECK(open(path, O_RDONLY) == -1 && errno == ENOENT);
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        seen += atoi(entry->d_name) == fds[0] || atoi(entry->d_name) == fds[1];
    CHECK(seen == 2);
    rewinddir(dir);
    CHECK(readdir(dir)->d_name[0] == '.');
    closedir(dir);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fds[1]);
    slurp(path);
    CHECK(strstr(text, "pos:\t0\n") && strstr(text, "flags:\t01\n"));
    close(fds[0]);
    close(fds[1]);
}

static void status(void)
{
    int pid, parent;
    char name[64], state;
    prctl(PR_SET_NAME, "renamed thing");
    CHECK(slurp("/proc/self/comm") == 14 && !strcmp(text, "renamed thing\n"));
    int fd = open("/proc/self/comm", O_WRONLY);
    CHECK(fd >= 0 && write(fd, "other", 5) == 5 && !close(fd));
    CHECK(!prctl(PR_GET_NAME, name) && !strcmp(name, "other"));
    slurp("/proc/self/stat");
    CHECK(sscanf(text, "%d (%63[^)]) %c %d", &pid, name, &state, &parent) == 4);
    CHECK(pid == getpid() && parent == getppid() && state == 'R' && !strcmp(name, "other"));
    int fields = 1;
    for (char *at = strchr(text, ')'); *at; at++)
        fields += *at == ' ';
    CHECK(fields == 51); /* after the name: 50 more */
    slurp("/proc/self/status");
    char *at = strstr(text, "\nPid:\t");
    CHECK(!strncmp(text, "Name:\tother\n", 12) && at && atoi(at + 6) == getpid());
    unsigned uids[4];
    at = strstr(text, "\nUid:");
    CHECK(at && sscanf(at, "\nUid: %u %u %u %u", &uids[0], &uids[1], &uids[2], &uids[3]) == 4);
    CHECK(uids[0] == getuid() && uids[1] == geteuid());
    CHECK(strstr(text, "\nThreads:\t1\n") && strstr(text, "\nVmSize:") && strstr(text, "\nSigBlk:"));
    slurp("/proc/self/statm");
    CHECK(sscanf(text, "%d %d", &pid, &parent) == 2 && pid > 0);
}

static void memory(char **argv, char **envp)
{
    char perms[8], name[256];
    unsigned long start, end;
    bool found = false, stack = false;
    slurp("/proc/self/maps");
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        name[0] = 0;
        CHECK(sscanf(line, "%lx-%lx %7s %*s %*s %*s%255[^\n]", &start, &end, perms, name) >= 3);
        if ((unsigned long)memory >= start && (unsigned long)memory < end)
            found = perms[2] == 'x' && strstr(name, "proc_self") != NULL;
        if ((unsigned long)perms >= start && (unsigned long)perms < end)
            stack = strstr(name, "[stack]") != NULL;
    }
    CHECK(found && stack);
    slurp("/proc/self/smaps");
    CHECK(strstr(text, "Rss:") && strstr(text, "VmFlags:"));
    size_t size = slurp("/proc/self/cmdline");
    CHECK(size >= strlen(argv[0]) + 1 && !strcmp(text, argv[0]));
    size = slurp("/proc/self/environ");
    CHECK(!envp[0] || (size > strlen(envp[0]) && !strcmp(text, envp[0])));
    CHECK(slurp("/proc/self/auxv") % 16 == 0 && *(unsigned long *)text != 0);
}

static void *threads(void *unused)
{
    char path[64];
    int count = 0;
    (void)unused;
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
    prctl(PR_SET_NAME, "worker");
    slurp(path);
    CHECK(!strcmp(text, "worker\n"));
    slurp("/proc/self/comm");
    CHECK(!strcmp(text, "other\n"));
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += atoi(entry->d_name) > 0;
    closedir(dir);
    CHECK(count == 2);
    return NULL;
}

static void whole_system(void)
{
    struct stat st;
    slurp("/proc/cpuinfo");
    CHECK(strstr(text, "processor\t: 0\n") && strstr(text, "flags\t\t:") && strstr(text, " sse2 "));
    slurp("/proc/meminfo");
    CHECK(!strncmp(text, "MemTotal:", 9) && strstr(text, "\nMemAvailable:"));
    slurp("/proc/stat");
    CHECK(!strncmp(text, "cpu ", 4) && strstr(text, "\nbtime "));
    slurp("/proc/uptime");
    CHECK(atof(text) > 0);
    slurp("/proc/loadavg");
    CHECK(strchr(text, '/'));
    slurp("/proc/version");
    CHECK(!strncmp(text, "Linux version ", 14));
    slurp("/proc/mounts");
    CHECK(strstr(text, " /proc proc "));
    slurp("/proc/self/mountinfo");
    CHECK(strstr(text, " - proc "));
    slurp("/proc/self/limits");
    CHECK(strstr(text, "\nMax open files "));
    slurp("/proc/filesystems");
    CHECK(strstr(text, "nodev\tproc\n"));
    CHECK(slurp("/proc/sys/kernel/random/uuid") == 37 && text[8] == '-');
    CHECK(slurp("/proc/sys/kernel/random/boot_id") == 37);
    slurp("/proc/sys/kernel/ostype");
    CHECK(!strcmp(text, "Linux\n"));
    slurp("/proc/sys/kernel/pid_max");
    CHECK(atoi(text) >= 32768);
    slurp("/sys/devices/system/cpu/online");
    CHECK(text[0] == '0');
    CHECK(!stat("/proc/self/status", &st) && S_ISREG(st.st_mode) && st.st_size == 0 && (st.st_mode & 0777) == 0444);
    CHECK(!stat("/proc/../proc/./self//maps", &st));
    CHECK(stat("/proc/self/nothing", &st) == -1 && errno == ENOENT);
    CHECK(stat("/proc/self/status/x", &st) == -1 && errno == ENOTDIR);
    CHECK(open("/proc/nothing", O_CREAT | O_WRONLY, 0600) == -1 && (errno == ENOENT || errno == EACCES));
}

/* Reading at offset 0 again shows the new state, through the same descriptor. */
static void again(void)
{
    char before[32], after[32];
    int fd = open("/proc/self/comm", O_RDONLY);
    CHECK(fd >= 0 && read(fd, before, sizeof before) == 6);
    CHECK(read(fd, before, sizeof before) == 0);
    prctl(PR_SET_NAME, "new");
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, after, sizeof after) == 4 && !memcmp(after, "new\n", 4));
    CHECK(pread(fd, after, 2, 1) == 2 && !memcmp(after, "ew", 2));
    close(fd);
}

int main(int argc, char **argv, char **envp)
{
    pthread_t thread;
    (void)argc;
    links();
    descriptors();
    status();
    memory(argv, envp);
    CHECK(!pthread_create(&thread, NULL, threads, NULL) && !pthread_join(thread, NULL));
    whole_system();
    again();
    return 0;
}
