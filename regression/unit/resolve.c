/* SPDX-License-Identifier: MIT */
/* Paths: "..", symlinks of all kinds, mounts in mounts, read-only, and a symlink that is swapped while it is opened. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"
#include "loader/supervise/supervise.h"

static char base[64], secret[80];
static struct mount_table table;
static struct reply reply;

static const char *at(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static void put(const char *name, const char *text)
{
    int fd = open(at(name), O_CREAT | O_WRONLY | O_TRUNC, 0644);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* Nothing private is made without one that removes it. */
static pid_t supervised;

static void supervise_a_child(void)
{
    supervised = fork();
    if (!supervised)
        for (;;)
            pause();
    supervisor_for(supervised, NULL);
    cr_assert_eq(supervisor_begin(), 0);
}

/* ro/ is /data, rw/ is /work, inner/ is /data/inner; secret lies beside them. */
static void setup(void)
{
    strcpy(base, "/tmp/pal-unit.XXXXXX");
    cr_assert_not_null(mkdtemp(base));
    umask(0);
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(mkdir(at((const char *[]){"ro", "ro/dir", "ro/inner", "rw", "inner", "public"}[i]), 0755), 0);
    put("secret", "secret");
    put("ro/file", "file");
    put("ro/dir/deep", "deep");
    put("ro/inner/hidden", "hidden");
    put("inner/shown", "shown");
    put("rw/mine", "mine");
    put("public/private", "private");
    put("public/open", "open");
    put("public/shadow", "hash");
    cr_assert_eq(chmod(at("public/private"), 0600), 0);
    strcpy(secret, at("secret"));
    mount_table_init(&table);
    mount_table_add(&table, MOUNT_HOST, "/data", strdup(at("ro")), false);
    mount_table_add(&table, MOUNT_HOST, "/data/inner", strdup(at("inner")), false);
    mount_table_add(&table, MOUNT_HOST, "/work", strdup(at("rw")), true);
    mount_table_add(&table, MOUNT_HOST, "/one/file", strdup(at("ro/file")), false);
    mount_table_add(&table, MOUNT_LINK, "/short", "data/dir", false);
    mount_table_add(&table, MOUNT_HOST, "/public", strdup(at("public")), false)->public_only = true;
    mount_table_add(&table, MOUNT_SCRATCH, "/tmp", NULL, true);
    mounts_open(&table);
    supervise_a_child();
}

static void teardown(void)
{
    char command[96];
    scratch_end(&table.scratch);
    supervisor_collect(); /* which ends the child */
    snprintf(command, sizeof command, "rm -rf %s", base);
    cr_assert_eq(system(command), 0);
}

TestSuite(resolve, .init = setup, .fini = teardown);

static int open_with(const char *path, uint32_t flags, uint32_t mode)
{
    const struct request request = {
        .op = MONITOR_OPEN, .path = path, .path_size = strlen(path), .flags = flags, .mode = mode};
    reply.packet.descriptors = 0;
    return serve_open(&table, &request, &reply);
}

/* What a file holds, or the error. */
static const char *contents(const char *path)
{
    static char text[64];
    int error = open_with(path, PAL_OPEN_READ, 0);
    if (error) {
        snprintf(text, sizeof text, "error %d", -error);
        return text;
    }
    ssize_t size = read(reply.descriptors[0], text, sizeof text - 1);
    close(reply.descriptors[0]);
    text[size < 0 ? 0 : size] = 0;
    return text;
}

static int stat_of(const char *path, uint32_t flags)
{
    const struct request request = {.op = MONITOR_STAT, .path = path, .path_size = strlen(path), .flags = flags};
    return serve_stat(&table, &request, &reply);
}

static const char *canonical(const char *path)
{
    const struct request request = {.op = MONITOR_CANONICAL, .path = path, .path_size = strlen(path)};
    int error = serve_canonical(&table, &request, &reply);
    if (error)
        return "error";
    reply.text.bytes[reply.text.size] = 0;
    return reply.text.bytes;
}

