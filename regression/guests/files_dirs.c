/* SPDX-License-Identifier: MIT */
/* Directories: making, listing, descriptors of them, and "/". */
#include "files.h"
#include <dirent.h>

static int count_entries(const char *path, const char *wanted, unsigned char type)
{
    int count = 0, found = 0;
    DIR *dir = opendir(path);
    CHECK(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)); count++)
        if (strcmp(entry->d_name, wanted) == 0 && (entry->d_type == type || entry->d_type == DT_UNKNOWN))
            found = 1;
    CHECK(closedir(dir) == 0);
    return found ? count : -1;
}

static void make_and_remove(void)
{
    struct stat st;
    CHECK(mkdir("d", 0755) == 0);
    FAILS(mkdir("d", 0755), EEXIST);
    FAILS(mkdir(".", 0755), EEXIST);
    FAILS(mkdir("/", 0755), EEXIST);
    FAILS(mkdir("no/d", 0755), ENOENT);
    CHECK(mkdir("slash/", 0700) == 0);
    CHECK(stat("slash", &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700);
    CHECK(rmdir("slash/") == 0);
    put_file("d/f", "x");
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(rmdir("d/f"), ENOTDIR);
    FAILS(unlink("d"), EISDIR);
    FAILS(rmdir("d/."), EINVAL);
    FAILS(rmdir("d/.."), ENOTEMPTY);
    FAILS(unlinkat(AT_FDCWD, "d/f", 1), EINVAL);
    CHECK(unlink("d/f") == 0);
    CHECK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR) == 0);
    FAILS(rmdir("d"), ENOENT);
}

static void listing(void)
{
    char name[32];
    CHECK(mkdir("many", 0755) == 0);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "many/file-%03d", i);
        put_file(name, "");
    }
    CHECK(mkdir("many/sub", 0755) == 0 && symlink("sub", "many/link") == 0);
    CHECK(count_entries("many", "file-299", DT_REG) == 304);
    CHECK(count_entries("many", "sub", DT_DIR) == 304);
    CHECK(count_entries("many", "link", DT_LNK) == 304);
    DIR *dir = opendir("many");
    struct dirent *entry = readdir(dir);
    char first[256];
    CHECK(entry != NULL);
    strcpy(first, entry->d_name);
    while (readdir(dir))
        ;
    rewinddir(dir);
    CHECK((entry = readdir(dir)) && strcmp(first, entry->d_name) == 0);
    closedir(dir);
    int fd = open("many/sub", O_RDONLY);
    char bytes[64];
    FAILS(read(fd, bytes, 1), EISDIR);
    FAILS(write(fd, bytes, 1), EBADF);
    FAILS(syscall(SYS_getdents64, fd, bytes, 1), EINVAL);
    FAILS(syscall(SYS_getdents64, fd, (void *)-1l, 4096), EFAULT);
    close(fd);
    fd = open("many/file-001", O_RDONLY);
    FAILS(syscall(SYS_getdents64, fd, bytes, sizeof(bytes)), ENOTDIR);
    close(fd);
}

static void old_listing(void)
{
    struct old { unsigned long ino, off; unsigned short reclen; char name[]; };
    char bytes[4096] __attribute__((aligned(8)));
    int fd = open("many/sub/..", O_RDONLY | O_DIRECTORY), found = 0;
    for (long size; (size = syscall(SYS_getdents, fd, bytes, sizeof(bytes))) > 0;)
        for (long at = 0; at < size;) {
            struct old *entry = (struct old *)(bytes + at);
            if (strcmp(entry->name, "sub") == 0)
                found = bytes[at + entry->reclen - 1] == DT_DIR;
            at += entry->reclen;
        }
    CHECK(found);
    close(fd);
}

static void relative(void)
{
    struct stat st, other;
    char path[512];
    CHECK(mkdir("base", 0755) == 0);
    int dir = open("base", O_RDONLY | O_DIRECTORY), fd;
    CHECK(dir >= 0);
    CHECK((fd = openat(dir, "inner", O_WRONLY | O_CREAT, 0600)) >= 0 && close(fd) == 0);
    CHECK(fstatat(dir, "inner", &st, 0) == 0 && stat("base/inner", &other) == 0 && st.st_ino == other.st_ino);
    CHECK(fstatat(dir, "../base/./inner", &st, 0) == 0 && st.st_ino == other.st_ino);
    CHECK(mkdirat(dir, "deep", 0700) == 0 && faccessat(dir, "deep", X_OK, 0) == 0);
    CHECK(unlinkat(dir, "deep", AT_REMOVEDIR) == 0);
    CHECK(renameat(dir, "inner", AT_FDCWD, "outer") == 0 && access("outer", F_OK) == 0);
    FAILS(openat(dir, "inner", O_RDONLY), ENOENT);
    FAILS(openat(99, "inner", O_RDONLY), EBADF);
    fd = open("outer", O_RDONLY);
    FAILS(openat(fd, "inner", O_RDONLY), ENOTDIR);
    close(fd);
    snprintf(path, sizeof(path), "%s/outer", scratch);
    CHECK((fd = openat(99, path, O_RDONLY)) >= 0 && close(fd) == 0);
    CHECK(fchdir(dir) == 0 && stat("../outer", &st) == 0);
    close(dir);
    CHECK(chdir("..") == 0);
    dir = open("base", O_PATH);
    CHECK(dir >= 0);
    FAILS(read(dir, path, 1), EBADF);
    CHECK(fstat(dir, &st) == 0 && S_ISDIR(st.st_mode));
    CHECK((fd = openat(dir, "p", O_WRONLY | O_CREAT, 0600)) >= 0 && close(fd) == 0);
    CHECK(fcntl(dir, F_GETFL) & O_PATH);
    close(dir);
}

static void top(void)
{
    struct stat root, parent;
    CHECK(count_entries("/", "usr", DT_DIR) > 4);
    CHECK(count_entries("/", "proc", DT_DIR) > 4);
    CHECK(stat("/", &root) == 0 && S_ISDIR(root.st_mode));
    CHECK(stat("/usr/..", &parent) == 0 && parent.st_ino == root.st_ino);
    CHECK(stat("/../../usr", &parent) == 0 && S_ISDIR(parent.st_mode));
    FAILS(open("/", O_WRONLY), EISDIR);
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && fstat(fd, &parent) == 0 && parent.st_ino == root.st_ino);
    int usr = openat(fd, "usr", O_RDONLY);
    CHECK(usr >= 0);
    close(usr);
    close(fd);
}

int main(void)
{
    scratch_enter();
    make_and_remove();
    listing();
    old_listing();
    relative();
    top();
    return 0;
}
