/* SPDX-License-Identifier: MIT */
/* What ipcs, lsns, lscpu, numactl, htop, ip's friends and debuggers read in /proc and /sys; and what may be written there. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[1 << 16];

static const char *get(const char *path)
{
    int fd = open(path, O_RDONLY);
    size_t size = 0;
    if (fd < 0)
        fprintf(stderr, "%s\n", path);
    CHECK(fd >= 0);
    for (ssize_t part; (part = read(fd, text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)part;
    text[size] = 0;
    close(fd);
    return text;
}

static long put(const char *path, const char *what)
{
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    long result = write(fd, what, strlen(what));
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* The row of an object in a table whose second column is its number; columns from the key on. */
static void row(const char *path, int id, long *columns, int count)
{
    char *line = strchr(get(path), '\n');
    for (; line; line = strchr(line + 1, '\n')) {
        char *at = line + 1;
        for (int i = 0; i < count; i++)
            columns[i] = i == 2 ? strtol(at, &at, 8) : strtol(at, &at, 10);
        if (line[1] && columns[1] == id)
            return;
    }
    fprintf(stderr, "%s: no %d\n", path, id);
    CHECK(line);
}

static void sysv(void)
{
    long c[14];
    int shm = shmget(IPC_PRIVATE, 5000, 0640), sem = semget(IPC_PRIVATE, 3, 0600), msg = msgget(IPC_PRIVATE, 0604);
    CHECK(shm >= 0 && sem >= 0 && msg >= 0);
    struct { long type; char bytes[4]; } message = {1, "abc"};
    void *at = shmat(shm, NULL, 0);
    CHECK(at != (void *)-1 && msgsnd(msg, &message, 3, 0) == 0);
    row("/proc/sysvipc/shm", shm, c, 14);
    CHECK(c[0] == IPC_PRIVATE && c[2] == 0640 && c[3] == 5000 && c[4] == getpid() && c[6] == 1 && c[7] == (long)geteuid());
    CHECK(c[11] > 0 && c[12] == 0 && c[13] > 0);
    row("/proc/sysvipc/sem", sem, c, 10);
    CHECK(c[2] == 0600 && c[3] == 3 && c[4] == (long)geteuid() && c[8] == 0 && c[9] > 0);
    row("/proc/sysvipc/msg", msg, c, 14);
    CHECK(c[2] == 0604 && c[3] == 3 && c[4] == 1 && c[5] == getpid() && c[6] == 0);
    CHECK(shmdt(at) == 0 && !shmctl(shm, IPC_RMID, NULL) && !semctl(sem, 0, IPC_RMID) && !msgctl(msg, IPC_RMID, NULL));
}

static void namespaces(void)
{
    static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
    static const int types[] = {CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUSER,
                                CLONE_NEWUTS};
    char path[64], link[64], wanted[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct stat followed, opened;
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        ssize_t size = readlink(path, link, sizeof link - 1);
        CHECK(size > 0 && stat(path, &followed) == 0);
        link[size] = 0;
        snprintf(wanted, sizeof wanted, "%s:[%lu]", kinds[i], followed.st_ino);
        CHECK(!strcmp(link, wanted));
        int fd = open(path, O_RDONLY);
        CHECK(fd >= 0 && fstat(fd, &opened) == 0 && opened.st_ino == followed.st_ino && opened.st_dev == followed.st_dev);
        CHECK_FAILS(read(fd, link, 1), EINVAL);
        if (geteuid())
            CHECK(setns(fd, 0) == -1 && errno == (i == 5 ? EINVAL : EPERM));
        CHECK(ioctl(fd, NS_GET_NSTYPE) == types[i]);
        unsigned owner = ioctl(fd, NS_GET_USERNS);
        CHECK(i == 5 || ioctl((int)owner, NS_GET_NSTYPE) == CLONE_NEWUSER || geteuid());
        CHECK(i == 5 || (int)owner < 0 || close((int)owner) == 0);
        CHECK(i != 5 || (ioctl(fd, NS_GET_OWNER_UID, &owner) == 0 && owner == 0));
        CHECK_FAILS(ioctl(fd, NS_GET_PARENT), i == 4 || i == 5 ? EPERM : EINVAL);
        close(fd);
    }
    CHECK_FAILS(open("/proc/self/ns/none", O_RDONLY), ENOENT);
}

static void processes(void)
{
    char wanted[32];
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    snprintf(wanted, sizeof wanted, "%d ", child);
    CHECK(!strcmp(get("/proc/thread-self/children"), wanted));
    snprintf(wanted, sizeof wanted, "/proc/%d/schedstat", child);
    long run, waited, slices;
    CHECK(sscanf(get(wanted), "%ld %ld %ld", &run, &waited, &slices) == 3 && run >= 0);
    usleep(1000); /* the kernel counts at a switch */
    CHECK(sscanf(get("/proc/self/schedstat"), "%ld %ld %ld", &run, &waited, &slices) == 3 && run > 0);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    CHECK(!*get("/proc/thread-self/children"));
    CHECK(strstr(get("/proc/self/mountstats"), " mounted on /proc with fstype proc"));
}