static int change(uint32_t op, const char *path, const char *other, uint32_t mode)
{
    const struct request request = {.op = MONITOR_CHANGE, .flags = op | MONITOR_NOFOLLOW, .mode = mode, .path = path,
                                    .path_size = strlen(path), .other = other, .other_size = other ? strlen(other) : 0};
    return serve_change(&table, &request, &reply);
}

static void link_in(const char *name, const char *target)
{
    cr_assert_eq(symlink(target, at(name)), 0);
}

Test(resolve, plain)
{
    cr_assert_str_eq(contents("/data/file"), "file");
    cr_assert_str_eq(contents("//data/.//dir/./deep"), "deep");
    cr_assert_str_eq(contents("/short/deep"), "deep");
    cr_assert_str_eq(contents("/one/file"), "file");
    cr_assert_str_eq(contents("/data/none"), "error 2");
    cr_assert_str_eq(contents("/data/file/"), "error 20");
    cr_assert_str_eq(contents("/data/file/x"), "error 20");
    cr_assert_str_eq(contents("/one/file/x"), "error 20");
}

Test(resolve, up_never_leaves)
{
    char path[256];
    cr_assert_str_eq(contents("/data/../data/file"), "file");
    cr_assert_str_eq(contents("/../../data/dir/../file"), "file");
    cr_assert_str_eq(contents("/data/../secret"), "error 2");
    cr_assert_str_eq(contents("/work/../secret"), "error 2");
    cr_assert_str_eq(contents("/data/inner/../secret"), "error 2");
    cr_assert_str_eq(contents("/data/inner/../file"), "file");
    snprintf(path, sizeof path, "/data/../../../../../..%s", secret);
    cr_assert_str_eq(contents(path), "error 2");
    cr_assert_str_eq(contents(secret), "error 2", "/tmp is private");
}

Test(resolve, symlinks_stay_in_the_guest_s_namespace)
{
    char up[256];
    link_in("rw/absolute", "/data/file");
    link_in("rw/host", secret);
    snprintf(up, sizeof up, "../secret");
    link_in("rw/up", up);
    link_in("rw/relative", "../data/dir");
    link_in("rw/loop", "loop");
    link_in("rw/chain", "relative/../file");
    link_in("rw/proc", "/proc/self/root");
    link_in("rw/dangling", "nothing");
    cr_assert_str_eq(contents("/work/absolute"), "file");
    cr_assert_str_eq(contents("/work/host"), "error 2");
    cr_assert_str_eq(contents("/work/up"), "error 2");
    cr_assert_str_eq(contents("/work/relative/deep"), "deep");
    cr_assert_str_eq(contents("/work/chain"), "file");
    cr_assert_str_eq(contents("/work/loop"), "error 40");
    cr_assert_str_eq(contents("/work/absolute/"), "error 20");
    cr_assert_str_eq(contents("/work/../work/absolute/"), "error 20");
    cr_assert_eq(stat_of("/work/relative/", MONITOR_NOFOLLOW), 0);
    cr_assert_eq(reply.packet.attributes.type, PAL_TYPE_DIRECTORY);
    cr_assert_str_eq(contents("/work/dangling"), "error 2");
    cr_assert_eq(open_with("/work/proc/etc/shadow", PAL_OPEN_READ, 0), -EREMOTE);
    reply.text.bytes[reply.text.size] = 0;
    cr_assert_str_eq(reply.text.bytes, "/proc/self/root/etc/shadow");
    cr_assert_eq(open_with("/work/absolute", PAL_OPEN_READ | PAL_OPEN_NOFOLLOW, 0), -ELOOP);
    cr_assert_eq(stat_of("/work/absolute", MONITOR_NOFOLLOW), 0);
    cr_assert_eq(reply.packet.attributes.type, PAL_TYPE_SYMLINK);
    cr_assert_str_eq(canonical("/work/chain"), "/data/file");
    cr_assert_str_eq(canonical("/short/../file"), "/data/file");
}

