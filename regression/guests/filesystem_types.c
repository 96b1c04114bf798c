/* SPDX-License-Identifier: MIT */
/* sysfs(2) and ustat(2): the types of file systems, and what is free on a mounted device. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

struct free_space {
    int blocks;
    unsigned long inodes;
    char name[6], pack[6];
};

/* statx(2) tells of the mount that mountinfo has. */
static void mounts(void)
{
    struct statx status;
    char line[512];
    unsigned long proc = 0, id;
    FILE *file = fopen("/proc/self/mountinfo", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (strstr(line, " / /proc ") && sscanf(line, "%lu", &id) == 1)
            proc = id;
    fclose(file);
    CHECK(statx(AT_FDCWD, "/proc/self/stat", 0, STATX_MNT_ID, &status) == 0);
    if (status.stx_mask & STATX_MNT_ID) /* Linux 5.8 */
        CHECK(status.stx_mnt_id == proc);
    int fd = open("/proc/version", O_RDONLY);
    CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) == 0);
    if (status.stx_mask & STATX_MNT_ID)
        CHECK(status.stx_mnt_id == proc);
    close(fd);
}

int main(void)
{
    char name[64];
    mounts();
    long count = syscall(SYS_sysfs, 3), proc = syscall(SYS_sysfs, 1, "proc");
    if (count < 0 && errno == ENOSYS)
        return 0;
    CHECK(count > 1 && proc >= 0 && proc < count);
    CHECK(syscall(SYS_sysfs, 2, proc, name) == 0 && strcmp(name, "proc") == 0);
    CHECK_FAILS(syscall(SYS_sysfs, 1, "no such type"), EINVAL);
    CHECK_FAILS(syscall(SYS_sysfs, 1, -1L), EFAULT);
    CHECK_FAILS(syscall(SYS_sysfs, 2, count, name), EINVAL);
    CHECK_FAILS(syscall(SYS_sysfs, 2, proc, -1L), EFAULT);
    CHECK_FAILS(syscall(SYS_sysfs, 4), EINVAL);
    struct free_space space;
    struct stat status;
    CHECK(stat("/", &status) == 0);
    CHECK_FAILS(syscall(SYS_ustat, 0, &space), EINVAL);
    if (syscall(SYS_ustat, status.st_dev, &space) == 0) /* a root that is a mount's subtree may have none */
        CHECK(space.blocks >= 0);
    return 0;
}
