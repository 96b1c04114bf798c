/* SPDX-License-Identifier: MIT */
/* /proc and /sys as programs parse them: fields, their order, processors, mounts, deleted files. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[1 << 16];

static size_t get(const char *path)
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
    return size;
}

/* The words begin lines, in this order. */
static void in_order(const char *path, const char *const *words)
{
    const char *at = (get(path), text);
    for (; *words; words++) {
        char line[40];
        snprintf(line, sizeof line, "\n%s", *words);
        const char *found = at == text && !strncmp(text, *words, strlen(*words)) ? text : strstr(at, line);
        if (!found)
            fprintf(stderr, "%s: no %s\n", path, *words);
        CHECK(found);
        at = found + 1;
    }
}

static void orders(void)
{
    static const char *const status[] = {
        "Name:\t", "Umask:\t", "State:\t", "Tgid:\t", "Ngid:\t", "Pid:\t", "PPid:\t", "TracerPid:\t0", "Uid:\t",
        "Gid:\t", "FDSize:\t", "Groups:\t", "NStgid:\t", "NSpid:\t", "NSpgid:\t", "NSsid:\t", "VmPeak:\t",
        "VmSize:\t", "VmLck:\t", "VmPin:\t", "VmHWM:\t", "VmRSS:\t", "RssAnon:\t", "RssFile:\t", "RssShmem:\t",
        "VmData:\t", "VmStk:\t", "VmExe:\t", "VmLib:\t", "VmPTE:\t", "VmSwap:\t", "HugetlbPages:\t",
        "CoreDumping:\t0", "THP_enabled:\t", "Threads:\t1", "SigQ:\t", "SigPnd:\t", "ShdPnd:\t", "SigBlk:\t",
        "SigIgn:\t", "SigCgt:\t", "CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapBnd:\t", "CapAmb:\t", "NoNewPrivs:\t",
        "Seccomp:\t", "Cpus_allowed:\t", "Cpus_allowed_list:\t", "Mems_allowed:\t", "Mems_allowed_list:\t",
        "voluntary_ctxt_switches:\t", "nonvoluntary_ctxt_switches:\t", NULL,
    };
    static const char *const memory[] = {
        "MemTotal:  ", "MemFree:  ", "MemAvailable:", "Buffers:", "Cached:", "SwapCached:", "Active:", "Inactive:",
        "Active(anon):", "Inactive(anon):", "Active(file):", "Inactive(file):", "Unevictable:", "Mlocked:",
        "SwapTotal:", "SwapFree:", "Dirty:", "Writeback:", "AnonPages:", "Mapped:", "Shmem:", "KReclaimable:",
        "Slab:", "SReclaimable:", "SUnreclaim:", "CommitLimit:", "Committed_AS:", "VmallocTotal:", NULL,
    };
    static const char *const rollup[] = {
        "Rss:", "Pss:", "Pss_Dirty:", "Pss_Anon:", "Pss_File:", "Pss_Shmem:", "Shared_Clean:", "Shared_Dirty:",
        "Private_Clean:", "Private_Dirty:", "Referenced:", "Anonymous:", "LazyFree:", "AnonHugePages:",
        "ShmemPmdMapped:", "FilePmdMapped:", "Swap:", "SwapPss:", "Locked:", NULL,
    };
    static const char *const limits[] = {
        "Limit                     Soft Limit           Hard Limit           Units     \n",
        "Max cpu time              ", "Max file size             ", "Max data size             ", "Max stack size  ",
        "Max core file size", "Max resident set", "Max processes", "Max open files", "Max locked memory",
        "Max address space", "Max file locks", "Max pending signals", "Max msgqueue size", "Max nice priority",
        "Max realtime priority", "Max realtime timeout      unlimited            unlimited            us        \n",
        NULL,
    };
    in_order("/proc/self/status", status);
    in_order("/proc/meminfo", memory);
    in_order("/proc/self/smaps_rollup", rollup);
    in_order("/proc/self/limits", limits);
    in_order("/proc/swaps", (const char *const[]){"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority", NULL});
    in_order("/proc/vmstat", (const char *const[]){"nr_free_pages ", "pgpgin ", "pswpin ", "pswpout ", NULL});
}