Test(resolve, mounts_in_mounts)
{
    cr_assert_str_eq(contents("/data/inner/shown"), "shown");
    cr_assert_str_eq(contents("/data/inner/hidden"), "error 2");
    cr_assert_eq(stat_of("/", 0), 0);
    cr_assert_eq(stat_of("/one", 0), 0);
    cr_assert_eq(reply.packet.attributes.type, PAL_TYPE_DIRECTORY);
    cr_assert_eq(open_with("/one", PAL_OPEN_READ, 0), -ENOTUNIQ);
    cr_assert_eq(stat_of("/short", MONITOR_NOFOLLOW), 0);
    cr_assert_eq(reply.packet.attributes.type, PAL_TYPE_SYMLINK);
    cr_assert_eq(stat_of("/nowhere", 0), -ENOENT);
    cr_assert_eq(stat_of("/proc/self", 0), -EREMOTE);
    cr_assert_eq(table.denials.kept, 1);
    cr_assert_str_eq(table.denials.first[0].path, "/nowhere");
}

Test(resolve, read_only)
{
    uint32_t write = PAL_OPEN_READ | PAL_OPEN_WRITE, create = PAL_OPEN_WRITE | PAL_OPEN_CREATE;
    cr_assert_eq(open_with("/data/file", write, 0), -EROFS);
    cr_assert_eq(open_with("/data/none", write, 0), -ENOENT);
    cr_assert_eq(open_with("/data/none", create, 0644), -EROFS);
    cr_assert_eq(open_with("/data/none/x", create, 0644), -ENOENT);
    cr_assert_eq(open_with("/data/dir", write, 0), -EISDIR);
    cr_assert_eq(open_with("/data/file", create | PAL_OPEN_EXCLUSIVE, 0644), -EEXIST);
    cr_assert_eq(open_with("/data/file", PAL_OPEN_READ | PAL_OPEN_CREATE, 0644), 0);
    close(reply.descriptors[0]);
    cr_assert_eq(open_with("/data/file", PAL_OPEN_READ | PAL_OPEN_TRUNCATE, 0), -EROFS);
    cr_assert_eq(change(PAL_MKDIR, "/data/new", NULL, 0755), -EROFS);
    cr_assert_eq(change(PAL_MKDIR, "/data/dir", NULL, 0755), -EEXIST);
    cr_assert_eq(change(PAL_UNLINK, "/data/file", NULL, 0), -EROFS);
    cr_assert_eq(change(PAL_RENAME, "/data/file", "/data/other", 0), -EROFS);
    cr_assert_eq(change(PAL_RENAME, "/data/file", "/work/other", 0), -EXDEV);
    cr_assert_eq(change(PAL_LINK, "/data/file", "/work/other", 0), -EXDEV);
    const struct request set = {.op = MONITOR_SET, .path = "/data/file", .path_size = 10, .mode = PAL_SET_MODE};
    cr_assert_eq(serve_set(&table, &set, &reply), -EROFS);
}

Test(resolve, changes)
{
    cr_assert_eq(open_with("/work/new", PAL_OPEN_WRITE | PAL_OPEN_CREATE, 04755), -EPERM, "no set-uid files");
    cr_assert_eq(open_with("/work/new", PAL_OPEN_WRITE | PAL_OPEN_CREATE | PAL_OPEN_EXCLUSIVE, 0640), 0);
    close(reply.descriptors[0]);
    cr_assert_eq(reply.packet.attributes.mode, S_IFREG | 0640);
    cr_assert_eq(change(PAL_MKDIR, "/work/d", NULL, 0755), 0);
    cr_assert_eq(change(PAL_MKDIR, "/work/d/", NULL, 0755), -EEXIST);
    cr_assert_eq(change(PAL_RENAME, "/work/new", "/work/d/new", 0), 0);
    cr_assert_eq(change(PAL_RMDIR, "/work/d", NULL, 0), -ENOTEMPTY);
    cr_assert_eq(change(PAL_LINK, "/work/d/new", "/work/hard", 0), 0);
    cr_assert_eq(change(PAL_SYMLINK, "/work/sym", "/anything", 0), 0);
    cr_assert_eq(change(PAL_LINK, "/work/sym", "/work/sym2", 0), 0, "the symlink itself");
    cr_assert_eq(change(PAL_MKFIFO, "/work/fifo", NULL, 0644), 0);
    cr_assert_eq(change(PAL_UNLINK, "/work/d/new", NULL, 0), 0);
    cr_assert_eq(change(PAL_RMDIR, "/work/d/.", NULL, 0), -EINVAL);
    cr_assert_eq(change(PAL_RMDIR, "/work/d", NULL, 0), 0);
    cr_assert_eq(change(PAL_RMDIR, "/work", NULL, 0), -EBUSY);
    cr_assert_eq(change(PAL_RMDIR, "/data/inner", NULL, 0), -EBUSY);
    cr_assert_eq(change(PAL_RENAME, "/one", "/two", 0), -EBUSY);
    cr_assert_eq(change(PAL_MKDIR, "/nowhere", NULL, 0755), -EROFS);
    cr_assert_eq(change(PAL_UNLINK, "/work/../secret", NULL, 0), -EROFS);
    struct request set = {
        .op = MONITOR_SET, .path = "/work/mine", .path_size = 10, .mode = PAL_SET_MODE, .values.mode = 04755};
    cr_assert_eq(serve_set(&table, &set, &reply), -EPERM);
    set.values.mode = 0600;
    cr_assert_eq(serve_set(&table, &set, &reply), 0);
    struct stat status;
    cr_assert(stat(at("rw/mine"), &status) == 0 && status.st_mode == (S_IFREG | 0600));
    cr_assert_eq(access(secret, F_OK), 0);
}