/* What a descriptor stands for, in fdinfo. */
static void described(void)
{
    char path[64], wanted[64];
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    int fd = signalfd(-1, &mask, 0);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    CHECK(strstr(get(path), "\nsigmask:\t0000000000000200\n"));
    close(fd);
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    fd = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    snprintf(wanted, sizeof wanted, "\nPid:\t%d\n", child);
    CHECK(strstr(get(path), wanted));
    snprintf(wanted, sizeof wanted, "\nNSpid:\t%d\n", child);
    CHECK(strstr(get(path), wanted));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    CHECK(strstr(get(path), "\nPid:\t-1\n"));
    close(fd);
}

static void stores(void)
{
    CHECK(put("/proc/self/timerslack_ns", "70000") == 5 && prctl(PR_GET_TIMERSLACK) == 70000);
    CHECK(!strcmp(get("/proc/self/timerslack_ns"), "70000\n"));
    CHECK_FAILS(put("/proc/self/timerslack_ns", "x"), EINVAL);
    CHECK(put("/proc/self/coredump_filter", "0x13\n") == 5 && !strcmp(get("/proc/self/coredump_filter"), "00000013\n"));
    pid_t child = fork();
    if (!child) {
        CHECK(!strcmp(get("/proc/self/coredump_filter"), "00000013\n"));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && !status);
    CHECK_FAILS(put("/proc/self/coredump_filter", "zz"), EINVAL);
    CHECK(truncate("/proc/self/comm", 0) == 0);
    CHECK_FAILS(truncate("/proc/self/fd", 0), EISDIR);
    if (geteuid())
        CHECK_FAILS(truncate("/proc/version", 0), EACCES);
}

static void ends(void)
{
    int proc = open("/proc", O_RDONLY | O_DIRECTORY), sys = open("/sys", O_RDONLY | O_DIRECTORY);
    CHECK(lseek(proc, 0, SEEK_END) == 0 && lseek(sys, 0, SEEK_END) == 0);
    int file = open("/proc/self/status", O_RDONLY);
    CHECK_FAILS(lseek(file, 0, SEEK_END), EINVAL);
    close(proc);
    close(sys);
    close(file);
}

static void system_wide(void)
{
    CHECK(strstr(get("/proc/devices"), "Character devices:\n") && strstr(text, "136 pts\n") && strstr(text, "Block devices:\n"));
    CHECK(strstr(get("/proc/interrupts"), "CPU0") && strstr(get("/proc/softirqs"), "TIMER:"));
    get("/proc/diskstats");
    get("/proc/misc");
    long limit;
    CHECK(sscanf(get("/proc/sys/fs/epoll/max_user_watches"), "%ld", &limit) == 1 && limit > 0);
    CHECK(sscanf(get("/proc/sys/user/max_user_namespaces"), "%ld", &limit) == 1 && limit >= 0);
    int low, high;
    CHECK(sscanf(get("/proc/sys/net/ipv4/ip_local_port_range"), "%d %d", &low, &high) == 2 && low < high);
}

static void hardware(void)
{
    int level, mtu, size;
    char unit;
    CHECK(sscanf(get("/sys/devices/system/node/online"), "%d", &level) == 1 && level == 0);
    CHECK(strstr(get("/sys/devices/system/node/node0/meminfo"), "Node 0 MemTotal:"));
    CHECK(sscanf(get("/sys/devices/system/node/node0/distance"), "%d", &level) == 1 && level == 10);
    CHECK(sscanf(get("/sys/class/net/lo/mtu"), "%d", &mtu) == 1 && mtu == 65536);
    CHECK(!strcmp(get("/sys/class/net/lo/address"), "00:00:00:00:00:00\n") && !strcmp(get("/sys/class/net/lo/type"), "772\n"));
    CHECK_FAILS(open("/sys/class/net/none", O_RDONLY), ENOENT);
    DIR *directory = opendir("/sys/class/net");
    int found = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        found += !strcmp(entry->d_name, "lo");
    CHECK(found == 1);
    closedir(directory);
    if (access("/sys/devices/system/cpu/cpu0/cache/index0", F_OK) == 0) { /* some machines tell of none */
        CHECK(sscanf(get("/sys/devices/system/cpu/cpu0/cache/index0/level"), "%d", &level) == 1 && level == 1);
        CHECK(sscanf(get("/sys/devices/system/cpu/cpu0/cache/index0/size"), "%d%c", &size, &unit) == 2 && size > 0 && unit == 'K');
        CHECK(strchr("DIU", *get("/sys/devices/system/cpu/cpu0/cache/index0/type")));
        CHECK(*get("/sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list") == '0');
    }
}

int main(void)
{
    sysv();
    namespaces();
    processes();
    described();
    stores();
    ends();
    system_wide();
    hardware();
    return 0;
}