/* Is there a line of mounts that has all these fields, and is "/" among them? */
static void mounts(void)
{
    int root = 0, id, parent, major, minor, used;
    char at[256], options[256], kind[64];
    get("/proc/self/mountinfo");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        CHECK(sscanf(line, "%d %d %d:%d %*s %255s %255s%n", &id, &parent, &major, &minor, at, options, &used) == 6);
        char *rest = strstr(line + used, " - ");
        CHECK(rest && sscanf(rest, " - %63s %*s %255s", kind, options) == 2);
        root |= !strcmp(at, "/");
    }
    CHECK(root);
    get("/proc/mounts");
    CHECK(strstr(text, " / ") && strstr(text, " 0 0\n"));
}

static long number(const char *path)
{
    get(path);
    return strtol(text, NULL, 0);
}

static void processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_CONF), listed = 0, before = 0;
    DIR *folder = opendir("/sys/devices/system/cpu");
    CHECK(folder && count > 0);
    for (struct dirent *entry; (entry = readdir(folder));)
        listed += !strncmp(entry->d_name, "cpu", 3) && entry->d_name[3] >= '0' && entry->d_name[3] <= '9';
    closedir(folder);
    CHECK(listed == count);
    CHECK(number("/sys/devices/system/cpu/cpu0/topology/core_id") >= 0);
    CHECK(number("/sys/devices/system/cpu/cpu0/topology/physical_package_id") >= 0);
    get("/sys/devices/system/cpu/cpu0/topology/thread_siblings");
    CHECK(strtoul(text, NULL, 16) & 1 || strchr(text, ','));
    CHECK(access("/sys/devices/system/cpu/cpu", F_OK) < 0 && access("/sys/devices/system/cpu/cpu9999", F_OK) < 0);
    CHECK(access("/sys/devices/system/cpu/0", F_OK) < 0);
    get("/proc/cpuinfo");
    for (char *at = text; (at = strstr(at, "processor\t: ")); at++)
        before++;
    CHECK(before == sysconf(_SC_NPROCESSORS_ONLN));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    get("/proc/self/status");
    CHECK(strstr(text, "\nCpus_allowed_list:\t0\n") && strstr(text, "1\nCpus_allowed_list"));
}

static void process(void)
{
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    get("/proc/self/status");
    CHECK(strstr(text, "\nNoNewPrivs:\t1\n"));
    CHECK(get("/proc/self/personality") == 9 && get("/proc/self/setgroups") > 4 && get("/proc/self/loginuid") > 0);
    CHECK(number("/proc/self/timerslack_ns") == 50000 && get("/proc/self/uid_map") == 33);
    char link[128], name[] = "/tmp/proc_system.XXXXXX", wanted[64];
    int fd = mkstemp(name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    CHECK(fd >= 0 && readlink(link, text, sizeof text) == (ssize_t)strlen(name) && !strncmp(text, name, strlen(name)));
    CHECK(unlink(name) == 0);
    snprintf(wanted, sizeof wanted, "%s (deleted)", name);
    CHECK(readlink(link, text, sizeof text) == (ssize_t)strlen(wanted) && !strncmp(text, wanted, strlen(wanted)));
}

static void constants(void)
{
    CHECK(number("/proc/sys/kernel/pid_max") >= 32768 && number("/proc/sys/vm/overcommit_memory") >= 0);
    CHECK(number("/proc/sys/fs/nr_open") >= 1024 && number("/proc/sys/fs/mqueue/msg_max") >= 10);
    CHECK(number("/proc/sys/kernel/shmmni") > 0 && number("/proc/sys/net/core/somaxconn") > 0);
    CHECK(get("/proc/sys/kernel/osrelease") > 3 && get("/proc/sys/kernel/sem") > 8 && get("/proc/cmdline") > 0);
}

int main(void)
{
    orders();
    mounts();
    process();
    constants();
    processors();
    return 0;
}