/* The guest path where a host file lies, and whether it may be changed there. */
static const char *located(const char *host, bool *writable)
{
    static char guest[PAL_PATH_MAX];
    struct mount *mount;
    int fd = open(host, O_PATH | O_CLOEXEC);
    cr_assert(fd >= 0);
    ssize_t size = mount_table_locate(&table, fd, &mount, guest);
    *writable = size >= 0 && mount->writable;
    close(fd);
    return size < 0 ? "nowhere" : guest;
}

Test(resolve, locates)
{
    bool writable;
    struct mount *mount;
    char guest[PAL_PATH_MAX];
    cr_assert_eq(stat_of("/work/mine", 0), 0);
    cr_assert_eq(stat_of("/data/file", 0), 0);
    cr_assert_str_eq(located(at("rw/mine"), &writable), "/work/mine");
    cr_assert(writable);
    cr_assert_str_eq(located(at("rw"), &writable), "/work");
    cr_assert_str_eq(located(at("ro/file"), &writable), "/data/file");
    cr_assert(!writable);
    cr_assert_str_eq(located("/proc/self", &writable), "nowhere");
    cr_assert_str_eq(located(secret, &writable), "nowhere");
    int fd = open(at("rw/gone"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && unlink(at("rw/gone")) == 0);
    cr_assert(mount_table_locate(&table, fd, &mount, guest) > 0 && mount->writable);
    close(fd);
}

Test(resolve, public_only)
{
    cr_assert_str_eq(contents("/public/open"), "open");
    cr_assert_str_eq(contents("/public/private"), "error 13");
    cr_assert_str_eq(contents("/public/shadow"), "error 13", "whatever its mode is");
    link_in("rw/way", "/public/private");
    cr_assert_str_eq(contents("/work/way"), "error 13");
    cr_assert_eq(chmod(at("public"), 0755), 0);
    cr_assert_eq(mkdir(at("public/closed"), 0700), 0);
    put("public/closed/x", "x");
    cr_assert_str_eq(contents("/public/closed/x"), "error 13");
}

/* Root's own files in a system tree: as any user of the host sees them. */
Test(resolve, public_files)
{
    mount_table_exact(&table, "/data", 5)->public_files = true;
    cr_assert_str_eq(contents("/data/file"), "file");
    cr_assert_eq(chmod(at("ro/dir/deep"), 0600), 0);
    cr_assert_str_eq(contents("/data/dir/deep"), "error 13");
    cr_assert_eq(chmod(at("ro/dir/deep"), 0711), 0);
    cr_assert_str_eq(contents("/data/dir/deep"), "error 13", "what is only executable, too");
}

/* What comes along with a program: by the same policy, only what the sandbox can't change, and nothing is denied. */
Test(resolve, prefetched)
{
    static const char list[] = "r/data/file\0r/data/none\0r/work/mine\0r/public/private\0r/data/dir";
    const struct request request = {.op = MONITOR_START, .path = "/data/dir/deep", .path_size = 14,
                                    .flags = PAL_OPEN_READ, .other = list, .other_size = sizeof list};
    struct monitor_prefetch told[5];
    cr_assert_eq(symlink("/work/mine", at("ro/away")), 0);
    reply.packet.descriptors = 0;
    cr_assert_eq(serve_start(&table, &request, &reply), 0);
    cr_assert_eq(reply.text.size, sizeof told);
    memcpy(told, reply.text.bytes, sizeof told);
    cr_assert(told[0].result == 0 && told[0].attributes.size == 4 && told[1].result == -ENOENT);
    cr_assert(told[2].result == MONITOR_NOT_PREFETCHED && told[3].result == MONITOR_NOT_PREFETCHED);
    cr_assert_eq(told[4].result, MONITOR_NOT_PREFETCHED);
    cr_assert_eq(reply.packet.descriptors, 2);
    char bytes[8];
    cr_assert(read(reply.descriptors[0], bytes, 8) == 4 && !memcmp(bytes, "deep", 4));
    cr_assert(read(reply.descriptors[1], bytes, 8) == 4 && !memcmp(bytes, "file", 4));
    close(reply.descriptors[0]);
    close(reply.descriptors[1]);
    cr_assert(table.denials.count == 0 && table.denials.kept == 0);
    const struct request away = {.op = MONITOR_START, .path = "/data/file", .path_size = 10, .flags = PAL_OPEN_READ,
                                 .other = "r/data/away", .other_size = 12};
    reply.packet.descriptors = 0;
    cr_assert(serve_start(&table, &away, &reply) == 0 && reply.packet.descriptors == 1);
    memcpy(told, reply.text.bytes, sizeof *told);
    cr_assert_eq(told->result, MONITOR_NOT_PREFETCHED, "a symlink to where the sandbox may write");
    close(reply.descriptors[0]);
}

Test(resolve, scratch)
{
    cr_assert_eq(stat_of("/tmp/none", 0), -ENOENT);
    cr_assert_eq(table.scratch.fd, -1, "nothing was made for that");
    cr_assert_eq(open_with("/tmp/x", PAL_OPEN_WRITE | PAL_OPEN_CREATE, 0644), 0);
    close(reply.descriptors[0]);
    cr_assert_eq(faccessat(table.scratch.base, table.scratch.name, F_OK, 0), 0);
    for (int i = 0; i < 50; i++) { /* deep, by renames that make it deeper than any path */
        cr_assert_eq(change(PAL_MKDIR, "/tmp/outer", NULL, 0700), 0);
        if (i)
            cr_assert_eq(change(PAL_RENAME, "/tmp/d", "/tmp/outer/d", 0), 0);
        cr_assert_eq(change(PAL_RENAME, "/tmp/outer", "/tmp/d", 0), 0);
    }
    scratch_end(&table.scratch);
    cr_assert_neq(faccessat(table.scratch.base, table.scratch.name, F_OK, 0), 0, "it was removed");
}

Test(resolve, scratch_left)
{
    cr_assert_eq(open_with("/tmp/x", PAL_OPEN_WRITE | PAL_OPEN_CREATE, 0644), 0);
    close(reply.descriptors[0]);
    cr_assert_eq(change(PAL_MKDIR, "/tmp/d", NULL, 0), 0);
    supervisor_collect(); /* as if by pal-run's death */
    cr_assert_neq(faccessat(table.scratch.base, table.scratch.name, F_OK, 0), 0, "the supervisor removed it");
    int status;
    cr_assert(waitpid(supervised, &status, 0) == supervised && WIFSIGNALED(status), "it was killed");
}

/* Device nodes and sockets are not opened, nothing blocks on a FIFO. */
Test(resolve, no_devices)
{
    if (mknod(at("ro/zero"), S_IFCHR | 0666, makedev(1, 5)) == 0)
        cr_assert_str_eq(contents("/data/zero"), "error 13");
    cr_assert_eq(mkfifo(at("rw/fifo"), 0644), 0);
    cr_assert_eq(open_with("/work/fifo", PAL_OPEN_READ, 0), 0);
    close(reply.descriptors[0]);
    cr_assert_eq(open_with("/work/fifo", PAL_OPEN_WRITE, 0), -ENXIO);
}

/* Symlinks can multiply a path: what one request costs is bounded, and going up and down leaves no descriptor open. */
Test(resolve, long_walks)
{
    char target[4000] = "", name[32], deep[512] = "rw";
    int before = dup(0);
    close(before);
    for (size_t i = 0; i < 100; i++) {
        strcat(deep, "/d");
        cr_assert_eq(mkdir(at(deep), 0755), 0);
    }
    for (size_t i = 0; i < 700; i++)
        strcat(target, "../d/");
    for (size_t i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "rw/d/l%zu", i);
        link_in(name, i ? target : "../d");
        snprintf(target + 3500, sizeof target - 3500, "l%zu", i);
    }
    cr_assert_eq(stat_of("/work/d/l0", 0), 0);
    cr_assert_eq(stat_of("/work/d/l1", 0), 0);
    cr_assert_eq(stat_of("/work/d/l9", 0), -ELOOP);
    char path[3000] = "/work";
    for (size_t i = 0; i < 100; i++)
        strcat(path, "/d");
    for (size_t i = 0; i < 100; i++)
        strcat(path, "/..");
    strcat(path, "/mine");
    cr_assert_eq(stat_of(path, 0), 0, "deeper than what is held open");
    int after = dup(0);
    cr_assert_eq(before, after);
    close(after);
}

/* Private directories of sandboxes, in whatever mount. */
Test(resolve, private_names)
{
    cr_assert_eq(mkdir(at("rw/.pal-run.abcdefghijklmno"), 0755), 0);
    put("rw/.pal-run.abcdefghijklmno/file", "private");
    put("rw/.pal-run.short", "short");
    cr_assert_str_eq(contents("/work/.pal-run.abcdefghijklmno/file"), "error 13");
    cr_assert_str_eq(contents("/work/.PAL-RUN.abcdefghijklmno/file"), "error 13", "not on a disk without case either");
    cr_assert_str_eq(contents("/work/./.pal-run.abcdefghijklmno/../mine"), "error 13");
    link_in("rw/way", ".pal-run.abcdefghijklmno/file");
    cr_assert_str_eq(contents("/work/way"), "error 13");
    cr_assert_eq(change(PAL_RENAME, "/work/.pal-run.abcdefghijklmno", "/work/x", 0), -EACCES);
    cr_assert_eq(change(PAL_RENAME, "/work/mine", "/work/.pal-run.abcdefghijklmno", 0), -EACCES);
    cr_assert_eq(change(PAL_MKDIR, "/work/.pal-run.abcdefghijklmnp", NULL, 0755), -EACCES);
    cr_assert_str_eq(contents("/work/.pal-run.short"), "short");
}

static atomic_bool stop;

/* Swaps rw/flip between a file and symlinks that lead out, in the guest's view and in the host's. */
static void *flip(void *unused)
{
    char file[256], out[256], flipped[256];
    strcpy(file, at("rw/flip.file"));
    strcpy(out, at("rw/flip.link"));
    strcpy(flipped, at("rw/flip"));
    for (int i = 0; !stop; i++) {
        if (symlink(i % 2 ? secret : "../secret", out) == 0)
            rename(out, flipped);
        int fd = open(file, O_CREAT | O_WRONLY, 0644);
        if (fd >= 0)
            close(fd);
        rename(file, flipped);
    }
    return unused;
}

Test(resolve, swapped_symlink)
{
    pthread_t thread;
    int opened = 0;
    cr_assert_eq(pthread_create(&thread, NULL, flip, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        const char *text = contents("/work/flip");
        cr_assert_neq(strcmp(text, "secret"), 0, "the secret was read");
        opened += !*text;
    }
    stop = true;
    pthread_join(thread, NULL);
    cr_assert(opened > 0, "the file was never there: nothing was tested");
}
